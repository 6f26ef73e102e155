//! AES-GMAC (RFC 4543): all of the packet is additional data, and nothing is encrypted but J0.
//!
//! With ESN the high half of the sequence number stands behind the SPI, so that all blocks but the first lie four bytes
//! earlier in the packet than they would without it.

use std::arch::x86_64::*;

use super::super::wide::{Kernel, One, Wide};
use super::key::POWERS;
use super::sums::Sums;
use super::{BACKWARDS, Packet, rounds};

/// Blocks of a window behind its first, which is all of a packet's for most.
const WINDOW: usize = 96;

pub(super) struct Gmac<'a, const SEAL: bool>(pub(super) Packet<'a>);

impl<const SEAL: bool> Kernel for Gmac<'_, SEAL> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<V: Wide>(self) {
        let Self(packet) = self;
        let key = packet.key;
        let mut states = [[key.first_round(key.begin::<One>(packet.head()), 0)]];
        // SAFETY: within `Wide::call`; a packet's ICV is behind its text; orders have the bytes of the widest register.
        unsafe {
            rounds(&[key], &mut states, &mut ());
            let received = packet.icv();
            let order = V::load(BACKWARDS.as_ptr());
            let (first, begin) = first(&packet);
            let mut left = (packet.len() - begin).div_ceil(16) + 2;
            let mut now = left.min(WINDOW + 1);
            let mut sums = Sums::<V>::new();
            let block = V::lowest(first).order(order);
            sums.add(block, key.powers(POWERS - now));
            (left, now) = (left - 1, now - 1);
            let mut at = begin;
            while left > 0 {
                let mut carry = V::zero();
                if at > begin {
                    carry = V::lowest(sums.reduce());
                    sums = Sums::new();
                }
                if now == left {
                    add_length(&packet, &mut sums);
                }
                let mut n = POWERS - now;
                let end = packet.len().min(at + 16 * WINDOW);
                while at < end {
                    let text = V::load_part(packet.bytes.add(at), V::BYTES.min(end - at));
                    sums.add(text.order(order).xor(carry), key.powers(n));
                    carry = V::zero();
                    (at, n) = (at + V::BYTES, n + V::BLOCKS);
                }
                if n == POWERS - now {
                    // Only the length is left.
                    sums.add(carry, V::lowest(key.last_power()));
                }
                left -= now;
                now = left.min(WINDOW);
            }
            let hash = V::lowest(sums.reduce()).order(order);
            packet.settle::<SEAL>(_mm_xor_si128(hash.low(), states[0][0].low()), received);
        }
    }
}

/// The first block, and where in the packet the second begins.
#[inline(always)]
fn first(packet: &Packet<'_>) -> (__m128i, usize) {
    let head = packet.head();
    if packet.key.esn == 0 {
        return (head, 16);
    }
    // SAFETY: within `Wide::call`. SPI, a gap, the sequence number's low half, the IV's first half.
    unsafe {
        let places = _mm_set_epi64x(0x0b0a_0908_0706_0504, 0x8080_8080_0302_0100_u64 as i64);
        let high = _mm_set_epi32(0, 0, packet.seq_hi.swap_bytes() as i32, 0);
        (_mm_xor_si128(_mm_shuffle_epi8(head, places), high), 12)
    }
}

/// The block of lengths: all bits are additional data's.
#[inline(always)]
fn add_length<V: Wide>(packet: &Packet<'_>, sums: &mut Sums<V>) {
    let bytes = packet.len() + 4 * packet.key.esn as usize;
    // SAFETY: every CPU of the architecture has the instruction.
    let bits = unsafe { _mm_set_epi64x(8 * bytes as i64, 0) };
    sums.add(V::lowest(bits), V::lowest(packet.key.last_power()));
}
