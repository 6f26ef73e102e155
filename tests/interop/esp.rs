//! ESP against programs we did not write: tshark opens what we seal, scapy opens what we seal and we open what it seals.

use std::path::{Path, PathBuf};
use std::process::Command;

use espalier::wireshark::knows;
use espalier_tests::{Scratch, foreign, hex, key, missing, packets, peers_are_required, root, sa_toml};
use espalier_wire::Transform;
use espalier_wire::transform::{Cipher, Integrity};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let tshark = missing(&["tshark", "--version"]);
    let scapy = missing(&["/usr/bin/python3", "-c", "import scapy.layers.ipsec"]);
    let mut trials = Vec::new();
    for transform in Transform::ALL.iter().copied() {
        if knows(transform.cipher()) {
            trials.push(trial("tshark opens", transform, &tshark, tshark_opens));
        }
        if scapy_name(transform).is_some() {
            trials.push(trial("scapy opens", transform, &scapy, scapy_opens));
            trials.push(trial("we open scapy's", transform, &scapy, we_open_scapys));
        }
    }
    let capture = foreign("esp/02-sunrise-sunset-esp.pcap");
    let there = capture.is_file();
    trials.push(
        Trial::test("a foreign capture opens with its published keys", move || foreign_opens(&capture))
            .with_ignored_flag(!there),
    );
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(
    what: &str,
    transform: Transform,
    missing: &Option<String>,
    run: fn(Transform) -> Result<(), Failed>,
) -> Trial {
    let name = match missing {
        Some(why) => format!("{what} {transform} ({why})"),
        None => format!("{what} {transform}"),
    };
    // Required peers that are missing fail; otherwise the test says that it was ignored, and why.
    let ignored = missing.is_some() && !peers_are_required();
    Trial::test(name, move || run(transform)).with_ignored_flag(ignored)
}

fn espalier(verb: &str, sa: &Path, input: &Path, output: &Path) -> Result<(), Failed> {
    let done = Command::new(env!("CARGO_BIN_EXE_espalier-tested"))
        .args([verb, "--only", "--sa"])
        .args([sa.as_os_str(), input.as_os_str(), "-o".as_ref(), output.as_os_str()])
        .output()?;
    done.status
        .success()
        .then_some(())
        .ok_or_else(|| String::from_utf8_lossy(&done.stderr).into_owned().into())
}

fn plain() -> PathBuf {
    root().join("pcaps/ping.pcap")
}

/// With the keys folder as it stands beside the output, tshark shows each inner packet and finds every ICV right.
fn tshark_opens(transform: Transform) -> Result<(), Failed> {
    let scratch = Scratch::new();
    let sa = scratch.file("sa.toml", sa_toml(transform, ""));
    let esp = scratch.path("esp.pcap");
    espalier("encap", &sa, &plain(), &esp)?;
    let done = Command::new("tshark")
        .env("WIRESHARK_CONFIG_DIR", scratch.path("esp.pcap.keys"))
        .args(["-r", esp.to_str().unwrap_or_default(), "-T", "fields"])
        .args([
            "-e",
            "ip.id",
            "-e",
            "ip.len",
            "-e",
            "esp.icv_good",
            "-e",
            "esp.icv_bad",
            "-e",
            "_ws.malformed",
        ])
        .output()?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let expected = packets(&plain());
    if rows.len() != expected.len() {
        return Err(format!("{} rows for {} packets", rows.len(), expected.len()).into());
    }
    for (row, (_, ip)) in rows.iter().zip(&expected) {
        let len = u16::from_be_bytes([ip[2], ip[3]]).to_string();
        let inner = row[1].split(',').nth(1);
        let icv_wrong = row[3] == "1" || row[3] == "True" || !row[4].is_empty();
        if inner != Some(&len) || icv_wrong {
            return Err(format!("inner length {len} expected: {row:?}").into());
        }
    }
    // GCM's ICV is checked with the decryption; the others say so in a field.
    let said = rows.iter().filter(|row| row[2] == "1" || row[2] == "True").count();
    if transform.integrity() != Integrity::Combined && said != rows.len() {
        return Err(format!("{said} of {} ICVs called good", rows.len()).into());
    }
    Ok(())
}

