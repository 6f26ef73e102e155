//! The end of a message: what is left behind its whole blocks, the high half of the sequence number, the padding and the
//! length. It is written in whole registers, as it is read again at once: a load of what several stores made waits for them all.

use std::arch::x86_64::*;

use super::lanes::Algorithm;

/// Bytes of a tail: two blocks of the longest.
pub(super) const TAIL: usize = 256;

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

/// Writes the tail of a message; returns how many blocks it has.
///
/// # Safety
/// The CPU has AVX2; [`TAIL`] bytes at `tail` can be written.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn write<A: Algorithm>(authed: &[u8], esn: Option<u32>, tail: *mut u8) -> usize {
    let rest = authed.len() % A::BLOCK;
    let (whole, over) = (rest / 16, rest % 16);
    // Behind the message, lowest byte first: its sequence number's high half, and the bit that begins the padding.
    let behind = match esn {
        Some(high) => u64::from(high.swap_bytes()) | 0x80 << 32,
        None => 0x80,
    };
    let esn_len = if esn.is_some() { 4 } else { 0 };
    let blocks = (rest + esn_len + 1 + A::BLOCK / 8).div_ceil(A::BLOCK);
    let bits = 8 * (A::BLOCK + authed.len() + esn_len) as u64;
    let bits = if A::BIG_ENDIAN { bits.swap_bytes() } else { bits };
    // SAFETY: what is read is the message's last bytes and 16 of 48 places; what is written are registers of the
    // blocks, and one behind them at the most, of which TAIL has room.
    unsafe {
        let at = |n: usize| tail.add(16 * n).cast::<__m128i>();
        let from = authed.as_ptr().add(authed.len() - rest).cast::<__m128i>();
        for n in 0..whole {
            _mm_storeu_si128(at(n), _mm_loadu_si128(from.add(n)));
        }
        let up = _mm_loadu_si128(PLACES.as_ptr().add(16 - over).cast());
        let down = _mm_loadu_si128(PLACES.as_ptr().add(32 - over).cast());
        let behind = _mm_cvtsi64_si128(behind as i64);
        let last = _mm_shuffle_epi8(last_sixteen(authed), down);
        _mm_storeu_si128(at(whole), _mm_or_si128(last, _mm_shuffle_epi8(behind, up)));
        _mm_storeu_si128(at(whole + 1), _mm_shuffle_epi8(behind, down));
        let end = blocks * A::BLOCK / 16;
        for n in whole + 2..end {
            _mm_storeu_si128(at(n), _mm_setzero_si128());
        }
        let length = _mm_set_epi64x(bits as i64, 0);
        _mm_storeu_si128(at(end - 1), _mm_or_si128(_mm_loadu_si128(at(end - 1)), length));
    }
    blocks
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
                let mut tail = [0xee; TAIL];
                // SAFETY: AVX2 was found; a tail.
                let blocks = unsafe { write::<A>(&message[..len], esn, tail.as_mut_ptr()) };
                assert_eq!(tail[..blocks * A::BLOCK], expected::<A>(&message[..len], esn), "{len} {esn:?}");
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
