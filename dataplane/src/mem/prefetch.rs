//! A hint that memory will be wanted soon. It never faults and changes nothing.

/// Fetch the cache line that `value` begins in.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    prefetch_line::<0, T>(value);
}

/// Fetch N cache lines from where `value` begins on, without a look at what is in them.
#[inline(always)]
pub fn prefetch_lines<const N: usize, T>(value: &T) {
    (0..N).for_each(|line| line_of(value, line));
}

/// Fetch the line that is N lines behind the one in which `value` begins.
#[inline(always)]
pub fn prefetch_line<const N: usize, T>(value: &T) {
    line_of(value, N);
}

#[inline(always)]
fn line_of<T>(value: &T, line: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is sound: it reads nothing and never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast::<i8>().wrapping_add(line * 64));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, line);
}
