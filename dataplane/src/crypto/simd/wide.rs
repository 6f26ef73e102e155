//! AES blocks abreast in one register, however wide the CPU's registers are: four in AVX-512, two in AVX2 with VAES, one
//! with AES-NI. A kernel is written once over [`Wide`] and compiled for each width.
//!
//! Values of these types exist only within [`Wide::call`], which is entered only where [`super::cpu`] found the
//! instructions: that is what makes their methods sound. They are inlined into the kernel always; none is a call.

use std::arch::x86_64::*;

use super::pin::{pin_four, pin_one, pin_two};

/// What runs at a width.
pub(super) trait Kernel {
    /// What it makes.
    type Out;

    /// Run. Implementations are `inline(always)`, so that they are compiled with the features of [`Wide::call`].
    ///
    /// # Safety
    /// Only for `Wide::call` to call.
    unsafe fn run<V: Wide>(self) -> Self::Out;
}

/// Some blocks in a register.
pub(super) trait Wide: Copy {
    /// How many.
    const BLOCKS: usize;
    /// And their bytes.
    const BYTES: usize = 16 * Self::BLOCKS;

    /// Run a kernel at this width.
    ///
    /// # Safety
    /// The CPU has the instructions of this width.
    unsafe fn call<K: Kernel>(kernel: K) -> K::Out;

    fn zero() -> Self;
    /// The same 64 bits everywhere.
    fn splat(bits: u64) -> Self;
    /// One block everywhere.
    fn broadcast(block: __m128i) -> Self;
    /// One block in the lowest place, zeros above.
    fn lowest(block: __m128i) -> Self;
    /// The lowest block.
    fn low(self) -> __m128i;
    /// One of its blocks.
    fn block(self, n: usize) -> __m128i;
    /// All blocks, added.
    fn sum(self) -> __m128i;
    /// One block in each place, at most as many as there are places; zeros above.
    fn joined(blocks: &[__m128i]) -> Self;
    /// In each place the sum of one register's blocks, of at most as many as there are places; zeros above.
    fn sums(of: &[Self]) -> Self;

    /// # Safety
    /// `BYTES` bytes can be read.
    unsafe fn load(at: *const u8) -> Self;
    /// # Safety
    /// `BYTES` bytes can be written.
    unsafe fn store(self, at: *mut u8);
    /// The first `len` bytes, at most `BYTES`, and zeros.
    ///
    /// # Safety
    /// So many bytes can be read, and 16 more.
    #[inline(always)]
    unsafe fn load_part(at: *const u8, len: usize) -> Self {
        // SAFETY: the caller's.
        unsafe { Self::load_ragged(at, len) }.cut(len)
    }
    /// The same, but that behind them is what `store_part` of as many leaves as it is.
    ///
    /// # Safety
    /// As for `load_part`.
    unsafe fn load_ragged(at: *const u8, len: usize) -> Self;
    /// Writes the first `len` bytes, at most `BYTES`, and perhaps some of the 16 behind them.
    ///
    /// # Safety
    /// So many bytes can be written, and 16 more.
    unsafe fn store_part(self, at: *mut u8, len: usize);
    /// The first `len` bytes, and zeros.
    fn cut(self, len: usize) -> Self;
    /// The lowest block becomes zero.
    fn but_lowest(self) -> Self;

    fn xor(self, b: Self) -> Self;
    fn xor3(self, b: Self, c: Self) -> Self;
    fn add32(self, b: Self) -> Self;
    fn aes(self, key: Self) -> Self;
    fn aes_last(self, key: Self) -> Self;
    fn unaes(self, key: Self) -> Self;
    fn unaes_last(self, key: Self) -> Self;
    /// As many blocks as it has, each from a place of its own, so many bytes on.
    ///
    /// # Safety
    /// So many pointers, each with 16 bytes to be read there.
    unsafe fn gather(at: &[*mut u8], on: usize) -> Self;
    /// And back to them.
    ///
    /// # Safety
    /// So many pointers, each with 16 bytes to be written there.
    unsafe fn scatter(self, at: &[*mut u8], on: usize);
    /// Bytes of each block in another order, or zeros.
    fn order(self, by: Self) -> Self;
    /// Carry-less products of a half of each block by a half of another.
    fn product<const HALVES: i32>(self, b: Self) -> Self;
    /// The halves of each block change places.
    fn swapped(self) -> Self;
    /// The same, but computed here: what is pinned stays in the order in which it is written, whatever the compiler
    /// thinks of it.
    fn pinned(self) -> Self;
}

