//! Keys for Wireshark: a configuration directory under which Wireshark and tshark open what is encrypted
//! (`WIRESHARK_CONFIG_DIR=OUT.keys tshark -r OUT`).
//!
//! The directory holds `esp_sa` and `ikev1_decryption_table` (tables in Wireshark's own format) and `preferences`.
//! It is its owner's alone (0700, files 0600): whoever reads it reads the traffic. Names of algorithms are those of
//! Wireshark 4.0, which knows no GMAC and no ChaCha20-Poly1305: such SAs are left out. It knows no extended sequence
//! numbers either: it opens such packets, but calls GCM's ICV wrong and leaves HMACs unchecked.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use espalier_wire::plane::SaSpec;
use espalier_wire::transform::{Cipher, Integrity};

use crate::staged::Staged;

const PREFERENCES: &str = "esp.enable_encryption_decode: TRUE\nesp.enable_authentication_check: TRUE\n";

/// The key of an IKEv1 exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct IkeKey {
    pub initiator_cookie: [u8; 8],
    pub encryption_key: Vec<u8>,
}

/// Wireshark's name for what encrypts, if it has one.
const fn cipher_name(cipher: Cipher) -> Option<&'static str> {
    match cipher {
        Cipher::Null => Some("NULL"),
        Cipher::DesCbc => Some("DES-CBC [RFC2405]"),
        Cipher::TripleDesCbc => Some("TripleDES-CBC [RFC2451]"),
        Cipher::Aes128Cbc | Cipher::Aes192Cbc | Cipher::Aes256Cbc => Some("AES-CBC [RFC3602]"),
        Cipher::Aes128Gcm | Cipher::Aes192Gcm | Cipher::Aes256Gcm => {
            Some("AES-GCM with 16 octet ICV [RFC4106]")
        }
        Cipher::Aes128Gmac | Cipher::ChaCha20Poly1305 => None,
    }
}

/// Wireshark's name for what authenticates.
const fn integrity_name(integrity: Integrity) -> &'static str {
    match integrity {
        Integrity::Md5 => "HMAC-MD5-96 [RFC2403]",
        Integrity::Sha1 => "HMAC-SHA-1-96 [RFC2404]",
        Integrity::Sha256 => "HMAC-SHA-256-128 [RFC4868]",
        Integrity::Sha384 => "HMAC-SHA-384-192 [RFC4868]",
        Integrity::Sha512 => "HMAC-SHA-512-256 [RFC4868]",
        Integrity::Combined => "NULL",
    }
}

/// What makes Wireshark take an ICV off unchecked: its table has no place for the high half of a sequence number, which
/// a separate integrity algorithm covers (RFC 4303 section 2.2.1).
const fn unchecked_name(integrity: Integrity) -> &'static str {
    match integrity.icv_len() {
        12 => "ANY 96 bit authentication [no checking]",
        16 => "ANY 128 bit authentication [no checking]",
        24 => "ANY 192 bit authentication [no checking]",
        _ => "ANY 256 bit authentication [no checking]",
    }
}

/// Whether Wireshark opens this SA's packets.
pub const fn knows(cipher: Cipher) -> bool {
    cipher_name(cipher).is_some()
}

/// The `esp_sa` table.
pub fn esp_sa(sas: &[SaSpec]) -> String {
    let mut table = String::new();
    for sa in sas {
        let Some(cipher) = cipher_name(sa.transform.cipher()) else { continue };
        let integrity = sa.transform.integrity();
        let unchecked = sa.esn && integrity != Integrity::Combined;
        let family = if sa.dst.is_ipv4() { "IPv4" } else { "IPv6" };
        // Addresses are left open: Wireshark compares text, and in transport mode they are the packet's own.
        let _ = writeln!(
            table,
            "\"{family}\",\"*\",\"*\",\"0x{:08x}\",\"{cipher}\",\"{}\",\"{}\",\"{}\"",
            sa.spi.0,
            hex(sa.key.bytes()),
            if unchecked { unchecked_name(integrity) } else { integrity_name(integrity) },
            if unchecked { String::new() } else { hex(sa.auth_key.bytes()) },
        );
    }
    table
}

/// Write the directory `dir`, in place of the files of one that was there.
///
/// # Errors
/// It cannot be made or written.
pub fn write_keys(dir: &Path, sas: &[SaSpec], ike: &[IkeKey]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    let mut table = String::new();
    for key in ike {
        let _ = writeln!(table, "{},{}", digits(&key.initiator_cookie), digits(&key.encryption_key));
    }
    let files =
        [("esp_sa", esp_sa(sas)), ("ikev1_decryption_table", table), ("preferences", PREFERENCES.to_owned())];
    for (name, text) in files {
        let mut file = Staged::create_private(&dir.join(name))?;
        file.write_all(text.as_bytes())?;
        file.persist()?;
    }
    Ok(())
}

/// `0x` and digits; nothing for no bytes.
fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() { String::new() } else { format!("0x{}", digits(bytes)) }
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sa_file::SaFile;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_directory_is_private_and_holds_the_sas_wireshark_knows() {
        let sa = |spi: u32, transform: &str, key: usize, auth: usize| {
            let (key, auth) = ("11".repeat(key), "22".repeat(auth));
            format!(
                "[[sa]]\nspi = {spi}\nsrc = \"10.0.0.1\"\ndst = \"10.0.0.2\"\ntransform = \"{transform}\"\nkey = \"{key}\"\nauth_key = \"{auth}\"\n"
            )
        };
        let text =
            sa(256, "aes128-gcm", 20, 0) + &sa(257, "chacha20-poly1305", 36, 0) + &sa(258, "null-md5", 0, 16);
        let sas = SaFile::parse("x", &text).unwrap().sas;
        let dir = std::env::temp_dir().join(format!("espalier-keys-{}", std::process::id()));
        let ike = IkeKey { initiator_cookie: [1; 8], encryption_key: vec![0xab; 8] };
        write_keys(&dir, &sas, &[ike]).unwrap();
        let esp_sa = fs::read_to_string(dir.join("esp_sa")).unwrap();
        assert_eq!(esp_sa.lines().count(), 2);
        assert!(esp_sa.contains("\"0x00000100\",\"AES-GCM with 16 octet ICV [RFC4106]\",\"0x1111"));
        assert!(esp_sa.contains("\"NULL\",\"\",\"HMAC-MD5-96 [RFC2403]\",\"0x2222"));
        let ike = fs::read_to_string(dir.join("ikev1_decryption_table")).unwrap();
        assert_eq!(ike, "0101010101010101,abababababababab\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join("esp_sa"))), (0o700, 0o600));
        fs::remove_dir_all(dir).unwrap();
    }
}
