//! Messages of the same count of blocks, as many as there are lanes: they go through together without a look at any lane
//! in between, from the inner key to the outer hash. What does not make such a group goes through `lanes`.

use std::mem::MaybeUninit;

use arrayvec::ArrayVec;
use espalier_wire::Integrity;

use super::lanes::{self, Algorithm};
use super::tail::Tail;
use super::{HmacKey, LANES_MAX, State, Task};
use crate::crypto::simd::separate::{Packet, WINDOW};

/// Counts of blocks: longer messages come one by one.
const COUNTS: usize = 320;
/// Bytes of the longest ICV.
const ICV_MAX: usize = 32;

/// Messages of as many blocks, each in a lane.
pub(super) struct Group<'g, 'a> {
    packets: &'g [Packet<'a>],
    /// One for each lane.
    places: &'g [u8],
    /// Blocks that are read where they lie.
    pub(super) whole: usize,
    /// Blocks of each tail.
    pub(super) tail_blocks: usize,
    pub(super) scratch: &'g mut Scratch,
}

impl<'a> Group<'_, 'a> {
    /// The key of a lane, and its message's first block.
    #[inline(always)]
    pub(super) fn lane(&self, lane: usize) -> (&'a HmacKey, *const u8) {
        let packet = &self.packets[usize::from(self.places[lane])];
        (packet.mac, packet.authed.as_ptr())
    }
}

/// What groups write to, kept from one to the next.
pub(super) struct Scratch {
    pub(super) tails: [Tail; LANES_MAX],
    /// The digests' first bytes, in order.
    pub(super) digests: [MaybeUninit<[u8; ICV_MAX]>; LANES_MAX],
    /// The states of the inner and the outer hash, for who wants them.
    states: Option<[[State; 2]; 2]>,
}

/// Packets that wait until there are enough of their count of blocks.
struct Waiting {
    /// For each count of blocks the list of those that wait, from 1 on; 0: none yet.
    list: [u8; COUNTS],
    lists: ArrayVec<List, WINDOW>,
    /// A bit for each place that is in no list.
    alone: u64,
}

/// Places of messages of as many blocks, fewer than a group has.
struct List {
    blocks: usize,
    count: usize,
    places: [u8; LANES_MAX],
}

