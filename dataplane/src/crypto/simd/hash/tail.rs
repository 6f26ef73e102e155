//! The end of a message: what is left behind its whole blocks, the high half of the sequence number, the padding and the
//! length. It is written in whole registers, as it is read again at once: a load of what several stores made waits for them all.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::lanes::Algorithm;

/// Room for a tail.
#[repr(C, align(64))]
pub(super) struct Tail {
    /// Bytes of the message before it.
    before: [MaybeUninit<u8>; BLOCK_MAX],
    /// Two blocks at most, and zeros behind them.
    blocks: [MaybeUninit<u8>; 2 * BLOCK_MAX + 16],
}

/// Bytes of the longest block.
pub(super) const BLOCK_MAX: usize = 128;

/// Windows into this are orders of bytes that move a register's up or down and leave zeros.
static PLACES: [u8; 48] = {
    let mut places = [0x80; 48];
    let mut n = 0;
    while n < 16 {
        places[16 + n] = n as u8;
        n += 1;
    }
    places
};

impl Tail {
    pub(super) const fn new() -> Self {
        let byte = MaybeUninit::uninit();
        Self { before: [byte; BLOCK_MAX], blocks: [byte; 2 * BLOCK_MAX + 16] }
    }

    /// The first block.
    pub(super) fn blocks(&mut self) -> *mut u8 {
        self.blocks.as_mut_ptr().cast()
    }

    /// Writes the tail of a message which is not read before the message's whole blocks have been, if there are any: by fewer
    /// instructions than [`Self::write`], whatever the lengths, in pieces that do not lie as they are read.
    ///
    /// # Safety
    /// The CPU has AVX2.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn write_early<A: Algorithm>(&mut self, authed: &[u8], esn: Option<u32>) {
        let Some(last) = authed.len().checked_sub(A::BLOCK) else {
            // SAFETY: the caller's.
            unsafe { self.write::<A>(authed, esn) };
            return;
        };
        let End { rest, behind, bits, blocks } = End::of::<A>(authed, esn);
        // SAFETY: a block before the message's end; the block whose end is that of the rest, from `before` on; registers
        // behind it, which end in the 16 bytes behind the second block at the most; the end of a block.
        unsafe {
            let from = authed.as_ptr().add(last).cast::<__m128i>();
            let end = std::ptr::from_mut(self).cast::<u8>().add(BLOCK_MAX + rest);
            let to = end.sub(A::BLOCK).cast::<__m128i>();
            for n in 0..A::BLOCK / 16 {
                _mm_storeu_si128(to.add(n), _mm_loadu_si128(from.add(n)));
            }
            _mm_storeu_si128(end.cast(), _mm_cvtsi64_si128(behind as i64));
            for n in 1..A::BLOCK / 16 + 1 {
                _mm_storeu_si128(end.add(16 * n).cast(), _mm_setzero_si128());
            }
            self.blocks().add(blocks * A::BLOCK - 8).cast::<u64>().write_unaligned(bits);
        }
    }

    /// Writes the tail of a message; returns how many blocks it has.
    ///
    /// # Safety
    /// The CPU has AVX2.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn write<A: Algorithm>(&mut self, authed: &[u8], esn: Option<u32>) -> usize {
        let End { rest, behind, bits, blocks } = End::of::<A>(authed, esn);
        let tail = self.blocks();
        let (whole, over) = (rest / 16, rest % 16);
        let end = blocks * A::BLOCK / 16;
        // The length is the upper half of the last register, which may be one of those that hold more.
        let length = |n: usize| if n == end - 1 { bits as i64 } else { 0 };
        // SAFETY: what is read is the message's last bytes and 16 of 48 places; what is written are registers of the
        // blocks, and one behind them at the most.
        unsafe {
            let at = |n: usize| tail.add(16 * n).cast::<__m128i>();
            let from = authed.as_ptr().add(authed.len() - rest).cast::<__m128i>();
            for n in 1..A::BLOCK / 16 {
                _mm_storeu_si128(at(n), _mm_setzero_si128());
            }
            if blocks == 2 {
                for n in A::BLOCK / 16..A::BLOCK / 8 {
                    _mm_storeu_si128(at(n), _mm_setzero_si128());
                }
            }
            _mm_storeu_si128(at(end - 1), _mm_set_epi64x(bits as i64, 0));
            let up = _mm_loadu_si128(PLACES.as_ptr().add(16 - over).cast());
            let down = _mm_loadu_si128(PLACES.as_ptr().add(32 - over).cast());
            let behind = _mm_cvtsi64_si128(behind as i64);
            let next = _mm_or_si128(_mm_shuffle_epi8(behind, down), _mm_set_epi64x(length(whole + 1), 0));
            _mm_storeu_si128(at(whole + 1), next);
            let last = _mm_shuffle_epi8(last_sixteen(authed), down);
            let last = _mm_or_si128(last, _mm_set_epi64x(length(whole), 0));
            _mm_storeu_si128(at(whole), _mm_or_si128(last, _mm_shuffle_epi8(behind, up)));
            // Few, and often as many: a call that copies would take longer.
            for n in 0..A::BLOCK / 16 - 1 {
                if n < whole {
                    _mm_storeu_si128(at(n), _mm_loadu_si128(from.add(n)));
                }
            }
        }
        blocks
    }
}