/// Four blocks: AVX-512 with VAES and VPCLMULQDQ.
#[derive(Clone, Copy)]
pub(super) struct Four(__m512i);
/// Two blocks: AVX2 with VAES and VPCLMULQDQ.
#[derive(Clone, Copy)]
pub(super) struct Two(__m256i);
/// One block: AES-NI and PCLMULQDQ.
#[derive(Clone, Copy)]
pub(super) struct One(__m128i);

/// `cut` by a window into this: first all ones, then zeros.
static CUTS: [u8; 64] = {
    let mut cuts = [0; 64];
    let mut n = 0;
    while n < 32 {
        cuts[n] = 0xff;
        n += 1;
    }
    cuts
};

/// What the widths have in common: one instruction, or few, with nothing but registers.
macro_rules! plain {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty = $body:expr;)*) => { $(
        #[inline(always)]
        fn $name($($arg: $type),*) -> $out {
            // SAFETY: only within `call`, where the instructions are (see above).
            #[allow(unused_unsafe, reason = "some widths need no instruction")]
            unsafe {
                $body
            }
        }
    )* };
}

/// Methods of `self` likewise; `$x` is what it holds.
macro_rules! method {
    ($($name:ident($x:ident $(, $arg:ident: $type:ty)*) -> $out:ty = $body:expr;)*) => { $(
        #[inline(always)]
        fn $name(self $(, $arg: $type)*) -> $out {
            let $x = self.0;
            // SAFETY: only within `call`, where the instructions are (see above).
            #[allow(unused_unsafe, reason = "some widths need no instruction")]
            unsafe {
                $body
            }
        }
    )* };
}

/// The way in: a function of its own with the features of a width.
macro_rules! call {
    ($width:ty, $features:literal) => {
        #[inline]
        unsafe fn call<K: Kernel>(kernel: K) -> K::Out {
            #[target_feature(enable = $features)]
            fn inner<K: Kernel>(kernel: K) -> K::Out {
                // SAFETY: this is `call`.
                unsafe { kernel.run::<$width>() }
            }
            // SAFETY: the caller's.
            unsafe { inner(kernel) }
        }
    };
}

/// To memory and from it.
macro_rules! memory {
    ($load:ident, $store:ident) => {
        #[inline(always)]
        unsafe fn load(at: *const u8) -> Self {
            // SAFETY: the caller's.
            unsafe { Self($load(at.cast())) }
        }

        #[inline(always)]
        unsafe fn store(self, at: *mut u8) {
            // SAFETY: the caller's.
            unsafe { $store(at.cast(), self.0) };
        }
    };
}

impl Wide for Four {
    const BLOCKS: usize = 4;

    call!(Four, "avx512f,avx512bw,avx512vl,avx512dq,bmi2,aes,pclmulqdq,vaes,vpclmulqdq");
    memory!(_mm512_loadu_si512, _mm512_storeu_si512);