/// Sign or verify every packet that has this integrity.
pub(super) fn run<A: Algorithm>(task: Task, integrity: Integrity, packets: &mut [Packet<'_>]) {
    if !A::TOGETHER {
        let some = packets.iter_mut().filter(|packet| packet.mac.integrity == integrity);
        return lanes::run::<A>(task, some);
    }
    let mut scratch = Scratch {
        tails: [const { Tail::new() }; LANES_MAX],
        digests: [const { MaybeUninit::uninit() }; LANES_MAX],
        states: None,
    };
    let mut waiting = Waiting { list: [0; COUNTS], lists: ArrayVec::new(), alone: 0 };
    for place in 0..packets.len().min(WINDOW) {
        let packet = &packets[place];
        if packet.mac.integrity != integrity {
            continue;
        }
        if let Some(list) = waiting.add::<A>(blocks::<A>(packet), place) {
            // SAFETY: `covers` found AVX2.
            unsafe {
                together::<A>(task, list.blocks, packets, &list.places[..A::LANES * A::GROUPS], &mut scratch)
            };
        }
    }
    for List { count, places, .. } in waiting.lists.drain(..) {
        places[..count].iter().for_each(|place| waiting.alone |= 1 << place);
    }
    if waiting.alone != 0 {
        let alone = packets.iter_mut().enumerate().filter(|(place, _)| waiting.alone >> place & 1 != 0);
        lanes::run::<A>(task, alone.map(|(_, packet)| packet));
    }
}

/// Twice the whole blocks, and one more if the rest and the padding take two.
#[inline(always)]
fn blocks<A: Algorithm>(packet: &Packet<'_>) -> usize {
    let (whole, rest) = (packet.authed.len() / A::BLOCK, packet.authed.len() % A::BLOCK);
    let end = rest + 4 * usize::from(packet.esn.is_some()) + 1 + A::BLOCK / 8;
    2 * whole + usize::from(end > A::BLOCK)
}

impl Waiting {
    /// A packet waits with those of as many blocks; the list of all if they are enough now, of which none waits then.
    #[inline(always)]
    fn add<A: Algorithm>(&mut self, blocks: usize, place: usize) -> Option<&List> {
        let Some(list) = self.list.get_mut(blocks) else {
            self.alone |= 1 << place;
            return None;
        };
        if *list == 0 {
            self.lists.push(List { blocks, count: 0, places: [0; LANES_MAX] });
            *list = self.lists.len() as u8;
        }
        let list = self.lists.get_mut(usize::from(*list) - 1)?;
        list.places[list.count % LANES_MAX] = place as u8;
        list.count = (list.count + 1) % (A::LANES * A::GROUPS);
        (list.count == 0).then_some(list)
    }
}

/// Packets of so many blocks, a group by their places.
#[target_feature(enable = "avx2")]
fn together<A: Algorithm>(
    task: Task,
    blocks: usize,
    packets: &mut [Packet<'_>],
    places: &[u8],
    scratch: &mut Scratch,
) {
    for (place, tail) in places.iter().zip(&mut scratch.tails) {
        let packet = &packets[usize::from(*place)];
        // SAFETY: AVX2 is there.
        unsafe { tail.write_early::<A>(packet.authed, packet.esn) };
    }
    let (whole, tail_blocks) = (blocks / 2, 1 + blocks % 2);
    // SAFETY: keys of this engine are made only where `covers` found the CPU to have these lanes; all messages have
    // so many whole blocks, and tails of as many blocks as was counted.
    unsafe { A::together(&mut Group { packets, places, whole, tail_blocks, scratch }) };
    // SAFETY: `together` wrote as many digests as there are places.
    let digests = scratch.digests[..places.len()].iter().map(|digest| unsafe { digest.assume_init_ref() });
    // An integrity has ICVs of one length.
    match packets[usize::from(places[0])].icv.len() {
        12 => finish::<12>(task, packets, places, digests),
        16 => finish::<16>(task, packets, places, digests),
        24 => finish::<24>(task, packets, places, digests),
        _ => finish::<32>(task, packets, places, digests),
    }
}

#[inline(always)]
fn finish<'d, const N: usize>(
    task: Task,
    packets: &mut [Packet<'_>],
    places: &[u8],
    digests: impl Iterator<Item = &'d [u8; ICV_MAX]>,
) {
    for (place, digest) in places.iter().zip(digests) {
        let packet = &mut packets[usize::from(*place)];
        *packet.verified = lanes::sized::<N>(task, packet.icv, digest);
    }
}

/// A group by an algorithm's registers of one word of each lane.
///
/// # Safety
/// As for [`Algorithm::together`].
pub(super) unsafe fn by_rows<A: Algorithm>(group: &mut Group<'_, '_>) {
    let lanes = A::LANES * A::GROUPS;
    let Group { packets, places, whole, tail_blocks, scratch } = group;
    let [states, outer] = scratch.states.get_or_insert_with(no_states);
    let (mut next, mut alike) = ([std::ptr::null(); LANES_MAX], true);
    let first = packets[usize::from(places[0])].mac;
    for (next, place) in next.iter_mut().zip(*places) {
        let packet = &packets[usize::from(*place)];
        *next = packet.authed.as_ptr();
        alike &= std::ptr::eq(packet.mac, first);
    }
    if alike {
        everywhere::<A>(states, &first.inner);
        everywhere::<A>(outer, &first.outer);
    } else {
        for (lane, place) in places.iter().enumerate() {
            let key = packets[usize::from(*place)].mac;
            lanes::load::<A>(states, lane, &key.inner);
            lanes::load::<A>(outer, lane, &key.outer);
        }
    }
    let next = &mut next[..lanes];
    // SAFETY: the caller's.
    unsafe {
        if *whole > 0 {
            A::blocks(states, next, *whole);
        }
        for (next, tail) in next.iter_mut().zip(&mut scratch.tails) {
            *next = tail.blocks();
        }
        A::blocks(states, next, *tail_blocks);
        A::outer(states, outer);
    }
    for (lane, to) in scratch.digests[..lanes].iter_mut().enumerate() {
        let digest = lanes::digest::<A>(states, lane);
        let mut first = [0; ICV_MAX];
        first.copy_from_slice(&digest[..ICV_MAX]);
        to.write(first);
    }
}

fn no_states() -> [[State; 2]; 2] {
    [[State::ZERO; 2]; 2]
}

/// All lanes begin with these words.
fn everywhere<A: Algorithm>(states: &mut [State; 2], words: &[u8; 64]) {
    for state in &mut states[..A::GROUPS] {
        for (row, word) in state.0.iter_mut().zip(words.chunks_exact(A::WORD)) {
            row[..A::WORD * A::LANES].chunks_exact_mut(A::WORD).for_each(|lane| lane.copy_from_slice(word));
        }
    }
}
