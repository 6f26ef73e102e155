//! Words of 32 bits, one of each lane in a register: sixteen lanes in AVX-512, eight in AVX2. The hash functions of such
//! words are written once over [`Words`].
//!
//! Values of these types exist only within [`Words::call`], which is entered only where [`super::super::cpu`] found the
//! instructions: that is what makes their methods sound. They are inlined always.

use std::arch::x86_64::*;

use super::super::pin::align_frame;
use super::transpose;

/// What runs over words.
pub(super) trait Body {
    /// Run. Implementations are `inline(always)`, so that they are compiled with the features of [`Words::call`].
    ///
    /// # Safety
    /// Only for `Words::call` to call.
    unsafe fn run<V: Words>(self);
}

/// A word of every lane.
pub(super) trait Words: Copy {
    const LANES: usize;

    /// # Safety
    /// The CPU has the instructions of this width.
    unsafe fn call<B: Body>(body: B);

    fn all(word: u32) -> Self;
    fn add(self, b: Self) -> Self;
    fn xor(self, b: Self) -> Self;
    /// A function of three bits, by its table of truth: one of those that the hash functions use.
    fn ternary<const TRUTH: i32>(self, b: Self, c: Self) -> Self;
    fn left<const N: i32>(self) -> Self;
    fn right<const N: u32>(self) -> Self;
    fn shifted<const N: u32>(self) -> Self;
    /// # Safety
    /// 64 aligned bytes, of which the register's width is read.
    unsafe fn load(row: *const u8) -> Self;
    /// # Safety
    /// 64 aligned bytes, of which the register's width is written.
    unsafe fn store(self, row: *mut u8);
    /// Word w of each lane's block of 64 bytes, for each w; then moves the pointers on. `swap`: highest byte first.
    ///
    /// # Safety
    /// As many pointers as lanes, each with 64 bytes to be read.
    unsafe fn blocks(next: &mut [*const u8], swap: bool) -> [Self; 16];
}

/// AVX-512.
#[derive(Clone, Copy)]
pub(super) struct Sixteen(__m512i);
/// AVX2.
#[derive(Clone, Copy)]
pub(super) struct Eight(__m256i);

/// Methods that are an instruction or few, with nothing but registers.
macro_rules! method {
    ($($name:ident $([$($generics:tt)*])? ($($arg:ident: $type:ty),*) = $body:expr;)*) => { $(
        #[inline(always)]
        fn $name $(<$($generics)*>)? ($($arg: $type),*) -> Self {
            // SAFETY: only within `call`, where the instructions are (see above).
            unsafe { Self($body) }
        }
    )* };
}

/// The way in: a function of its own with the features of a width.
macro_rules! call {
    ($width:ty, $features:literal) => {
        #[inline]
        unsafe fn call<B: Body>(body: B) {
            #[target_feature(enable = $features)]
            fn inner<B: Body>(body: B) {
                align_frame();
                // SAFETY: this is `call`.
                unsafe { body.run::<$width>() };
            }
            // SAFETY: the caller's.
            unsafe { inner(body) };
        }
    };
}

impl Words for Sixteen {
    const LANES: usize = 16;

    call!(Sixteen, "avx512f,avx512bw");

    method! {
        all(word: u32) = _mm512_set1_epi32(word as i32);
        add(self: Self, b: Self) = _mm512_add_epi32(self.0, b.0);
        xor(self: Self, b: Self) = _mm512_xor_si512(self.0, b.0);
        ternary[const TRUTH: i32](self: Self, b: Self, c: Self) =
            _mm512_ternarylogic_epi32::<TRUTH>(self.0, b.0, c.0);
        left[const N: i32](self: Self) = _mm512_rol_epi32::<N>(self.0);
        right[const N: u32](self: Self) = _mm512_rorv_epi32(self.0, _mm512_set1_epi32(N as i32));
        shifted[const N: u32](self: Self) = _mm512_srli_epi32::<N>(self.0);
    }

    #[inline(always)]
    unsafe fn load(row: *const u8) -> Self {
        // SAFETY: the caller's.
        unsafe { Self(_mm512_load_si512(row.cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, row: *mut u8) {
        // SAFETY: the caller's.
        unsafe { _mm512_store_si512(row.cast(), self.0) };
    }

    #[inline(always)]
    unsafe fn blocks(next: &mut [*const u8], swap: bool) -> [Self; 16] {
        let mut words = [Self::all(0); 16];
        if let Some((next, _)) = next.split_first_chunk_mut::<16>() {
            // SAFETY: the caller's.
            let rows = unsafe { transpose::words32(next, swap) };
            for w in 0..16 {
                words[w] = Self(rows[w]);
            }
        }
        words
    }
}

impl Words for Eight {
    const LANES: usize = 8;

    call!(Eight, "avx2");

    method! {
        all(word: u32) = _mm256_set1_epi32(word as i32);
        add(self: Self, b: Self) = _mm256_add_epi32(self.0, b.0);
        xor(self: Self, b: Self) = _mm256_xor_si256(self.0, b.0);
        ternary[const TRUTH: i32](self: Self, b: Self, c: Self) = {
            let (a, b, c) = (self.0, b.0, c.0);
            match TRUTH {
                // The second where the first is set, else the third.
                0xca => _mm256_xor_si256(c, _mm256_and_si256(a, _mm256_xor_si256(b, c))),
                // What two of them are.
                0xe8 => _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_or_si256(a, b))),
                // The second, added to the first or not the third.
                0x39 => {
                    let not = _mm256_xor_si256(c, _mm256_set1_epi32(-1));
                    _mm256_xor_si256(b, _mm256_or_si256(a, not))
                }
                // The sum.
                _ => _mm256_xor_si256(a, _mm256_xor_si256(b, c)),
            }
        };
        // Amounts that are known: they become part of the instructions.
        left[const N: i32](self: Self) = _mm256_or_si256(
            _mm256_sllv_epi32(self.0, _mm256_set1_epi32(N)),
            _mm256_srlv_epi32(self.0, _mm256_set1_epi32(32 - N)),
        );
        right[const N: u32](self: Self) = _mm256_or_si256(
            _mm256_srlv_epi32(self.0, _mm256_set1_epi32(N as i32)),
            _mm256_sllv_epi32(self.0, _mm256_set1_epi32(32 - N as i32)),
        );
        shifted[const N: u32](self: Self) = _mm256_srlv_epi32(self.0, _mm256_set1_epi32(N as i32));
    }

    #[inline(always)]
    unsafe fn load(row: *const u8) -> Self {
        // SAFETY: the caller's.
        unsafe { Self(_mm256_load_si256(row.cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, row: *mut u8) {
        // SAFETY: the caller's.
        unsafe { _mm256_store_si256(row.cast(), self.0) };
    }

    #[inline(always)]
    unsafe fn blocks(next: &mut [*const u8], swap: bool) -> [Self; 16] {
        let mut words = [Self::all(0); 16];
        let Some((next, _)) = next.split_first_chunk_mut::<8>() else { return words };
        for half in 0..2 {
            // SAFETY: the caller's.
            let rows = unsafe { transpose::half_words32(next, 32 * half, swap) };
            for w in 0..8 {
                words[8 * half + w] = Self(rows[w]);
            }
        }
        for next in next {
            *next = next.wrapping_add(64);
        }
        words
    }
}