    plain! {
        zero() -> Self = Self(_mm512_setzero_si512());
        splat(bits: u64) -> Self = Self(_mm512_set1_epi64(bits as i64));
        broadcast(block: __m128i) -> Self = Self(_mm512_broadcast_i32x4(block));
        lowest(block: __m128i) -> Self = Self(_mm512_zextsi128_si512(block));
    }
    method! {
        low(x) -> __m128i = _mm512_castsi512_si128(x);
        sum(x) -> __m128i = {
            let half = _mm256_xor_si256(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64::<1>(x));
            _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half))
        };
        but_lowest(x) -> Self = Self(_mm512_maskz_mov_epi64(0xfc, x));
        cut(x, len: usize) -> Self = Self(_mm512_maskz_mov_epi8(mask(len), x));
        xor(x, b: Self) -> Self = Self(_mm512_xor_si512(x, b.0));
        xor3(x, b: Self, c: Self) -> Self = Self(_mm512_ternarylogic_epi64::<0x96>(x, b.0, c.0));
        add32(x, b: Self) -> Self = Self(_mm512_add_epi32(x, b.0));
        aes(x, key: Self) -> Self = Self(_mm512_aesenc_epi128(x, key.0));
        aes_last(x, key: Self) -> Self = Self(_mm512_aesenclast_epi128(x, key.0));
        unaes(x, key: Self) -> Self = Self(_mm512_aesdec_epi128(x, key.0));
        unaes_last(x, key: Self) -> Self = Self(_mm512_aesdeclast_epi128(x, key.0));
        order(x, by: Self) -> Self = Self(_mm512_shuffle_epi8(x, by.0));
        swapped(x) -> Self = Self(_mm512_shuffle_epi32::<0x4e>(x));
        pinned(x) -> Self = Self(pin_four(x));
    }

    #[inline(always)]
    fn product<const HALVES: i32>(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_clmulepi64_epi128::<HALVES>(self.0, b.0)) }
    }

    #[inline(always)]
    fn block(self, n: usize) -> __m128i {
        // SAFETY: as above.
        unsafe {
            match n {
                0 => self.low(),
                1 => _mm512_extracti32x4_epi32::<1>(self.0),
                2 => _mm512_extracti32x4_epi32::<2>(self.0),
                _ => _mm512_extracti32x4_epi32::<3>(self.0),
            }
        }
    }

    #[inline(always)]
    fn joined(blocks: &[__m128i]) -> Self {
        // SAFETY: as above.
        unsafe {
            let mut x = Self::zero().0;
            for (n, block) in blocks.iter().enumerate() {
                x = match n {
                    0 => Self::lowest(*block).0,
                    1 => _mm512_inserti32x4::<1>(x, *block),
                    2 => _mm512_inserti32x4::<2>(x, *block),
                    _ => _mm512_inserti32x4::<3>(x, *block),
                };
            }
            Self(x)
        }
    }

    #[inline(always)]
    fn sums(of: &[Self]) -> Self {
        // SAFETY: as above. Two registers become one of two sums each, and two of those one of four.
        unsafe {
            let mut x = [Self::zero().0; 4];
            for (x, of) in x.iter_mut().zip(of) {
                *x = of.0;
            }
            let (low, high) =
                (_mm512_shuffle_i64x2::<0x44>(x[0], x[1]), _mm512_shuffle_i64x2::<0xee>(x[0], x[1]));
            let a = _mm512_xor_si512(low, high);
            let (low, high) =
                (_mm512_shuffle_i64x2::<0x44>(x[2], x[3]), _mm512_shuffle_i64x2::<0xee>(x[2], x[3]));
            let b = _mm512_xor_si512(low, high);
            let (low, high) = (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0xdd>(a, b));
            Self(_mm512_xor_si512(low, high))
        }
    }

    #[inline(always)]
    unsafe fn gather(at: &[*mut u8], on: usize) -> Self {
        // SAFETY: the caller's.
        unsafe {
            let x = _mm512_castsi128_si512(_mm_loadu_si128(at[0].add(on).cast()));
            let x = _mm512_inserti32x4::<1>(x, _mm_loadu_si128(at[1].add(on).cast()));
            let x = _mm512_inserti32x4::<2>(x, _mm_loadu_si128(at[2].add(on).cast()));
            Self(_mm512_inserti32x4::<3>(x, _mm_loadu_si128(at[3].add(on).cast())))
        }
    }

    #[inline(always)]
    unsafe fn scatter(self, at: &[*mut u8], on: usize) {
        // SAFETY: the caller's.
        unsafe {
            _mm_storeu_si128(at[0].add(on).cast(), _mm512_castsi512_si128(self.0));
            _mm_storeu_si128(at[1].add(on).cast(), _mm512_extracti32x4_epi32::<1>(self.0));
            _mm_storeu_si128(at[2].add(on).cast(), _mm512_extracti32x4_epi32::<2>(self.0));
            _mm_storeu_si128(at[3].add(on).cast(), _mm512_extracti32x4_epi32::<3>(self.0));
        }
    }

    #[inline(always)]
    unsafe fn load_part(at: *const u8, len: usize) -> Self {
        // SAFETY: only bytes that are there are read.
        unsafe { Self(_mm512_maskz_loadu_epi8(mask(len), at.cast())) }
    }

    #[inline(always)]
    unsafe fn load_ragged(at: *const u8, len: usize) -> Self {
        // SAFETY: the caller's.
        unsafe { Self::load_part(at, len) }
    }

    #[inline(always)]
    unsafe fn store_part(self, at: *mut u8, len: usize) {
        // SAFETY: only bytes that are there are written.
        unsafe { _mm512_mask_storeu_epi8(at.cast(), mask(len), self.0) };
    }
}

