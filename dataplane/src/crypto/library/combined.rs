//! AES-GCM (RFC 4106), AES-GMAC (RFC 4543) and ChaCha20-Poly1305 (RFC 7634) through aws-lc.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use espalier_wire::{Cipher, Transform};
use zeroize::Zeroizing;

use crate::crypto::layout::Parts;

/// A combined mode's key and the salt its nonces begin with.
pub(in super::super) struct CombinedKey {
    salt: Zeroizing<[u8; 4]>,
    /// A pointer to what aws-lc keeps: no box of ours around it.
    key: LessSafeKey,
}

impl CombinedKey {
    /// `key` is the cipher's key, then its salt.
    pub(in super::super) fn new(cipher: Cipher, key: &[u8]) -> Option<Self> {
        let (key, salt) = key.split_last_chunk::<4>()?;
        let algorithm = match cipher {
            Cipher::Aes128Gcm | Cipher::Aes128Gmac => &AES_128_GCM,
            Cipher::Aes192Gcm => &AES_192_GCM,
            Cipher::Aes256Gcm => &AES_256_GCM,
            Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            _ => return None,
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
        Some(Self { salt: Zeroizing::new(*salt), key })
    }

    pub(in super::super) fn seal(
        &self,
        transform: Transform,
        bytes: &mut [u8],
        esn: Option<u32>,
    ) -> Option<()> {
        let mut parts = Parts::new(transform, bytes)?;
        let nonce = Nonce::assume_unique_for_key(parts.nonce(*self.salt)?);
        if transform.cipher() == Cipher::Aes128Gmac {
            let sign =
                |authed: &[u8]| self.key.seal_in_place_separate_tag(nonce, Aad::from(authed), &mut []).ok();
            let tag = match esn {
                None => sign(parts.authed)?,
                Some(hi) => with_seq_hi(bytes, hi, sign)?,
            };
            *bytes.last_chunk_mut()? = *tag.as_ref().first_chunk::<16>()?;
            return Some(());
        }
        let aad = Aad::from(parts.aad(esn)?);
        let (_, text) = parts.iv_and_text()?;
        let tag = self.key.seal_in_place_separate_tag(nonce, aad, text).ok()?;
        parts.icv.copy_from_slice(tag.as_ref().get(..parts.icv.len())?);
        Some(())
    }

    pub(in super::super) fn open(
        &self,
        transform: Transform,
        bytes: &mut [u8],
        esn: Option<u32>,
    ) -> Option<()> {
        let parts = Parts::new(transform, bytes)?;
        let nonce = Nonce::assume_unique_for_key(parts.nonce(*self.salt)?);
        if transform.cipher() == Cipher::Aes128Gmac {
            let mut icv = *parts.icv.first_chunk::<16>()?;
            let verify =
                |authed: &[u8]| self.key.open_in_place(nonce, Aad::from(authed), &mut icv).ok().map(|_| ());
            return match esn {
                None => verify(parts.authed),
                Some(hi) => with_seq_hi(bytes, hi, verify),
            };
        }
        let aad = Aad::from(parts.aad(esn)?);
        let text_at = 8 + transform.iv_len();
        self.key.open_in_place(nonce, aad, bytes.get_mut(text_at..)?).ok().map(|_| ())
    }
}

/// Runs `run` on what GMAC authenticates with ESN, which the library wants in one piece: the bytes before the ICV are
/// moved up by four to let the high half of the sequence number in behind the SPI (RFC 4543 figure 3), then back.
/// The ICV is as it was afterwards.
fn with_seq_hi<T>(bytes: &mut [u8], hi: u32, run: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    let icv_at = bytes.len().checked_sub(16)?;
    let begin_of_icv = *bytes.get(icv_at..)?.first_chunk::<4>()?;
    bytes.copy_within(4..icv_at, 8);
    *bytes.get_mut(4..)?.first_chunk_mut()? = hi.to_be_bytes();
    let result = bytes.get(..icv_at + 4).and_then(run);
    bytes.copy_within(8..icv_at + 4, 4);
    *bytes.get_mut(icv_at..)?.first_chunk_mut()? = begin_of_icv;
    result
}