/// scapy's names for a transform; it has no GMAC.
fn scapy_name(transform: Transform) -> Option<(&'static str, &'static str)> {
    let crypt = match transform.cipher() {
        Cipher::Null => "NULL",
        Cipher::DesCbc => "DES",
        Cipher::TripleDesCbc => "3DES",
        Cipher::Aes128Cbc | Cipher::Aes192Cbc | Cipher::Aes256Cbc => "AES-CBC",
        Cipher::Aes128Gcm | Cipher::Aes192Gcm | Cipher::Aes256Gcm => "AES-GCM",
        Cipher::ChaCha20Poly1305 => "CHACHA20-POLY1305",
        Cipher::Aes128Gmac => return None,
    };
    let auth = match transform.integrity() {
        Integrity::Md5 => "HMAC-MD5-96",
        Integrity::Sha1 => "HMAC-SHA1-96",
        Integrity::Sha256 => "SHA2-256-128",
        Integrity::Sha384 => "SHA2-384-192",
        Integrity::Sha512 => "SHA2-512-256",
        Integrity::Combined => "NULL",
    };
    Some((crypt, auth))
}

/// Run scapy over one case; `false` when it does not know the transform.
fn scapy(
    verb: &str,
    transform: Transform,
    plain: &Path,
    esp: &Path,
    scratch: &Scratch,
) -> Result<bool, Failed> {
    let (crypt, auth) = scapy_name(transform).ok_or("no name")?;
    let case = serde_json::json!([{
        "name": transform.name(), "spi": 0x1000, "src": "198.51.100.1", "dst": "198.51.100.2",
        "crypt": crypt, "auth": auth, "plain": plain, "esp": esp,
        "key": hex(&key(transform.key_len(), 0x23)), "auth_key": hex(&key(transform.auth_key_len(), 0x61)),
    }]);
    let cases = scratch.file("cases.json", case.to_string());
    let script = root().join("tests/interop/scapy_esp.py");
    let done = Command::new("/usr/bin/python3").arg(script).arg(verb).arg(cases).output()?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    match said.trim() {
        said if said == format!("{transform} ok") => Ok(true),
        said if said.starts_with(&format!("{transform} unsupported")) => Ok(false),
        _ => Err(format!("{said}{}", String::from_utf8_lossy(&done.stderr)).into()),
    }
}

fn scapy_opens(transform: Transform) -> Result<(), Failed> {
    let scratch = Scratch::new();
    let sa = scratch.file("sa.toml", sa_toml(transform, ""));
    let esp = scratch.path("esp.pcap");
    espalier("encap", &sa, &plain(), &esp)?;
    known(transform, scapy("decrypt", transform, &plain(), &esp, &scratch)?)
}

fn we_open_scapys(transform: Transform) -> Result<(), Failed> {
    let scratch = Scratch::new();
    let sa = scratch.file("sa.toml", sa_toml(transform, ""));
    let (esp, back) = (scratch.path("esp.pcap"), scratch.path("back.pcap"));
    known(transform, scapy("encrypt", transform, &plain(), &esp, &scratch)?)?;
    espalier("decap", &sa, &esp, &back)?;
    let bytes = |path: &Path| packets(path).into_iter().map(|(_, ip)| ip).collect::<Vec<_>>();
    if bytes(&back) == bytes(&plain()) { Ok(()) } else { Err("other packets came back".into()) }
}

fn known(transform: Transform, known: bool) -> Result<(), Failed> {
    if known { Ok(()) } else { Err(format!("this scapy does not know {transform}").into()) }
}

/// A capture of tcpdump's own tests, and the keys published with it: eight pings.
fn foreign_opens(capture: &Path) -> Result<(), Failed> {
    let scratch = Scratch::new();
    let text = "[[sa]]\nspi = 0x12345678\nsrc = \"192.1.2.23\"\ndst = \"192.1.2.45\"\ntransform = \"3des-md5\"\n\
        key = \"4043434545464649494a4a4c4c4f4f515152525454575758\"\nauth_key = \"87658765876587658765876587658765\"\n";
    let out = scratch.path("out.pcap");
    espalier("decap", &scratch.file("sa.toml", text), capture, &out)?;
    let inner = packets(&out);
    let pings = inner.iter().filter(|(_, ip)| ip[9] == 1).count();
    if (inner.len(), pings) == (8, 8) {
        Ok(())
    } else {
        Err(format!("{pings} pings of {}", inner.len()).into())
    }
}
