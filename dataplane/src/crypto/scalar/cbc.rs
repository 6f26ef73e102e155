//! CBC in place over whole blocks (RFC 2405, RFC 2451, RFC 3602), and NULL (RFC 2410). Padding is the caller's.

use aes::{Aes128Dec, Aes128Enc, Aes192Dec, Aes192Enc, Aes256Dec, Aes256Enc};
use cbc::{Decryptor, Encryptor};
use cipher::array::Array;
use cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit,
};
use espalier_wire::Cipher;
use espalier_wire::plane::Direction;

use super::des::Des;

/// A block cipher's round keys, of one direction where the directions differ.
pub(in super::super) enum CbcKey {
    Null,
    DesEnc(Box<Des<1>>),
    DesDec(Box<Des<1>>),
    TripleDesEnc(Box<Des<3>>),
    TripleDesDec(Box<Des<3>>),
    Aes128Enc(Box<Aes128Enc>),
    Aes192Enc(Box<Aes192Enc>),
    Aes256Enc(Box<Aes256Enc>),
    Aes128Dec(Box<Aes128Dec>),
    Aes192Dec(Box<Aes192Dec>),
    Aes256Dec(Box<Aes256Dec>),
}

impl CbcKey {
    pub(in super::super) fn new(cipher: Cipher, direction: Direction, key: &[u8]) -> Option<Self> {
        Some(match (cipher, direction) {
            (Cipher::Null, _) => Self::Null,
            (Cipher::DesCbc, Direction::Outbound) => Self::DesEnc(Box::new(Des::new(key, false)?)),
            (Cipher::DesCbc, Direction::Inbound) => Self::DesDec(Box::new(Des::new(key, true)?)),
            (Cipher::TripleDesCbc, Direction::Outbound) => {
                Self::TripleDesEnc(Box::new(Des::new(key, false)?))
            }
            (Cipher::TripleDesCbc, Direction::Inbound) => Self::TripleDesDec(Box::new(Des::new(key, true)?)),
            (Cipher::Aes128Cbc, Direction::Outbound) => Self::Aes128Enc(expand(key)?),
            (Cipher::Aes192Cbc, Direction::Outbound) => Self::Aes192Enc(expand(key)?),
            (Cipher::Aes256Cbc, Direction::Outbound) => Self::Aes256Enc(expand(key)?),
            (Cipher::Aes128Cbc, Direction::Inbound) => Self::Aes128Dec(expand(key)?),
            (Cipher::Aes192Cbc, Direction::Inbound) => Self::Aes192Dec(expand(key)?),
            (Cipher::Aes256Cbc, Direction::Inbound) => Self::Aes256Dec(expand(key)?),
            _ => return None,
        })
    }

    /// None when the IV or the text does not fit, or the key is for the other direction.
    pub(in super::super) fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()> {
        match self {
            Self::Null => Some(()),
            Self::DesEnc(c) => c.encrypt(iv, text),
            Self::TripleDesEnc(c) => c.encrypt(iv, text),
            Self::Aes128Enc(c) => encrypt(&**c, iv, text),
            Self::Aes192Enc(c) => encrypt(&**c, iv, text),
            Self::Aes256Enc(c) => encrypt(&**c, iv, text),
            Self::DesDec(_)
            | Self::TripleDesDec(_)
            | Self::Aes128Dec(_)
            | Self::Aes192Dec(_)
            | Self::Aes256Dec(_) => None,
        }
    }

    /// None when the IV or the text does not fit, or the key is for the other direction.
    pub(in super::super) fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()> {
        match self {
            Self::Null => Some(()),
            Self::DesDec(c) => c.decrypt(iv, text),
            Self::TripleDesDec(c) => c.decrypt(iv, text),
            Self::Aes128Dec(c) => decrypt(&**c, iv, text),
            Self::Aes192Dec(c) => decrypt(&**c, iv, text),
            Self::Aes256Dec(c) => decrypt(&**c, iv, text),
            Self::DesEnc(_)
            | Self::TripleDesEnc(_)
            | Self::Aes128Enc(_)
            | Self::Aes192Enc(_)
            | Self::Aes256Enc(_) => None,
        }
    }
}

fn expand<C: KeyInit>(key: &[u8]) -> Option<Box<C>> {
    C::new_from_slice(key).ok().map(Box::new)
}

fn encrypt<C: BlockCipherEncrypt>(cipher: &C, iv: &[u8], text: &mut [u8]) -> Option<()> {
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    if !rest.is_empty() {
        return None;
    }
    Encryptor::inner_iv_init(cipher, iv.try_into().ok()?).encrypt_blocks(blocks);
    Some(())
}

fn decrypt<C: BlockCipherDecrypt>(cipher: &C, iv: &[u8], text: &mut [u8]) -> Option<()> {
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    if !rest.is_empty() {
        return None;
    }
    Decryptor::inner_iv_init(cipher, iv.try_into().ok()?).decrypt_blocks(blocks);
    Some(())
}
