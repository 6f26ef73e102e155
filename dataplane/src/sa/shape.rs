//! What a transform asks of a packet's lengths, worked out once per SA.

use espalier_wire::Transform;

/// Lengths in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Of the IV.
    pub iv_len: usize,
    /// Of the ICV.
    pub icv_len: usize,
    /// The cipher's block, less one; blocks are powers of two.
    pub mask: usize,
    /// Whether the IV must be unpredictable.
    pub random_iv: bool,
}

impl Shape {
    /// Of a transform.
    pub const fn of(transform: Transform) -> Self {
        let cipher = transform.cipher();
        Self {
            iv_len: transform.iv_len(),
            icv_len: transform.icv_len(),
            mask: cipher.block_len() - 1,
            random_iv: cipher.needs_random_iv(),
        }
    }
}
