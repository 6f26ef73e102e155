//! HMAC against RFC 2202, RFC 4231 and RFC 4868: each engine through its NULL transforms, whose header and text are the
//! message, and the twin's own HMAC for what no NULL transform has.

use espalier_wire::Integrity;

use super::*;
use crate::crypto::scalar::mac::MacKey;

/// HMAC pads a key with zeros: a shorter one is the same key at the transform's length.
fn check(integrity: Integrity, key: &[u8], data: &[u8], digest: &[u8]) {
    let mac = MacKey::new(integrity, key).unwrap();
    let mut tag = vec![0; digest.len()];
    mac.sign(data, None, &mut tag).unwrap();
    assert_eq!(hex::encode(&tag), hex::encode(digest), "{integrity:?}");
    mac.verify(data, None, digest).unwrap();
    // With ESN, the message's last four bytes are the high half of the sequence number.
    let (data_lo, hi) = data.split_last_chunk().unwrap();
    mac.verify(data_lo, Some(u32::from_be_bytes(*hi)), digest).unwrap();

    let null = Transform::ALL.iter().find(|t| t.cipher() == Cipher::Null && t.integrity() == integrity);
    let Some(&transform) = null.filter(|t| key.len() <= t.auth_key_len()) else { return };
    let mut auth_key = key.to_vec();
    auth_key.resize(transform.auth_key_len(), 0);
    let icv = &digest[..transform.icv_len()];
    let packet = |authed: &[u8], seq_hi| Published {
        transform,
        key: Vec::new(),
        auth_key: auth_key.clone(),
        seq_hi,
        sealed: [authed, icv].concat(),
        text: authed[8..].to_vec(),
    };
    packet(data, None).check("HMAC");
    if data_lo.len() >= 8 {
        packet(data_lo, Some(u32::from_be_bytes(*hi))).check("HMAC with ESN");
    }
}

const JEFE: &[u8] = b"what do ya want for nothing?";
const LONG_KEY: &[u8] = b"Test Using Larger Than Block-Size Key - Hash Key First";
const LONG_BOTH: &[u8] = b"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data";
const LONGER_BOTH: &[u8] =
    b"This is a test using a larger than block-size key and a larger than block-size data. \
    The key needs to be hashed before being used by the HMAC algorithm.";

/// The key of case 4 in RFC 2202 and RFC 4231.
const TO_25: &[u8] =
    &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25];

/// Bytes that count up.
fn from_to(from: u8, to: u8) -> Vec<u8> {
    (from..=to).collect()
}

