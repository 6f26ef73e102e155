//! What an SA asks of a packet's lengths and flags, worked out once and kept in eight bytes beside what each packet changes.

use espalier_wire::Transform;
use espalier_wire::plane::{DfBit, Mode, SaSpec};

/// "Don't fragment" in the byte of an IPv4 header that holds the flags.
const DF: u8 = 0x40;

/// Lengths in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Of the IV.
    pub iv_len: u8,
    /// Of the ICV.
    pub icv_len: u8,
    /// The cipher's block, less one; blocks are powers of two.
    pub mask: u8,
    /// Whether the IV must be unpredictable.
    pub random_iv: bool,
    /// Whether the SA is a tunnel.
    pub tunnel: bool,
    /// What the outer header keeps of the inner one's flags …
    pub keep_flags: u8,
    /// … and what it sets of them.
    pub set_flags: u8,
}

impl Shape {
    /// Of an SA.
    pub fn of(spec: &SaSpec) -> Self {
        let (transform, df) = (spec.transform, spec.df_bit);
        Self {
            tunnel: spec.mode == Mode::Tunnel,
            keep_flags: if df == DfBit::Copy { DF } else { 0 },
            set_flags: if df == DfBit::Set { DF } else { 0 },
            ..Self::of_transform(transform)
        }
    }

    const fn of_transform(transform: Transform) -> Self {
        let cipher = transform.cipher();
        Self {
            iv_len: transform.iv_len() as u8,
            icv_len: transform.icv_len() as u8,
            mask: (cipher.block_len() - 1) as u8,
            random_iv: cipher.needs_random_iv(),
            tunnel: true,
            keep_flags: 0,
            set_flags: 0,
        }
    }
}
