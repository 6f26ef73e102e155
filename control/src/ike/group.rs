//! Diffie-Hellman over the groups that IKEv1 names: MODP (RFC 2409 section 6, RFC 3526) and ECP (RFC 5903).

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use espalier_wire::plane::Secret;
use espalier_wire::random::Random;

use super::primes;

/// A Diffie-Hellman group, by IANA's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "number() and bits() say it")]
pub enum Group {
    Modp768,
    Modp1024,
    Modp1536,
    Modp2048,
    Modp3072,
    Modp4096,
    Ecp256,
    Ecp384,
}

/// A private value and the public one that goes on the wire.
#[derive(Debug, Clone)]
pub struct KeyPair {
    group: Group,
    private: Secret,
    /// The body of the KE payload.
    pub public: Vec<u8>,
}

/// Bytes of a MODP exponent: 256 bits, twice the strength of the strongest group here (RFC 3526 section 8).
const EXPONENT_LEN: usize = 32;

impl Group {
    /// Every group, by number.
    pub const ALL: [Self; 8] = [
        Self::Modp768,
        Self::Modp1024,
        Self::Modp1536,
        Self::Modp2048,
        Self::Modp3072,
        Self::Modp4096,
        Self::Ecp256,
        Self::Ecp384,
    ];

    /// The group description (IOS's `group N`).
    pub const fn number(self) -> u16 {
        match self {
            Self::Modp768 => 1,
            Self::Modp1024 => 2,
            Self::Modp1536 => 5,
            Self::Modp2048 => 14,
            Self::Modp3072 => 15,
            Self::Modp4096 => 16,
            Self::Ecp256 => 19,
            Self::Ecp384 => 20,
        }
    }

    /// The group with this number.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|g| u64::from(g.number()) == number)
    }

    /// Bytes of the KE payload's body.
    pub const fn public_len(self) -> usize {
        match self {
            Self::Modp768 => 96,
            Self::Modp1024 => 128,
            Self::Modp1536 => 192,
            Self::Modp2048 => 256,
            Self::Modp3072 => 384,
            Self::Modp4096 => 512,
            Self::Ecp256 => 64,
            Self::Ecp384 => 96,
        }
    }

    const fn prime(self) -> Option<&'static str> {
        match self {
            Self::Modp768 => Some(primes::MODP_768),
            Self::Modp1024 => Some(primes::MODP_1024),
            Self::Modp1536 => Some(primes::MODP_1536),
            Self::Modp2048 => Some(primes::MODP_2048),
            Self::Modp3072 => Some(primes::MODP_3072),
            Self::Modp4096 => Some(primes::MODP_4096),
            Self::Ecp256 | Self::Ecp384 => None,
        }
    }

    /// A fresh key pair.
    pub fn generate(self, random: &mut Random) -> KeyPair {
        let length = match self {
            Self::Ecp384 => 48,
            Self::Ecp256
            | Self::Modp768
            | Self::Modp1024
            | Self::Modp1536
            | Self::Modp2048
            | Self::Modp3072
            | Self::Modp4096 => EXPONENT_LEN,
        };
        loop {
            let mut private = vec![0; length];
            random.fill(&mut private);
            // Nearly every draw is a valid scalar: the loop is for the 2^-32 of P-256.
            if let Some(pair) = self.pair(private) {
                return pair;
            }
        }
    }

    fn pair(self, private: Vec<u8>) -> Option<KeyPair> {
        let public = match self.prime() {
            Some(prime) => modp_power(prime, self.public_len(), &[2], &private)?,
            None => ecp_public(self, &private)?,
        };
        Some(KeyPair { group: self, private: Secret::new(private), public })
    }
}

/// x and y without the leading 4 (RFC 5903 section 7).
fn ecp_public(group: Group, private: &[u8]) -> Option<Vec<u8>> {
    use p256::elliptic_curve::sec1::ToSec1Point;
    let point = if group == Group::Ecp256 {
        p256::SecretKey::from_slice(private).ok()?.public_key().to_sec1_point(false).to_bytes()
    } else {
        p384::SecretKey::from_slice(private).ok()?.public_key().to_sec1_point(false).to_bytes()
    };
    point.get(1..).map(<[u8]>::to_vec)
}

impl KeyPair {
    /// Which group.
    pub const fn group(&self) -> Group {
        self.group
    }

