//! CBC and HMAC through aws-lc, and through RustCrypto where aws-lc has none or is slower: HMAC-SHA-1 and HMAC-SHA-256
//! cost it 1.1 to 1.6 times as much on short packets and as much on long ones (its keyed state is large to copy);
//! its single DES and 3DES refuse weak keys, which peers use.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
    UnboundCipherKey,
};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use espalier_wire::plane::Direction;
use espalier_wire::{Cipher, Integrity};
use subtle::ConstantTimeEq;

use crate::crypto::scalar::{cbc, mac};

/// A block cipher's round keys of one direction.
pub(in super::super) enum CbcKey {
    Encrypting(Box<EncryptingKey>),
    Decrypting(Box<DecryptingKey>),
    Portable(cbc::CbcKey),
}

impl CbcKey {
    pub(super) fn new(cipher: Cipher, direction: Direction, key: &[u8]) -> Option<Self> {
        let algorithm = match cipher {
            Cipher::Aes128Cbc => &AES_128,
            Cipher::Aes192Cbc => &AES_192,
            Cipher::Aes256Cbc => &AES_256,
            _ => return cbc::CbcKey::new(cipher, direction, key).map(Self::Portable),
        };
        let key = UnboundCipherKey::new(algorithm, key).ok()?;
        Some(match direction {
            Direction::Outbound => Self::Encrypting(Box::new(EncryptingKey::cbc(key).ok()?)),
            Direction::Inbound => Self::Decrypting(Box::new(DecryptingKey::cbc(key).ok()?)),
        })
    }

    pub(super) fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()> {
        match self {
            Self::Encrypting(key) => {
                let iv = EncryptionContext::Iv128(FixedLength::try_from(iv).ok()?);
                key.less_safe_encrypt(text, iv).ok().map(drop)
            }
            Self::Decrypting(_) => None,
            Self::Portable(key) => key.encrypt(iv, text),
        }
    }

    pub(super) fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()> {
        match self {
            Self::Decrypting(key) => {
                let iv = DecryptionContext::Iv128(FixedLength::try_from(iv).ok()?);
                key.decrypt(text, iv).ok().map(|_| ())
            }
            Self::Encrypting(_) => None,
            Self::Portable(key) => key.decrypt(iv, text),
        }
    }
}

/// HMAC states with the key already hashed in: a packet starts from a copy.
pub(in super::super) enum MacKey {
    Native(Box<hmac::Key>),
    Portable(mac::MacKey),
}

impl MacKey {
    fn algorithm(integrity: Integrity) -> Option<hmac::Algorithm> {
        Some(match integrity {
            Integrity::Sha384 => hmac::HMAC_SHA384,
            Integrity::Sha512 => hmac::HMAC_SHA512,
            _ => return None,
        })
    }

    pub(super) fn new(integrity: Integrity, key: &[u8]) -> Option<Self> {
        match Self::algorithm(integrity) {
            Some(algorithm) => Some(Self::Native(Box::new(hmac::Key::new(algorithm, key)))),
            None => mac::MacKey::new(integrity, key).map(Self::Portable),
        }
    }

    pub(super) fn sign(&self, authed: &[u8], esn: Option<u32>, icv: &mut [u8]) -> Option<()> {
        match self {
            Self::Native(key) => {
                icv.copy_from_slice(hmac(key, authed, esn).as_ref().get(..icv.len())?);
                Some(())
            }
            Self::Portable(key) => key.sign(authed, esn, icv),
        }
    }

    pub(super) fn verify(&self, authed: &[u8], esn: Option<u32>, icv: &[u8]) -> Option<()> {
        match self {
            Self::Native(key) => {
                let tag = hmac(key, authed, esn);
                bool::from(tag.as_ref().get(..icv.len())?.ct_eq(icv)).then_some(())
            }
            Self::Portable(key) => key.verify(authed, esn, icv),
        }
    }
}

fn hmac(key: &hmac::Key, authed: &[u8], esn: Option<u32>) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(authed);
    if let Some(hi) = esn {
        context.update(&hi.to_be_bytes());
    }
    context.sign()
}
