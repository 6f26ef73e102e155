//! Registers that the compiler must have computed at a place of the program. It is free to put work elsewhere, and puts
//! what one kernel weaves apart again; between two pins it leaves the order of instructions as it is written. A pin is no
//! instruction itself.
//!
//! And the frame that registers go to for which there is no room.

use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// A pin as a function that has the features of its registers.
macro_rules! pin {
    ($name:ident, $type:ty, $class:ident, $feature:literal) => {
        #[inline]
        #[target_feature(enable = $feature)]
        pub(super) fn $name(mut x: $type) -> $type {
            // SAFETY: no instruction at all.
            unsafe { asm!("/* {} */", inout($class) x, options(nomem, nostack, preserves_flags)) };
            x
        }
    };
}

pin!(pin_four, __m512i, zmm_reg, "avx512f");
pin!(pin_two, __m256i, ymm_reg, "avx2");
pin!(pin_one, __m128i, xmm_reg, "avx2");

/// Lets the frame of the function that this becomes part of begin at a whole line. The compiler takes a frame as it comes, a
/// multiple of 16, for the registers that it puts aside; one that crosses a page on its way costs tens of cycles, so that a
/// kernel is now and then slower by a half for as long as a process lives.
#[inline(always)]
pub(super) fn align_frame() {
    #[repr(align(64))]
    struct Line(MaybeUninit<[u8; 64]>);
    let line = Line(MaybeUninit::uninit());
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {} */", in(reg) &raw const line.0, options(readonly, nostack, preserves_flags)) };
}
