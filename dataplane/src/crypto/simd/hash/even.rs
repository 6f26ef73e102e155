//! Messages of the same count of blocks, as many as there are lanes: they go through together without a look at any lane
//! in between, from the inner key to the outer hash. What does not make such a group goes through `lanes`.

use std::mem::MaybeUninit;

use arrayvec::ArrayVec;

use super::lanes::{self, Algorithm, Message};
use super::tail::{self, TAIL};
use super::{HmacKey, LANES_MAX, State, Task};

/// Messages that are looked at together.
const WINDOW: usize = 64;
/// Counts of blocks: longer messages come one by one.
const COUNTS: usize = 320;

/// As many messages as lanes, all of as many blocks. What is behind the lanes' places is of no meaning.
pub(super) struct Group<'a> {
    pub(super) keys: [&'a HmacKey; LANES_MAX],
    /// Each message's first block.
    pub(super) next: [*const u8; LANES_MAX],
    /// Blocks that are read where they lie.
    pub(super) whole: usize,
    /// Blocks of each tail.
    pub(super) tail_blocks: usize,
    pub(super) tails: &'a mut [MaybeUninit<[u8; TAIL]>; LANES_MAX],
    /// Room for the digests, in the order of their bytes.
    pub(super) digests: &'a mut [[u8; 64]; LANES_MAX],
}

/// Messages that wait until there are as many of their count of blocks as lanes.
struct Window<'a> {
    messages: ArrayVec<Message<'a>, WINDOW>,
    /// A bit for each place that is through.
    done: u64,
    /// For each count of blocks the list of those that wait, from 1 on; 0: none yet.
    list: [u8; COUNTS],
    lists: ArrayVec<List, WINDOW>,
}

/// Places of messages of as many blocks, fewer than lanes.
struct List {
    count: usize,
    places: [u8; LANES_MAX],
}

/// What groups write to, kept from one to the next.
struct Scratch {
    tails: [MaybeUninit<[u8; TAIL]>; LANES_MAX],
    digests: [[u8; 64]; LANES_MAX],
}

/// Sign or verify every message.
pub(super) fn run<'a, A: Algorithm>(task: Task, messages: impl Iterator<Item = Message<'a>>) {
    if !A::TOGETHER {
        return lanes::run::<A>(task, messages);
    }
    let mut scratch =
        Scratch { tails: [const { MaybeUninit::uninit() }; LANES_MAX], digests: [[0; 64]; LANES_MAX] };
    let mut window = Window { messages: ArrayVec::new(), done: 0, list: [0; COUNTS], lists: ArrayVec::new() };
    // The loop is the iterator's own: what it yields is made where it is put.
    messages.for_each(|message| {
        if window.messages.is_full() {
            window.flush::<A>(task);
        }
        let blocks = blocks::<A>(&message);
        window.messages.push(message);
        if let Some(places) = window.group::<A>(blocks) {
            // SAFETY: `covers` found AVX2.
            unsafe { window.together::<A>(task, blocks, &places, &mut scratch) };
        }
    });
    window.flush::<A>(task);
}

/// Twice the whole blocks, and one more if the rest and the padding take two.
fn blocks<A: Algorithm>(message: &Message<'_>) -> usize {
    let (whole, rest) = (message.authed.len() / A::BLOCK, message.authed.len() % A::BLOCK);
    let end = rest + 4 * usize::from(message.esn.is_some()) + 1 + A::BLOCK / 8;
    2 * whole + usize::from(end > A::BLOCK)
}

impl<'a> Window<'a> {
    /// The last message waits with those of as many blocks; the places of all if they are as many as lanes now.
    fn group<A: Algorithm>(&mut self, blocks: usize) -> Option<[u8; LANES_MAX]> {
        let list = self.list.get_mut(blocks)?;
        if *list == 0 {
            self.lists.push(List { count: 0, places: [0; LANES_MAX] });
            *list = self.lists.len() as u8;
        }
        let list = self.lists.get_mut(usize::from(*list) - 1)?;
        list.places[list.count] = self.messages.len() as u8 - 1;
        list.count = (list.count + 1) % (A::LANES * A::GROUPS);
        (list.count == 0).then_some(list.places)
    }

