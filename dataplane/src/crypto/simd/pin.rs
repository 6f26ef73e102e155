//! Registers that the compiler must have computed at a place of the program. It is free to put work elsewhere, and puts
//! what one kernel weaves apart again; between two pins it leaves the order of instructions as it is written. A pin is no
//! instruction itself.

use std::arch::asm;
use std::arch::x86_64::*;

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