/// What ends a message, and how.
struct End {
    /// Bytes behind the whole blocks.
    rest: usize,
    /// Behind those, lowest byte first: the sequence number's high half, and the bit that begins the padding.
    behind: u64,
    /// The length, in bits, of the key's block and the message, in the order that it is written in.
    bits: u64,
    /// Blocks of the tail.
    blocks: usize,
}

impl End {
    #[inline(always)]
    fn of<A: Algorithm>(authed: &[u8], esn: Option<u32>) -> Self {
        let rest = authed.len() % A::BLOCK;
        let (behind, esn_len) = match esn {
            Some(high) => (u64::from(high.swap_bytes()) | 0x80 << 32, 4),
            None => (0x80, 0),
        };
        let bits = 8 * (A::BLOCK + authed.len() + esn_len) as u64;
        Self {
            rest,
            behind,
            bits: if A::BIG_ENDIAN { bits.swap_bytes() } else { bits },
            blocks: 1 + usize::from(rest + esn_len + 1 + A::BLOCK / 8 > A::BLOCK),
        }
    }
}

/// The last bytes of a message, at the upper end.
#[inline]
#[target_feature(enable = "avx2")]
fn last_sixteen(authed: &[u8]) -> __m128i {
    let mut short = [0; 16];
    let last = authed.last_chunk::<16>().unwrap_or_else(|| {
        short[16 - authed.len()..].copy_from_slice(authed);
        &short
    });
    // SAFETY: 16 bytes.
    unsafe { _mm_loadu_si128(last.as_ptr().cast()) }
}

#[cfg(test)]
mod tests {
    use super::super::md5::Md5;
    use super::super::sha2_64_narrow::Four;
    use super::super::words::Eight;
    use super::*;
    use crate::crypto::simd::cpu;

    /// As RFC 1321 section 3 and FIPS 180-4 section 5.1 have it, byte by byte; a key's block was hashed before.
    fn expected<A: Algorithm>(authed: &[u8], esn: Option<u32>) -> Vec<u8> {
        let mut text = authed.to_vec();
        text.extend(esn.iter().flat_map(|high| high.to_be_bytes()));
        let bits = 8 * (A::BLOCK + text.len()) as u64;
        text.push(0x80);
        while !(text.len() + A::BLOCK / 8).is_multiple_of(A::BLOCK) {
            text.push(0);
        }
        text.resize(text.len() + A::BLOCK / 8 - 8, 0);
        text.extend(if A::BIG_ENDIAN { bits.to_be_bytes() } else { bits.to_le_bytes() });
        text.split_off(authed.len() / A::BLOCK * A::BLOCK)
    }

    fn every_length<A: Algorithm>() {
        let message: Vec<u8> = (1..=3 * A::BLOCK).map(|n| n as u8).collect();
        for len in 0..message.len() {
            for esn in [None, Some(0x0123_4567)] {
                let expected = expected::<A>(&message[..len], esn);
                for early in [false, true] {
                    let mut tail = Tail::new();
                    tail.blocks.fill(MaybeUninit::new(0xee));
                    // SAFETY: AVX2 was found; as many bytes of a tail as were written.
                    let blocks = unsafe {
                        match early {
                            false => {
                                assert_eq!(tail.write::<A>(&message[..len], esn), expected.len() / A::BLOCK)
                            }
                            true => tail.write_early::<A>(&message[..len], esn),
                        }
                        std::slice::from_raw_parts(tail.blocks(), expected.len())
                    };
                    assert_eq!(blocks, expected, "{len} {esn:?} {early}");
                }
            }
        }
    }

    #[test]
    fn tails_are_padded_as_the_standards_say() {
        if cpu::level() < cpu::Level::Avx2 {
            return;
        }
        every_length::<Md5<Eight>>();
        every_length::<Four<8>>();
    }
}
