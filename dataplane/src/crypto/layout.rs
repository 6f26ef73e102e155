//! Where the fields of one ESP packet lie in a job's bytes, and what of them each mode authenticates. It knows lengths
//! and offsets, no cipher.

use espalier_wire::{Cipher, Transform};

/// Bytes of SPI and sequence number.
const HEADER_LEN: usize = 8;

/// One packet split at its ICV.
pub(super) struct Parts<'a> {
    /// SPI, sequence number, IV, text: what a separate integrity algorithm authenticates (RFC 4303 section 2.8).
    pub(super) authed: &'a mut [u8],
    /// Room for the ICV, or the ICV received.
    pub(super) icv: &'a mut [u8],
    text_at: usize,
}

impl<'a> Parts<'a> {
    /// None when the bytes are too short for the transform or the text is not whole cipher blocks.
    pub(super) fn new(transform: Transform, bytes: &'a mut [u8]) -> Option<Self> {
        let text_at = HEADER_LEN + transform.iv_len();
        let icv_at = bytes.len().checked_sub(transform.icv_len())?;
        let text_len = icv_at.checked_sub(text_at)?;
        if text_len & (cipher_block_len(transform.cipher()) - 1) != 0 {
            return None;
        }
        let (authed, icv) = bytes.split_at_mut_checked(icv_at)?;
        Some(Self { authed, icv, text_at })
    }

    /// The IV, and the text to be encrypted or decrypted.
    pub(super) fn iv_and_text(&mut self) -> Option<(&[u8], &mut [u8])> {
        let (head, text) = self.authed.split_at_mut_checked(self.text_at)?;
        Some((head.get(HEADER_LEN..)?, text))
    }

    /// A combined mode's nonce: the salt, then the packet's IV (RFC 4106 section 4).
    pub(super) fn nonce(&self, salt: [u8; 4]) -> Option<[u8; 12]> {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&salt);
        nonce[4..].copy_from_slice(self.authed.get(HEADER_LEN..HEADER_LEN + 8)?);
        Some(nonce)
    }

    /// The AAD of GCM and ChaCha20-Poly1305: SPI and sequence number, 64 bits of it with ESN (RFC 4106 section 5).
    pub(super) fn aad(&self, esn: Option<u32>) -> Option<Aad> {
        let (spi, seq) = self.authed.get(..HEADER_LEN)?.split_at_checked(4)?;
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(spi);
        let Some(hi) = esn else {
            bytes[4..8].copy_from_slice(seq);
            return Some(Aad { bytes, len: 8 });
        };
        bytes[4..8].copy_from_slice(&hi.to_be_bytes());
        bytes[8..].copy_from_slice(seq);
        Some(Aad { bytes, len: 12 })
    }
}

/// Additional authenticated data, 8 or 12 bytes.
pub(super) struct Aad {
    bytes: [u8; 12],
    len: usize,
}

impl AsRef<[u8]> for Aad {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

/// What a text's length must be a multiple of for the cipher to work at all: a power of two. (ESP's alignment to 4 is the sender's
/// duty; a receiver loses nothing by opening what a careless one sent with a stream cipher.)
const fn cipher_block_len(cipher: Cipher) -> usize {
    match cipher {
        Cipher::DesCbc | Cipher::TripleDesCbc => 8,
        Cipher::Aes128Cbc | Cipher::Aes192Cbc | Cipher::Aes256Cbc => 16,
        _ => 1,
    }
}
