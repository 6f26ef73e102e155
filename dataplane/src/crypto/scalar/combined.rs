//! The combined modes: AES-GCM (RFC 4106), AES-GMAC (RFC 4543), ChaCha20-Poly1305 (RFC 7634), each with a 16-byte ICV.

use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::array::Array;
use aes_gcm::aead::consts::U12;
use aes_gcm::{AesGcm, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;
use cipher::BlockCipherEncrypt;
use espalier_wire::Cipher;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::crypto::layout::{Aad, Parts};

/// A combined mode's key and the salt its nonces begin with.
pub(in super::super) struct CombinedKey {
    salt: Zeroizing<[u8; 4]>,
    mode: Mode,
}

enum Mode {
    Gcm128(Box<AesGcm<Aes128Enc, U12>>),
    Gcm192(Box<AesGcm<Aes192Enc, U12>>),
    Gcm256(Box<AesGcm<Aes256Enc, U12>>),
    Gmac128(Box<Gmac>),
    ChaCha20Poly1305(Box<ChaCha20Poly1305>),
}

impl CombinedKey {
    /// `key` is the cipher's key, then its salt.
    pub(in super::super) fn new(cipher: Cipher, key: &[u8]) -> Option<Self> {
        let (key, salt) = key.split_last_chunk::<4>()?;
        let mode = match cipher {
            Cipher::Aes128Gcm => Mode::Gcm128(keyed(key)?),
            Cipher::Aes192Gcm => Mode::Gcm192(keyed(key)?),
            Cipher::Aes256Gcm => Mode::Gcm256(keyed(key)?),
            Cipher::Aes128Gmac => Mode::Gmac128(Box::new(Gmac::new(key)?)),
            Cipher::ChaCha20Poly1305 => Mode::ChaCha20Poly1305(keyed(key)?),
            _ => return None,
        };
        Some(Self { salt: Zeroizing::new(*salt), mode })
    }

    pub(in super::super) fn seal(&self, parts: &mut Parts<'_>, esn: Option<u32>) -> Option<()> {
        let nonce = parts.nonce(*self.salt)?;
        let aad = parts.aad(esn)?;
        match &self.mode {
            Mode::Gcm128(c) => seal(&**c, &nonce, &aad, parts),
            Mode::Gcm192(c) => seal(&**c, &nonce, &aad, parts),
            Mode::Gcm256(c) => seal(&**c, &nonce, &aad, parts),
            Mode::ChaCha20Poly1305(c) => seal(&**c, &nonce, &aad, parts),
            Mode::Gmac128(c) => {
                parts.icv.copy_from_slice(&c.tag(&nonce, &aad, parts.authed)?);
                Some(())
            }
        }
    }

    pub(in super::super) fn open(&self, parts: &mut Parts<'_>, esn: Option<u32>) -> Option<()> {
        let nonce = parts.nonce(*self.salt)?;
        let aad = parts.aad(esn)?;
        match &self.mode {
            Mode::Gcm128(c) => open(&**c, &nonce, &aad, parts),
            Mode::Gcm192(c) => open(&**c, &nonce, &aad, parts),
            Mode::Gcm256(c) => open(&**c, &nonce, &aad, parts),
            Mode::ChaCha20Poly1305(c) => open(&**c, &nonce, &aad, parts),
            Mode::Gmac128(c) => {
                let tag = c.tag(&nonce, &aad, parts.authed)?;
                bool::from(tag.ct_eq(parts.icv)).then_some(())
            }
        }
    }
}

fn keyed<C: KeyInit>(key: &[u8]) -> Option<Box<C>> {
    C::new_from_slice(key).ok().map(Box::new)
}

fn seal<C>(cipher: &C, nonce: &[u8; 12], aad: &Aad, parts: &mut Parts<'_>) -> Option<()>
where
    C: AeadInOut<NonceSize = U12>,
{
    let (_, text) = parts.iv_and_text()?;
    let tag = cipher.encrypt_inout_detached(nonce.into(), aad.as_ref(), text.into()).ok()?;
    parts.icv.copy_from_slice(tag.get(..parts.icv.len())?);
    Some(())
}

fn open<C>(cipher: &C, nonce: &[u8; 12], aad: &Aad, parts: &mut Parts<'_>) -> Option<()>
where
    C: AeadInOut<NonceSize = U12>,
{
    let tag = (&*parts.icv).try_into().ok()?;
    let (_, text) = parts.iv_and_text()?;
    cipher.decrypt_inout_detached(nonce.into(), aad.as_ref(), text.into(), &tag).ok()
}

/// GCM over nothing but additional data, which ESN breaks in two: `aes-gcm` wants it in one piece, GHASH does not.
struct Gmac {
    aes: Aes128Enc,
    ghash: GHash,
}

impl Gmac {
    fn new(key: &[u8]) -> Option<Self> {
        let aes = Aes128Enc::new_from_slice(key).ok()?;
        let mut h = Zeroizing::new([0; 16]);
        aes.encrypt_block((&mut *h).into());
        Some(Self { ghash: GHash::new((&*h).into()), aes })
    }

    /// Over SPI and (extended) sequence number, IV, text: RFC 4543 section 3.3, which leaves the IV to be guessed;
    /// draft-mcgrew-gcm-test-01 says that it is among them.
    fn tag(&self, nonce: &[u8; 12], header: &Aad, authed: &[u8]) -> Option<[u8; 16]> {
        let mut ghash = self.ghash.clone();
        let header = header.as_ref();
        let rest = authed.get(8..)?;
        // The first block ends within the IV, so that GHASH takes the rest as it lies.
        let mut first = [0; 16];
        let (iv, text) = rest.split_at_checked(16usize.checked_sub(header.len())?)?;
        first[..header.len()].copy_from_slice(header);
        first[header.len()..].copy_from_slice(iv);
        ghash.update(&[Array(first)]);
        ghash.update_padded(text);
        let bits = (header.len() + rest.len()) as u128 * 8;
        ghash.update(&[Array((bits << 64).to_be_bytes())]);

        let mut block = [0; 16];
        block[..12].copy_from_slice(nonce);
        block[15] = 1;
        self.aes.encrypt_block((&mut block).into());
        let hash = ghash.finalize();
        Some(std::array::from_fn(|i| block[i] ^ hash[i]))
    }
}

/// Bytes of a mode's box.
#[cfg(test)]
pub(super) fn boxed(cipher: Cipher) -> usize {
    match cipher {
        Cipher::Aes128Gcm => size_of::<AesGcm<Aes128Enc, U12>>(),
        Cipher::Aes192Gcm => size_of::<AesGcm<Aes192Enc, U12>>(),
        Cipher::Aes256Gcm => size_of::<AesGcm<Aes256Enc, U12>>(),
        Cipher::Aes128Gmac => size_of::<Gmac>(),
        Cipher::ChaCha20Poly1305 => size_of::<ChaCha20Poly1305>(),
        _ => 0,
    }
}