/// Keys for MD5 and SHA-1, message, digests.
type Rfc2202 = (&'static [u8], &'static [u8], &'static [u8], &'static str, &'static str);

const RFC_2202: [Rfc2202; 7] = [
    (
        &[0x0b; 16],
        &[0x0b; 20],
        b"Hi There",
        "9294727a3638bb1c13f48ef8158bfc9d",
        "b617318655057264e28bc0b6fb378c8ef146be00",
    ),
    (b"Jefe", b"Jefe", JEFE, "750c783e6ab0b503eaa86e310a5db738", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
    (
        &[0xaa; 16],
        &[0xaa; 20],
        &[0xdd; 50],
        "56be34521d144c88dbb8c733f0e8b3f6",
        "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
    ),
    (
        TO_25,
        TO_25,
        &[0xcd; 50],
        "697eaf0aca3a3aea3a75164746ffaa79",
        "4c9007f4026250c6bc8414f9bf50c86c2d7235da",
    ),
    (
        &[0x0c; 16],
        &[0x0c; 20],
        b"Test With Truncation",
        "56461ef2342edc00f9bab995690efd4c",
        "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04",
    ),
    (
        &[0xaa; 80],
        &[0xaa; 80],
        LONG_KEY,
        "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd",
        "aa4ae5e15272d00e95705637ce8a3b55ed402112",
    ),
    (
        &[0xaa; 80],
        &[0xaa; 80],
        LONG_BOTH,
        "6f630fad67cda0ee1fb1f562db3aa53e",
        "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
    ),
];

#[test]
fn rfc_2202_hmac_md5_and_sha_1() {
    for (md5_key, sha_key, data, md5, sha) in RFC_2202 {
        check(Integrity::Md5, md5_key, data, &hex(md5));
        check(Integrity::Sha1, sha_key, data, &hex(sha));
    }
}

/// Key, message, digests of SHA-256, SHA-384 and SHA-512.
const RFC_4231: [(&[u8], &[u8], [&str; 3]); 7] = [
    (
        &[0x0b; 20],
        b"Hi There",
        [
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde \
             daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
        ],
    ),
    (
        b"Jefe",
        JEFE,
        [
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554 \
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ],
    ),
    (
        &[0xaa; 20],
        &[0xdd; 50],
        [
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b2a5ab39dc13814b94e3ab6e101a34f27",
            "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39 \
             bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
        ],
    ),
    (
        TO_25,
        &[0xcd; 50],
        [
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e6801dd23c4a7d679ccf8a386c674cffb",
            "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db \
             a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
        ],
    ),
    (
        &[0x0c; 20],
        b"Test With Truncation",
        [
            "a3b6167473100ee06e0c796c2955552b",
            "3abf34c3503b2a23a46efc619baef897",
            "415fad6271580a531d4179bc891d87a6",
        ],
    ),
    (
        &[0xaa; 131],
        LONG_KEY,
        [
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952",
            "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352 \
             6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
        ],
    ),
    (
        &[0xaa; 131],
        LONGER_BOTH,
        [
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5a678cc31e799176d3860e6110c46523e",
            "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944 \
             b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58",
        ],
    ),
];

#[test]
fn rfc_4231_hmac_sha_2() {
    for (key, data, digests) in RFC_4231 {
        for (integrity, digest) in
            [Integrity::Sha256, Integrity::Sha384, Integrity::Sha512].into_iter().zip(digests)
        {
            check(integrity, key, data, &hex(digest));
        }
    }
}

/// The keys of RFC 4868 are of the length that ESP's are.
#[test]
fn rfc_4868_authenticators() {
    let jefe = b"Jefe".repeat(16);
    let key_256 = from_to(1, 32);
    let key_384 = [from_to(1, 32), from_to(10, 25)].concat();
    // The RFC prints 16 bytes more before these and calls it all 64.
    let key_512 = from_to(1, 64);
    let cases: [(Integrity, &[u8], &[u8], &str); 12] = [
        (Integrity::Sha256, &[0x0b; 32], b"Hi There", "198a607eb44bfbc69903a0f1cf2bbdc5"),
        (Integrity::Sha256, &jefe[..32], JEFE, "167f928588c5cc2eef8e3093caa0e87c"),
        (Integrity::Sha256, &[0xaa; 32], &[0xdd; 50], "cdcb1220d1ecccea91e53aba3092f962"),
        (Integrity::Sha256, &key_256, &[0xcd; 50], "372efcf9b40b35c2115b1346903d2ef4"),
        (Integrity::Sha384, &[0x0b; 48], b"Hi There", "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973"),
        (Integrity::Sha384, &jefe[..48], JEFE, "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d"),
        (Integrity::Sha384, &[0xaa; 48], &[0xdd; 50], "809f439be00274321d4a538652164b53554a508184a0c316"),
        (Integrity::Sha384, &key_384, &[0xcd; 50], "5b540085c6e6358096532b2493609ed1cb298f774f87bb5c"),
        (
            Integrity::Sha512,
            &[0x0b; 64],
            b"Hi There",
            "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
        ),
        (
            Integrity::Sha512,
            &jefe[..64],
            JEFE,
            "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454",
        ),
        (
            Integrity::Sha512,
            &[0xaa; 64],
            &[0xdd; 50],
            "2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8",
        ),
        (
            Integrity::Sha512,
            &key_512,
            &[0xcd; 50],
            "5e6688e5a3daec826ca32eaea224eff5e700628947470e13ad01302561bab108",
        ),
    ];
    for (integrity, key, data, digest) in cases {
        assert_eq!(key.len(), integrity.key_len());
        check(integrity, key, data, &hex(digest));
    }
}
