//! The keyed hash and the cipher of an ISAKMP SA, as values chosen by its policy (RFC 2409 section 4, appendix B).

use std::fmt;

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt};
use cbc::cipher::{InnerIvInit, KeyInit};
use des::{Des, TdesEde3};
use espalier_wire::ike::oakley;
use espalier_wire::plane::Secret;
use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

/// The hash of a policy; its HMAC is the prf (RFC 2409 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "names say it")]
pub enum Hash {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// The cipher of a policy, always in CBC mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "names say it")]
pub enum Encryption {
    Des,
    TripleDes,
    Aes128,
    Aes192,
    Aes256,
}

fn mac_of<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes a key of any length (RFC 2104 section 3), so the empty result is never seen.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Vec::new() };
    parts.iter().for_each(|p| mac.update(p));
    mac.finalize().into_bytes().to_vec()
}

fn digest_of<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut digest = D::new();
    parts.iter().for_each(|p| digest.update(p));
    digest.finalize().to_vec()
}

impl Hash {
    /// Every hash.
    pub const ALL: [Self; 5] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// HMAC over the parts in order.
    pub fn prf(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Md5 => mac_of::<Hmac<Md5>>(key, parts),
            Self::Sha1 => mac_of::<Hmac<Sha1>>(key, parts),
            Self::Sha256 => mac_of::<Hmac<Sha256>>(key, parts),
            Self::Sha384 => mac_of::<Hmac<Sha384>>(key, parts),
            Self::Sha512 => mac_of::<Hmac<Sha512>>(key, parts),
        }
    }

    /// The plain hash over the parts in order.
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Md5 => digest_of::<Md5>(parts),
            Self::Sha1 => digest_of::<Sha1>(parts),
            Self::Sha256 => digest_of::<Sha256>(parts),
            Self::Sha384 => digest_of::<Sha384>(parts),
            Self::Sha512 => digest_of::<Sha512>(parts),
        }
    }

    /// The value of the hash attribute.
    pub const fn number(self) -> u64 {
        match self {
            Self::Md5 => oakley::MD5,
            Self::Sha1 => oakley::SHA1,
            Self::Sha256 => oakley::SHA256,
            Self::Sha384 => oakley::SHA384,
            Self::Sha512 => oakley::SHA512,
        }
    }
}

impl fmt::Display for Hash {
    /// As IOS prints it in `show crypto isakmp sa detail`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        })
    }
}

impl Encryption {
    /// Every cipher.
    pub const ALL: [Self; 5] = [Self::Des, Self::TripleDes, Self::Aes128, Self::Aes192, Self::Aes256];

    /// The value of the encryption attribute, and of the key length attribute (bits) for AES.
    pub const fn number(self) -> (u64, Option<u64>) {
        match self {
            Self::Des => (oakley::DES, None),
            Self::TripleDes => (oakley::TRIPLE_DES, None),
            Self::Aes128 => (oakley::AES, Some(128)),
            Self::Aes192 => (oakley::AES, Some(192)),
            Self::Aes256 => (oakley::AES, Some(256)),
        }
    }

    /// Bytes of key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Des => 8,
            Self::Aes128 => 16,
            Self::TripleDes | Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// Bytes of a block, and of an IV.
    pub const fn block_len(self) -> usize {
        match self {
            Self::Des | Self::TripleDes => 8,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
        }
    }

    /// The key from SKEYID_e (RFC 2409 appendix B): its first bytes; for DES the first eight that are no weak or
    /// semi-weak key; stretched by K1 = prf(SKEYID_e, 0), K2 = prf(SKEYID_e, K1) … when it is too short.
    pub fn key(self, hash: Hash, skeyid_e: &[u8]) -> Secret {
        let need = self.key_len();
        let mut material = skeyid_e.to_vec();
        if material.len() < need {
            material.clear();
            let mut last = hash.prf(skeyid_e, &[&[0]]);
            while material.len() < need {
                material.extend_from_slice(&last);
                last = hash.prf(skeyid_e, &[&last]);
            }
        }
        if self == Self::Des {
            let strong = material.windows(need).find(|k| des::weak_key_test(k).is_ok()).map(<[u8]>::to_vec);
            material = strong.unwrap_or(material);
        }
        material.truncate(need);
        Secret::new(material)
    }