/// The bytes of a register that `len` bytes fill; at most 64.
#[inline(always)]
fn mask(len: usize) -> u64 {
    // SAFETY: every CPU with AVX-512 has BMI2; only within `call`.
    unsafe { _bzhi_u64(u64::MAX, len as u32) }
}

impl Wide for Two {
    const BLOCKS: usize = 2;

    call!(Two, "avx2,bmi2,aes,pclmulqdq,vaes,vpclmulqdq");
    memory!(_mm256_loadu_si256, _mm256_storeu_si256);

    plain! {
        zero() -> Self = Self(_mm256_setzero_si256());
        splat(bits: u64) -> Self = Self(_mm256_set1_epi64x(bits as i64));
        broadcast(block: __m128i) -> Self = Self(_mm256_broadcastsi128_si256(block));
        lowest(block: __m128i) -> Self = Self(_mm256_zextsi128_si256(block));
    }
    method! {
        low(x) -> __m128i = _mm256_castsi256_si128(x);
        sum(x) -> __m128i = _mm_xor_si128(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
        but_lowest(x) -> Self = Self(_mm256_blend_epi32::<0x0f>(x, _mm256_setzero_si256()));
        // 32 bytes from at most 32 of 64.
        cut(x, len: usize) -> Self =
            Self(_mm256_and_si256(x, _mm256_loadu_si256(CUTS.as_ptr().add(32 - len.min(32)).cast())));
        xor(x, b: Self) -> Self = Self(_mm256_xor_si256(x, b.0));
        xor3(x, b: Self, c: Self) -> Self = Self(_mm256_xor_si256(_mm256_xor_si256(b.0, c.0), x));
        add32(x, b: Self) -> Self = Self(_mm256_add_epi32(x, b.0));
        aes(x, key: Self) -> Self = Self(_mm256_aesenc_epi128(x, key.0));
        aes_last(x, key: Self) -> Self = Self(_mm256_aesenclast_epi128(x, key.0));
        unaes(x, key: Self) -> Self = Self(_mm256_aesdec_epi128(x, key.0));
        unaes_last(x, key: Self) -> Self = Self(_mm256_aesdeclast_epi128(x, key.0));
        order(x, by: Self) -> Self = Self(_mm256_shuffle_epi8(x, by.0));
        swapped(x) -> Self = Self(_mm256_shuffle_epi32::<0x4e>(x));
        pinned(x) -> Self = Self(pin_two(x));
    }

    #[inline(always)]
    fn product<const HALVES: i32>(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_clmulepi64_epi128::<HALVES>(self.0, b.0)) }
    }

    #[inline(always)]
    fn block(self, n: usize) -> __m128i {
        // SAFETY: as above.
        unsafe { if n == 0 { self.low() } else { _mm256_extracti128_si256::<1>(self.0) } }
    }

    #[inline(always)]
    fn joined(blocks: &[__m128i]) -> Self {
        let low = Self::lowest(blocks[0]);
        match blocks.get(1) {
            // SAFETY: as above.
            Some(high) => unsafe { Self(_mm256_inserti128_si256::<1>(low.0, *high)) },
            None => low,
        }
    }

    #[inline(always)]
    fn sums(of: &[Self]) -> Self {
        let Some(b) = of.get(1) else { return Self::lowest(of[0].sum()) };
        // SAFETY: as above. The low blocks of both, and the high ones.
        unsafe {
            let low = _mm256_permute2x128_si256::<0x20>(of[0].0, b.0);
            let high = _mm256_permute2x128_si256::<0x31>(of[0].0, b.0);
            Self(_mm256_xor_si256(low, high))
        }
    }

    #[inline(always)]
    unsafe fn gather(at: &[*mut u8], on: usize) -> Self {
        // SAFETY: the caller's.
        unsafe {
            let x = _mm256_castsi128_si256(_mm_loadu_si128(at[0].add(on).cast()));
            Self(_mm256_inserti128_si256::<1>(x, _mm_loadu_si128(at[1].add(on).cast())))
        }
    }

    #[inline(always)]
    unsafe fn scatter(self, at: &[*mut u8], on: usize) {
        // SAFETY: the caller's.
        unsafe {
            _mm_storeu_si128(at[0].add(on).cast(), _mm256_castsi256_si128(self.0));
            _mm_storeu_si128(at[1].add(on).cast(), _mm256_extracti128_si256::<1>(self.0));
        }
    }

    #[inline(always)]
    unsafe fn load_ragged(at: *const u8, len: usize) -> Self {
        // SAFETY: the low half is there, if only behind the text; the high half is where there are more than 16 bytes.
        // Without a branch, as lengths are anything.
        unsafe {
            let second = at.add(if len > 16 { 16 } else { 0 });
            Self::joined(&[_mm_loadu_si128(at.cast()), _mm_loadu_si128(second.cast())])
        }
    }

    #[inline(always)]
    unsafe fn store_part(self, at: *mut u8, len: usize) {
        // SAFETY: as for `load_ragged`. A high half that has no place is written over by the low one.
        unsafe {
            let second = at.add(if len > 16 { 16 } else { 0 });
            _mm_storeu_si128(second.cast(), self.block(1));
            _mm_storeu_si128(at.cast(), self.low());
        }
    }
}