    /// g^xy with the peer's public value: as long as the prime (RFC 2409 section 5), or x alone for ECP
    /// (RFC 5903 section 7). `None` for a value that is no element of the group: a wrong length, 0, 1, p - 1, a
    /// point off the curve.
    pub fn shared(&self, peer: &[u8]) -> Option<Secret> {
        if peer.len() != self.group.public_len() {
            return None;
        }
        let secret = match self.group.prime() {
            Some(prime) => modp_power(prime, self.group.public_len(), peer, self.private.bytes())?,
            None => {
                let point = [&[4], peer].concat();
                if self.group == Group::Ecp256 {
                    let peer = p256::PublicKey::from_sec1_bytes(&point).ok()?;
                    let own = p256::SecretKey::from_slice(self.private.bytes()).ok()?;
                    p256::elliptic_curve::ecdh::diffie_hellman(own.to_nonzero_scalar(), peer.as_affine())
                        .raw_secret_bytes()
                        .to_vec()
                } else {
                    let peer = p384::PublicKey::from_sec1_bytes(&point).ok()?;
                    let own = p384::SecretKey::from_slice(self.private.bytes()).ok()?;
                    p384::elliptic_curve::ecdh::diffie_hellman(own.to_nonzero_scalar(), peer.as_affine())
                        .raw_secret_bytes()
                        .to_vec()
                }
            }
        };
        Some(Secret::new(secret))
    }
}

/// `base` to the `exponent`, in `length` bytes; `None` unless 1 < base < p - 1.
fn modp_power(prime: &str, length: usize, base: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let bits = u32::try_from(length * 8).ok()?;
    let hex: Vec<u8> = prime
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|t| u8::from_str_radix(t, 16).ok()))
        .collect::<Option<_>>()?;
    let modulus = BoxedUint::from_be_slice(&hex, bits).ok()?;
    let base = BoxedUint::from_be_slice(base, bits).ok()?;
    let one = BoxedUint::one_with_precision(bits);
    if base <= one || base >= modulus.wrapping_sub(&one) {
        return None;
    }
    let params = BoxedMontyParams::new(Option::from(Odd::new(modulus))?);
    let exponent = BoxedUint::from_be_slice(exponent, u32::try_from(exponent.len() * 8).ok()?).ok()?;
    let power = BoxedMontyForm::new(base, &params).pow(&exponent).retrieve();
    let bytes = power.to_be_bytes();
    bytes.get(bytes.len().checked_sub(length)?..).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn both_sides_of_every_group_agree() {
        let mut random = Random::from_seed(1);
        for group in Group::ALL {
            let (a, b) = (group.generate(&mut random), group.generate(&mut random));
            assert_eq!(a.public.len(), group.public_len());
            assert_eq!(a.shared(&b.public), b.shared(&a.public), "{group:?}");
            assert!(a.shared(&b.public).is_some());
            assert_eq!(a.shared(&vec![0; group.public_len()]), None, "zero is no element");
            assert_eq!(a.shared(&b.public[1..]), None);
        }
    }

    /// RFC 5903 section 8.1.
    #[test]
    fn the_published_vector_of_group_19() {
        let i = hex("C88F01F5 10D9AC3F 70A292DA A2316DE5 44E9AAB8 AFE84049 C62A9C57 862D1433");
        let pair = Group::Ecp256.pair(i).unwrap();
        let public = "DAD0B653 94221CF9 B051E1FE CA5787D0 98DFE637 FC90B9EF 945D0C37 72581180
                      5271A046 1CDB8252 D61F1C45 6FA3E59A B1F45B33 ACCF5F58 389E0577 B8990BB3";
        assert_eq!(pair.public, hex(public));
        let peer = hex("D12DFB52 89C8D4F8 1208B702 70398C34 2296970A 0BCCB74C 736FC755 4494BF63
                        56FBF3CA 366CC23E 8157854C 13C58D6A AC23F046 ADA30F83 53E74F33 039872AB");
        let shared = hex("D6840F6B 42F6EDAF D13116E0 E1256520 2FEF8E9E CE7DCE03 812464D0 4B9442DE");
        assert_eq!(pair.shared(&peer).unwrap().bytes(), shared);
    }

    /// 2^(2^8) is known without a table: a power with a one-byte exponent, checked against a shift.
    #[test]
    fn modp_powers_are_powers() {
        let out = modp_power(primes::MODP_768, 96, &[2], &[200]).unwrap();
        let mut expect = vec![0; 96];
        expect[96 - 26] = 1;
        assert_eq!(out, expect);
    }
}