    /// What has found no group.
    fn flush<A: Algorithm>(&mut self, task: Task) {
        let done = self.done;
        if done.count_ones() as usize != self.messages.len() {
            let left = self.messages.drain(..).enumerate().filter(|(place, _)| done >> place & 1 == 0);
            lanes::run::<A>(task, left.map(|(_, message)| message));
        }
        self.messages.clear();
        self.lists.clear();
        (self.done, self.list) = (0, [0; COUNTS]);
    }

    /// Messages of so many blocks, as many as lanes, by their places.
    #[target_feature(enable = "avx2")]
    fn together<A: Algorithm>(
        &mut self,
        task: Task,
        blocks: usize,
        places: &[u8; LANES_MAX],
        scratch: &mut Scratch,
    ) {
        let lanes = A::LANES * A::GROUPS;
        let Some(first) = self.messages.get(usize::from(places[0])) else { return };
        let mut group = Group {
            keys: [first.key; LANES_MAX],
            next: [first.authed.as_ptr(); LANES_MAX],
            whole: blocks / 2,
            tail_blocks: 1 + blocks % 2,
            tails: &mut scratch.tails,
            digests: &mut scratch.digests,
        };
        for (lane, place) in places[..lanes].iter().enumerate() {
            let Some(message) = self.messages.get(usize::from(*place)) else { return };
            (group.keys[lane], group.next[lane]) = (message.key, message.authed.as_ptr());
            // SAFETY: a tail.
            unsafe { tail::write::<A>(message.authed, message.esn, group.tails[lane].as_mut_ptr().cast()) };
        }
        // SAFETY: keys of this engine are made only where `covers` found the CPU to have these lanes; all messages have
        // so many whole blocks, and tails of as many blocks as was counted.
        unsafe { A::together(&mut group) };
        for (place, digest) in places[..lanes].iter().zip(&scratch.digests) {
            if let Some(message) = self.messages.get_mut(usize::from(*place)) {
                message.finish(task, digest);
                self.done |= 1 << place;
            }
        }
    }
}

/// A group by an algorithm's registers of one word of each lane.
///
/// # Safety
/// As for [`Algorithm::together`].
pub(super) unsafe fn by_rows<A: Algorithm>(group: &mut Group<'_>) {
    let lanes = A::LANES * A::GROUPS;
    let (mut states, mut outer) = ([State::ZERO; 2], [State::ZERO; 2]);
    let first = group.keys[0];
    if group.keys[..lanes].iter().all(|key| std::ptr::eq(*key, first)) {
        everywhere::<A>(&mut states, &first.inner);
        everywhere::<A>(&mut outer, &first.outer);
    } else {
        for (lane, key) in group.keys[..lanes].iter().enumerate() {
            lanes::load::<A>(&mut states, lane, &key.inner);
            lanes::load::<A>(&mut outer, lane, &key.outer);
        }
    }
    let next = &mut group.next[..lanes];
    // SAFETY: the caller's.
    unsafe {
        if group.whole > 0 {
            A::blocks(&mut states, next, group.whole);
        }
        for (next, tail) in next.iter_mut().zip(&*group.tails) {
            *next = tail.as_ptr().cast();
        }
        A::blocks(&mut states, next, group.tail_blocks);
        A::outer(&mut states, &outer);
    }
    for (lane, digest) in group.digests[..lanes].iter_mut().enumerate() {
        *digest = lanes::digest::<A>(&states, lane);
    }
}

/// All lanes begin with these words.
fn everywhere<A: Algorithm>(states: &mut [State; 2], words: &[u8; 64]) {
    for state in &mut states[..A::GROUPS] {
        for (row, word) in state.0.iter_mut().zip(words.chunks_exact(A::WORD)) {
            row[..A::WORD * A::LANES].chunks_exact_mut(A::WORD).for_each(|lane| lane.copy_from_slice(word));
        }
    }
}