impl Wide for One {
    const BLOCKS: usize = 1;

    call!(One, "avx2,bmi2,aes,pclmulqdq");
    memory!(_mm_loadu_si128, _mm_storeu_si128);

    plain! {
        zero() -> Self = Self(_mm_setzero_si128());
        splat(bits: u64) -> Self = Self(_mm_set1_epi64x(bits as i64));
        broadcast(block: __m128i) -> Self = Self(block);
        lowest(block: __m128i) -> Self = Self(block);
        joined(blocks: &[__m128i]) -> Self = Self(blocks[0]);
        sums(of: &[Self]) -> Self = of[0];
    }
    method! {
        low(x) -> __m128i = x;
        sum(x) -> __m128i = x;
        block(x, _n: usize) -> __m128i = x;
        but_lowest(_x) -> Self = Self(_mm_setzero_si128());
        // 16 bytes from at most 32 of 64.
        cut(x, len: usize) -> Self =
            Self(_mm_and_si128(x, _mm_loadu_si128(CUTS.as_ptr().add(32 - len.min(32)).cast())));
        xor(x, b: Self) -> Self = Self(_mm_xor_si128(x, b.0));
        xor3(x, b: Self, c: Self) -> Self = Self(_mm_xor_si128(_mm_xor_si128(b.0, c.0), x));
        add32(x, b: Self) -> Self = Self(_mm_add_epi32(x, b.0));
        aes(x, key: Self) -> Self = Self(_mm_aesenc_si128(x, key.0));
        aes_last(x, key: Self) -> Self = Self(_mm_aesenclast_si128(x, key.0));
        unaes(x, key: Self) -> Self = Self(_mm_aesdec_si128(x, key.0));
        unaes_last(x, key: Self) -> Self = Self(_mm_aesdeclast_si128(x, key.0));
        order(x, by: Self) -> Self = Self(_mm_shuffle_epi8(x, by.0));
        swapped(x) -> Self = Self(_mm_shuffle_epi32::<0x4e>(x));
        pinned(x) -> Self = Self(pin_one(x));
    }

    #[inline(always)]
    fn product<const HALVES: i32>(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm_clmulepi64_si128::<HALVES>(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn gather(at: &[*mut u8], on: usize) -> Self {
        // SAFETY: the caller's.
        unsafe { Self::load(at[0].add(on)) }
    }

    #[inline(always)]
    unsafe fn scatter(self, at: &[*mut u8], on: usize) {
        // SAFETY: the caller's.
        unsafe { self.store(at[0].add(on)) };
    }

    #[inline(always)]
    unsafe fn load_ragged(at: *const u8, _: usize) -> Self {
        // SAFETY: the 16 bytes are there, if only behind the text.
        unsafe { Self::load(at) }
    }

    #[inline(always)]
    unsafe fn store_part(self, at: *mut u8, _: usize) {
        // SAFETY: as for `load_ragged`.
        unsafe { self.store(at) };
    }
}
