//! Authentication of OSPF packets (RFC 2328 appendix D): none, a clear password, or keyed MD5.

use md5::{Digest, Md5};

use super::HEADER_LEN;
use crate::checksum;

/// What an interface's packets are authenticated with. Keys are padded with zeros.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// AuType 0.
    #[default]
    Null,
    /// AuType 1: eight bytes in clear.
    Simple([u8; 8]),
    /// AuType 2: keyed MD5.
    Md5 {
        /// Which key, so that keys can be rolled over.
        key_id: u8,
        /// The secret.
        key: [u8; 16],
    },
}

impl Auth {
    /// A clear password; what is longer than 8 bytes is cut, as IOS does.
    pub fn simple(password: &[u8]) -> Self {
        Self::Simple(padded(password))
    }

    /// A keyed-MD5 key; what is longer than 16 bytes is cut, as IOS does.
    pub fn md5(key_id: u8, key: &[u8]) -> Self {
        Self::Md5 { key_id, key: padded(key) }
    }

    /// Bytes that follow the packet proper.
    pub const fn trailer_len(&self) -> usize {
        match self {
            Self::Null | Self::Simple(_) => 0,
            Self::Md5 { .. } => 16,
        }
    }
}

impl std::fmt::Debug for Auth {
    /// Never the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Simple(_) => f.write_str("Simple"),
            Self::Md5 { key_id, .. } => write!(f, "Md5(key {key_id})"),
        }
    }
}

/// Why a packet is not authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The AuType differs from the interface's.
    #[error("mismatch of authentication type")]
    Type,
    /// The clear password or the key id differs.
    #[error("mismatch of authentication key")]
    Key,
    /// The digest is missing or wrong.
    #[error("wrong message digest")]
    Digest,
    /// The packet's checksum is wrong.
    #[error("wrong checksum")]
    Checksum,
}

fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

/// The packet's checksum: over everything but the 64-bit authentication field (RFC 2328 section D.4).
fn packet_checksum(packet: &[u8]) -> u16 {
    let head = packet.get(..16).unwrap_or_default();
    let body = packet.get(HEADER_LEN..).unwrap_or_default();
    !checksum::add(checksum::sum(head), checksum::sum(body))
}

fn digest(packet: &[u8], key: &[u8; 16]) -> [u8; 16] {
    let mut hash = Md5::new();
    hash.update(packet);
    hash.update(key);
    hash.finalize().into()
}

/// Fill in AuType, checksum and authentication of a `packet` whose fields for them are zero (RFC 2328 section D.4).
pub(super) fn seal(packet: &mut Vec<u8>, auth: &Auth, sequence: u32) {
    let au_type: u16 = match auth {
        Auth::Null => 0,
        Auth::Simple(_) => 1,
        Auth::Md5 { .. } => 2,
    };
    packet[14..16].copy_from_slice(&au_type.to_be_bytes());
    match auth {
        Auth::Null | Auth::Simple(_) => {
            let sum = packet_checksum(packet);
            packet[12..14].copy_from_slice(&sum.to_be_bytes());
            if let Auth::Simple(password) = auth {
                packet[16..24].copy_from_slice(password);
            }
        }
        Auth::Md5 { key_id, key } => {
            packet[16..20].copy_from_slice(&[0, 0, *key_id, 16]);
            packet[20..24].copy_from_slice(&sequence.to_be_bytes());
            let digest = digest(packet, key);
            packet.extend_from_slice(&digest);
        }
    }
}

/// Check a packet of exactly its own length, and the `trailer` after it (RFC 2328 section D.5). Gives the cryptographic
/// sequence number, where there is one; that it does not run backwards is for the caller to check.
pub(super) fn verify(packet: &[u8], trailer: &[u8], auth: &Auth) -> Result<Option<u32>, AuthError> {
    let Some((head, _)) = packet.split_first_chunk::<HEADER_LEN>() else { return Err(AuthError::Checksum) };
    let au_type = u16::from_be_bytes([head[14], head[15]]);
    match auth {
        Auth::Null if au_type == 0 => verify_checksum(packet, head).map(|()| None),
        Auth::Simple(password) if au_type == 1 => {
            verify_checksum(packet, head)?;
            if head[16..24] == password[..] { Ok(None) } else { Err(AuthError::Key) }
        }
        Auth::Md5 { key_id, key } if au_type == 2 => {
            if head[18] != *key_id || head[19] != 16 {
                return Err(AuthError::Key);
            }
            if trailer.get(..16) != Some(&digest(packet, key)[..]) {
                return Err(AuthError::Digest);
            }
            Ok(Some(u32::from_be_bytes([head[20], head[21], head[22], head[23]])))
        }
        Auth::Null | Auth::Simple(_) | Auth::Md5 { .. } => Err(AuthError::Type),
    }
}

fn verify_checksum(packet: &[u8], head: &[u8; HEADER_LEN]) -> Result<(), AuthError> {
    let field = u16::from_be_bytes([head[12], head[13]]);
    // The sum of the packet with its checksum is all ones, whichever zero the sender chose.
    let sum = checksum::add(
        checksum::sum(&head[..16]),
        checksum::sum(packet.get(HEADER_LEN..).unwrap_or_default()),
    );
    if sum == 0xffff || field == packet_checksum(packet) { Ok(()) } else { Err(AuthError::Checksum) }
}