    /// Encrypt `text`, whose length is a multiple of the block's; what is over is left alone.
    pub fn encrypt(self, key: &Secret, iv: &[u8], text: &mut [u8]) {
        match self {
            Self::Des => cbc_encrypt::<Des>(key, iv, text),
            Self::TripleDes => cbc_encrypt::<TdesEde3>(key, iv, text),
            Self::Aes128 => cbc_encrypt::<Aes128>(key, iv, text),
            Self::Aes192 => cbc_encrypt::<Aes192>(key, iv, text),
            Self::Aes256 => cbc_encrypt::<Aes256>(key, iv, text),
        }
    }

    /// Decrypt `text`, whose length is a multiple of the block's; what is over is left alone.
    pub fn decrypt(self, key: &Secret, iv: &[u8], text: &mut [u8]) {
        match self {
            Self::Des => cbc_decrypt::<Des>(key, iv, text),
            Self::TripleDes => cbc_decrypt::<TdesEde3>(key, iv, text),
            Self::Aes128 => cbc_decrypt::<Aes128>(key, iv, text),
            Self::Aes192 => cbc_decrypt::<Aes192>(key, iv, text),
            Self::Aes256 => cbc_decrypt::<Aes256>(key, iv, text),
        }
    }
}

fn cbc_encrypt<C: BlockCipherEncrypt + KeyInit>(key: &Secret, iv: &[u8], text: &mut [u8]) {
    let (Ok(cipher), Ok(iv)) = (C::new_from_slice(key.bytes()), <&Block<C>>::try_from(iv)) else { return };
    cbc::Encryptor::inner_iv_init(cipher, iv).encrypt_blocks(Block::<C>::slice_as_chunks_mut(text).0);
}

fn cbc_decrypt<C: BlockCipherDecrypt + KeyInit>(key: &Secret, iv: &[u8], text: &mut [u8]) {
    let (Ok(cipher), Ok(iv)) = (C::new_from_slice(key.bytes()), <&Block<C>>::try_from(iv)) else { return };
    cbc::Decryptor::inner_iv_init(cipher, iv).decrypt_blocks(Block::<C>::slice_as_chunks_mut(text).0);
}

impl fmt::Display for Encryption {
    /// As IOS prints it in `show crypto isakmp sa detail`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Des => "des",
            Self::TripleDes => "3des",
            Self::Aes128 | Self::Aes192 | Self::Aes256 => "aes",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cipher_opens_what_it_sealed_and_needs_its_iv() {
        for cipher in Encryption::ALL {
            let key = cipher.key(Hash::Md5, &[7; 16]);
            assert_eq!(key.bytes().len(), cipher.key_len());
            let (iv, plain) = (vec![9; cipher.block_len()], vec![3; 64]);
            let mut text = plain.clone();
            cipher.encrypt(&key, &iv, &mut text);
            assert_ne!(text, plain);
            cipher.decrypt(&key, &iv, &mut text);
            assert_eq!(text, plain, "{cipher:?}");
        }
    }

    #[test]
    fn a_weak_des_key_is_stepped_over() {
        let skeyid_e = [1, 1, 1, 1, 1, 1, 1, 1, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99];
        let key = Encryption::Des.key(Hash::Md5, &skeyid_e);
        assert_eq!(key.bytes(), &skeyid_e[1..9]);
    }

    /// RFC 2202, test case 2 of each.
    #[test]
    fn the_prf_is_hmac() {
        let text = |h: Hash| h.prf(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(text(Hash::Md5)[..4], [0x75, 0x0c, 0x78, 0x3e]);
        assert_eq!(text(Hash::Sha1)[..4], [0xef, 0xfc, 0xdf, 0x6a]);
    }
}
