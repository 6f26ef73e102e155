//! Good files give SAs, bad ones a place and a sentence, and no file a panic.

use super::*;
use proptest::prelude::*;

const GOOD: &str = r#"# an SA
[[sa]]
spi = 0x12345678
src = "192.1.2.23"
dst = "192.1.2.45"
mode = "tunnel"
transform = "des-md5"
key = "0123456789abcdef"
auth_key = "00112233445566778899aabbccddeeff"
esn = false
replay_window = 64
udp_encap = { src = 4500, dst = 4500 }
selector = { src = "10.1.1.0/24", dst = "20.1.1.1" }
mtu = 1400
"#;

fn mistake(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    SaFile::parse("sa.toml", &GOOD.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn a_good_file_is_read_whole() {
    let file = SaFile::parse("sa.toml", GOOD).unwrap();
    let sa = &file.sas[0];
    assert_eq!((sa.spi, sa.transform, sa.mtu), (Spi(0x1234_5678), Transform::DesMd5, Some(1400)));
    assert_eq!((sa.key.bytes().len(), sa.auth_key.bytes()[15]), (8, 0xff));
    assert_eq!(sa.selector.unwrap().dst.to_string(), "20.1.1.1/32");
    assert_eq!(file.rules().len(), 1);
    let open = SaFile::parse("sa.toml", &GOOD.replace("selector", "# selector")).unwrap();
    assert_eq!(open.rules().len(), 2, "every IPv4 and every IPv6 packet");
}

#[test]
fn every_mistake_has_its_place() {
    let expected = [
        (
            "transform = \"des-md5\"",
            "transform = \"des-md6\"",
            "sa.toml:7:13: unknown transform \"des-md6\"; did you mean \"des-md5\"?",
        ),
        ("0123456789abcdef", "0123", "sa.toml:8:7: des-md5: key has 2 bytes, not 8"),
        ("0123456789abcdef", "x", "sa.toml:8:7: key is not hexadecimal digits, two a byte"),
        ("auth_key = ", "# ", "sa.toml:2:1: auth_key is missing: des-md5 takes 16 bytes"),
        (
            "replay_window = 64",
            "replay_window = 8193",
            "sa.toml:11:17: a replay window of 8193 packets, more than 8192",
        ),
        ("0x12345678", "0", "sa.toml:3:7: SPI 0 never stands on the wire (RFC 4303 section 2.1)"),
        ("\"192.1.2.45\"", "\"2001:db8::1\"", "sa.toml:5:7: src and dst are not of one address family"),
        ("\"tunnel\"", "\"tunel\"", "sa.toml:6:8: \"tunel\" is none of tunnel, transport"),
        ("esn =", "ens =", "sa.toml:10:1: unknown key \"ens\"; did you mean \"esn\"?"),
        ("mtu = 1400", "mtu = 20", "sa.toml:14:7: an MTU of 20 bytes, under 128"),
        ("\"10.1.1.0/24\"", "\"10.1.1.0/33\"", "sa.toml:13:20: \"10.1.1.0/33\" is no address or prefix"),
    ];
    for (from, to, message) in expected {
        assert_eq!(mistake(from, to), message);
    }
    assert!(mistake("\"192.1.2.45\"", "nowhere").starts_with("sa.toml:5:"));
    assert_eq!(SaFile::parse("x", "").unwrap_err().to_string(), "x:1:1: no [[sa]] in it");
    let twice = format!("{GOOD}{GOOD}");
    let second = SaFile::parse("x", &twice).unwrap_err().to_string();
    assert_eq!(second, "x:17:7: SPI 0x12345678 is that of an SA above");
}

#[test]
fn weak_and_misparitied_keys_are_named() {
    let weak = SaFile::parse("sa.toml", &GOOD.replace("0123456789abcdef", "0101010101010101")).unwrap();
    assert!(weak.warnings.iter().any(|w| w.to_string().contains("weak")), "{:?}", weak.warnings);
    let even = SaFile::parse("sa.toml", &GOOD.replace("0123456789abcdef", "0023456789abcdef")).unwrap();
    assert!(even.warnings[0].to_string().starts_with("sa.toml:8:7: "), "{:?}", even.warnings);
}

proptest! {
    #[test]
    fn no_text_panics(at in 0..GOOD.len(), to: String, cut in 0..GOOD.len()) {
        let _ = SaFile::parse("x", &to);
        let _ = SaFile::parse("x", &GOOD[..cut]);
        let mut text = GOOD.to_owned();
        text.replace_range(at..=at, &to);
        let _ = SaFile::parse("x", &text);
    }
}
