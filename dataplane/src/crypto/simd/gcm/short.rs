//! Short packets, some abreast: a few registers each, in straight lines of code.

use super::super::wide::{Kernel, Wide};
use super::key::{POWERS, load};
use super::{BACKWARDS, Packet, rounds};

/// `N` packets of `R` registers; their keys may differ, but not the counts of rounds.
pub(super) struct Short<'a, const N: usize, const R: usize, const SEAL: bool>(pub(super) [Packet<'a>; N]);

impl<const N: usize, const R: usize, const SEAL: bool> Kernel for Short<'_, N, R, SEAL> {
    type Out = [bool; N];

    #[inline(always)]
    unsafe fn run<V: Wide>(self) -> [bool; N] {
        let Self(packets) = self;
        let mut keys = [packets[0].key; N];
        let mut states = [[V::zero(); R]; N];
        for p in 0..N {
            let key = packets[p].key;
            keys[p] = key;
            let nonce = V::broadcast(key.nonce_state(packets[p].head()));
            for r in 0..R {
                states[p][r] = nonce.xor(key.counter_states(V::BLOCKS * r));
            }
        }
        rounds(&keys, &mut states);
        let mut done = [false; N];
        for p in 0..N {
            // SAFETY: within `Wide::call`; the packet's registers are R.
            done[p] = unsafe { one::<V, R, SEAL>(&packets[p], &states[p]) };
        }
        done
    }
}

/// The text of one packet and its tag, with the key stream at hand.
///
/// # Safety
/// Within `Wide::call`; the packet has so many registers.
#[inline(always)]
unsafe fn one<V: Wide, const R: usize, const SEAL: bool>(packet: &Packet<'_>, stream: &[V; R]) -> bool {
    let (key, bytes) = (packet.key, packet.bytes);
    let blocks = packet.len.div_ceil(16) + 1;
    let rest = packet.len - V::BYTES * (R - 1);
    let mut sums = packet.length::<V>();
    // SAFETY: the text ends in register R, and the ICV is behind it; orders have the bytes of the widest register.
    unsafe {
        let received = packet.icv();
        for r in 0..R {
            let (last, at) = (r == R - 1, bytes.add(V::BYTES * r));
            let text = if last { V::load_part(at, rest) } else { V::load(at) };
            // The header goes as it is.
            let crypted = text.xor(if r == 0 { stream[r].but_lowest() } else { stream[r] });
            match last {
                true => crypted.store_part(at, rest),
                false => crypted.store(at),
            }
            let sent = match (SEAL, last) {
                (true, true) => crypted.cut(rest),
                (true, false) => crypted,
                (false, _) => text,
            };
            let order = if r == 0 { key.first_order.as_ptr() } else { BACKWARDS.as_ptr() };
            let mut blocks_of = sent.order(V::load(order));
            if r == 0 && key.esn {
                blocks_of = blocks_of.xor(V::lowest(packet.high_sequence()));
            }
            let (high, low) = key.powers(POWERS - blocks + V::BLOCKS * r);
            sums.add(blocks_of, high, low);
        }
        packet.finish::<V, SEAL>(sums, load(&key.aad_len), stream[0].low(), received)
    }
}
