//! Project Wycheproof, as far as its cases can be laid out as ESP: combined modes whose additional data is a header's 8 or
//! 12 bytes, CBC with its padding as the text's, HMAC over messages that can be packets.

use ::wycheproof::{TestResult, aead, cipher, mac};
use espalier_wire::Integrity;

use super::published_combined::packet;
use super::*;
use crate::crypto::scalar::mac::MacKey;

fn aead_cases(name: aead::TestName, transform: impl Fn(usize) -> Transform) -> usize {
    let mut cases = 0;
    for group in aead::TestSet::load(name).unwrap().test_groups {
        if group.nonce_size != 96 || group.tag_size != 128 {
            continue;
        }
        for case in group.tests.iter().filter(|c| [8, 12].contains(&c.aad.len())) {
            let sealed = [&case.ct[..], &case.tag].concat();
            let transform = transform(group.key_size);
            let packet = packet(transform, &case.key, &case.nonce, &case.aad, &case.pt, &sealed);
            match case.result {
                TestResult::Valid => packet.check(&format!("case {}", case.tc_id)),
                _ => packet.check_refused(&format!("case {}", case.tc_id)),
            }
            cases += 1;
        }
    }
    cases
}

#[test]
fn combined_modes() {
    let gcm = aead_cases(aead::TestName::AesGcm, |key| match key {
        128 => Transform::Aes128Gcm,
        192 => Transform::Aes192Gcm,
        _ => Transform::Aes256Gcm,
    });
    let chacha = aead_cases(aead::TestName::ChaCha20Poly1305, |_| Transform::ChaCha20Poly1305);
    assert_eq!((gcm, chacha), (5, 47));
}

#[test]
fn aes_cbc() {
    let mut cases = 0;
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap().test_groups {
        let cipher = match group.key_size {
            128 => Cipher::Aes128Cbc,
            192 => Cipher::Aes192Cbc,
            _ => Cipher::Aes256Cbc,
        };
        for case in group.tests.iter().filter(|c| c.result == TestResult::Valid) {
            let pad = 16 - case.pt.len() % 16;
            let text = [&case.pt[..], &vec![pad as u8; pad]].concat();
            check_cbc(cipher, &case.key, &case.nonce, &text, &case.ct);
            cases += 1;
        }
    }
    assert!(cases > 60, "{cases}");
}

fn hmac_case(integrity: Integrity, case: &mac::Test) -> usize {
    let valid = case.result == TestResult::Valid;
    let key = MacKey::new(integrity, &case.key).unwrap();
    assert_eq!(key.verify(&case.msg, None, &case.tag).is_some(), valid, "{integrity:?} {}", case.tc_id);
    let mut packets = 0;
    for &transform in Transform::ALL.iter().filter(|t| t.integrity() == integrity) {
        let text_at = 8 + transform.iv_len();
        let fits = case.msg.len() >= text_at
            && (transform.cipher() == Cipher::Null || (case.msg.len() - text_at).is_multiple_of(16))
            && case.key.len() <= transform.auth_key_len()
            && (case.tag.len() == transform.icv_len() || valid && case.tag.len() > transform.icv_len());
        if !fits {
            continue;
        }
        let mut auth_key = case.key.to_vec();
        auth_key.resize(transform.auth_key_len(), 0);
        let sealed = [&case.msg[..], &case.tag[..transform.icv_len()]].concat();
        let key = vec![9; transform.key_len()];
        for engine in Engines::all().filter(|e| e.covers(transform)) {
            let key = engine.key(transform, Direction::Inbound, &key, &auth_key, false).unwrap();
            assert_eq!(run_one(&key, &mut sealed.clone(), 0), valid, "{transform} {}", case.tc_id);
        }
        packets += 1;
    }
    packets
}

#[test]
fn hmac() {
    let sets = [
        (mac::TestName::HmacSha1, Integrity::Sha1),
        (mac::TestName::HmacSha256, Integrity::Sha256),
        (mac::TestName::HmacSha384, Integrity::Sha384),
        (mac::TestName::HmacSha512, Integrity::Sha512),
    ];
    for (name, integrity) in sets {
        let groups = mac::TestSet::load(name).unwrap().test_groups;
        let packets: usize =
            groups.iter().flat_map(|g| &g.tests).map(|case| hmac_case(integrity, case)).sum();
        assert!(packets > 0, "{integrity:?}");
    }
}
