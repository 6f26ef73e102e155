//! What is wrong with a DES or triple-DES key that works all the same: parity, the weak and semi-weak keys, and
//! triple DES that is single DES. Peers accept such keys, and so do the engines; callers warn.

use std::fmt;

use espalier_wire::{Cipher, Transform};

/// Something to tell the user about a key that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyWarning {
    /// Bytes whose low bit does not make their parity odd (FIPS 46-3); DES ignores that bit.
    Parity {
        /// How many of the key's bytes.
        bytes: usize,
    },
    /// Encryption is its own inverse.
    Weak {
        /// Which of the subkeys, from 1.
        subkey: usize,
        /// The key, its parity set right.
        key: u64,
    },
    /// Encryption undoes that of its pair.
    SemiWeak {
        /// Which of the subkeys, from 1.
        subkey: usize,
        /// The key, its parity set right.
        key: u64,
    },
    /// K1 = K2 or K2 = K3: triple DES is then single DES (RFC 2451 section 2.3).
    SingleDes {
        /// Of the two equal subkeys, the first, from 1.
        first: usize,
    },
}

impl fmt::Display for KeyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parity { bytes } => write!(f, "{bytes} bytes of the DES key have even parity (ignored)"),
            Self::Weak { subkey, key } => write!(f, "DES key K{subkey} is the weak key {key:016x}"),
            Self::SemiWeak { subkey, key } => write!(f, "DES key K{subkey} is the semi-weak key {key:016x}"),
            Self::SingleDes { first } => {
                write!(f, "triple-DES keys K{first} and K{} are equal: this is single DES", first + 1)
            }
        }
    }
}

/// FIPS 74, RFC 2409 appendix A.
const WEAK: [u64; 4] =
    [0x0101_0101_0101_0101, 0x1f1f_1f1f_0e0e_0e0e, 0xe0e0_e0e0_f1f1_f1f1, 0xfefe_fefe_fefe_fefe];

/// FIPS 74, RFC 2409 appendix A: each with its pair.
const SEMI_WEAK: [u64; 12] = [
    0x01fe_01fe_01fe_01fe,
    0xfe01_fe01_fe01_fe01,
    0x1fe0_1fe0_0ef1_0ef1,
    0xe01f_e01f_f10e_f10e,
    0x01e0_01e0_01f1_01f1,
    0xe001_e001_f101_f101,
    0x1ffe_1ffe_0efe_0efe,
    0xfe1f_fe1f_fe0e_fe0e,
    0x011f_011f_010e_010e,
    0x1f01_1f01_0e01_0e01,
    0xe0fe_e0fe_f1fe_f1fe,
    0xfee0_fee0_fef1_fef1,
];

/// What to warn about in a transform's key; nothing for transforms without DES. A key of a wrong length is not judged.
pub fn key_warnings(transform: Transform, key: &[u8]) -> Vec<KeyWarning> {
    if !matches!(transform.cipher(), Cipher::DesCbc | Cipher::TripleDesCbc)
        || key.len() != transform.key_len()
    {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    let even = key.iter().filter(|byte| byte.count_ones().is_multiple_of(2)).count();
    if even > 0 {
        warnings.push(KeyWarning::Parity { bytes: even });
    }
    let subkeys: Vec<u64> = key.as_chunks::<8>().0.iter().map(|k| with_odd_parity(*k)).collect();
    for (subkey, &key) in (1..).zip(&subkeys) {
        if WEAK.contains(&key) {
            warnings.push(KeyWarning::Weak { subkey, key });
        } else if SEMI_WEAK.contains(&key) {
            warnings.push(KeyWarning::SemiWeak { subkey, key });
        }
    }
    let equal = (1..).zip(subkeys.windows(2)).filter(|(_, pair)| pair.first() == pair.last());
    warnings.extend(equal.map(|(first, _)| KeyWarning::SingleDes { first }));
    warnings
}

fn with_odd_parity(key: [u8; 8]) -> u64 {
    u64::from_be_bytes(key.map(|byte| byte & 0xfe | u8::from((byte >> 1).count_ones().is_multiple_of(2))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::scalar::cbc::CbcKey;
    use espalier_wire::plane::Direction;

    fn encrypted(key: u64, block: &mut [u8; 8]) {
        let key = CbcKey::new(Cipher::DesCbc, Direction::Outbound, &key.to_be_bytes()).unwrap();
        key.encrypt(&[0; 8], block).unwrap();
    }

    /// The tables are what they claim: weak keys undo themselves, semi-weak ones their neighbours.
    #[test]
    fn weak_keys_are_involutions() {
        let pairs =
            WEAK.iter().map(|&k| (k, k)).chain(SEMI_WEAK.as_chunks::<2>().0.iter().map(|&[a, b]| (a, b)));
        for (a, b) in pairs {
            let mut block = *b"espalier";
            encrypted(a, &mut block);
            assert_ne!(&block, b"espalier");
            encrypted(b, &mut block);
            assert_eq!(&block, b"espalier", "{a:016x} {b:016x}");
        }
    }

    #[test]
    fn keys_are_judged_whatever_their_parity() {
        let of = |t, key: &str| key_warnings(t, &hex::decode(key).unwrap());
        let said = |t, key: &str| of(t, key).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        assert_eq!(of(Transform::DesMd5, "0123456789abcdef"), []);
        assert_eq!(
            said(Transform::DesMd5, "0000000000000000"),
            "8 bytes of the DES key have even parity (ignored); DES key K1 is the weak key 0101010101010101"
        );
        assert_eq!(
            said(Transform::DesSha1, "e001e001f101f101"),
            "DES key K1 is the semi-weak key e001e001f101f101"
        );
        assert_eq!(
            of(Transform::TripleDesSha1, "0123456789abcdef0123456789abcdeffedcba9876543210"),
            [KeyWarning::SingleDes { first: 1 }]
        );
        assert_eq!(
            said(Transform::TripleDesMd5, "fedcba98765432100123456789abcdef0022456689aacdee"),
            "5 bytes of the DES key have even parity (ignored); triple-DES keys K2 and K3 are equal: this is single DES"
        );
        assert_eq!(of(Transform::Aes128Md5, &"01".repeat(16)), []);
        assert_eq!(of(Transform::DesMd5, "00"), []);
    }
}
