//! Messages of the same count of blocks, as many as there are lanes: they go through together without a look at any lane
//! in between, and the outer hash takes the inner one's registers as they are. What does not make such a group goes
//! through `lanes`.

use super::lanes::{self, Algorithm, Message, TAIL};
use super::{LANES_MAX, State, Task};

/// Messages that are looked at together.
const WINDOW: usize = 64;
/// Counts of blocks: longer messages come one by one.
const COUNTS: usize = 320;
/// No message.
const NONE: u8 = u8::MAX;

/// Messages by their count of blocks: lists of places in the window.
struct Lists {
    first: [u8; COUNTS],
    count: [u8; COUNTS],
    next: [u8; WINDOW],
}

/// Sign or verify every message.
pub(super) fn run<'a, A: Algorithm>(task: Task, mut messages: impl Iterator<Item = Message<'a>>) {
    if !A::OUTER {
        return lanes::run::<A>(task, messages);
    }
    let lanes = A::LANES * A::GROUPS;
    let mut scratch = Scratch::new();
    loop {
        let mut window = [const { None }; WINDOW];
        let mut lists = Lists { first: [NONE; COUNTS], count: [0; COUNTS], next: [NONE; WINDOW] };
        let (mut taken, mut left) = (0, 0);
        for place in 0..WINDOW {
            // Straight to its place: a message that is moved once more waits for its own words.
            window[place] = messages.next();
            let Some(message) = &window[place] else { break };
            let blocks = blocks::<A>(message);
            (taken, left) = (place + 1, left + 1);
            if blocks >= COUNTS {
                continue;
            }
            lists.next[place] = std::mem::replace(&mut lists.first[blocks], place as u8);
            lists.count[blocks] += 1;
            if usize::from(lists.count[blocks]) == lanes {
                let places = lists.take(blocks, lanes);
                scratch.together::<A>(task, blocks, &mut window, &places[..lanes]);
                left -= lanes;
            }
        }
        if left > 0 {
            lanes::run::<A>(task, window.into_iter().flatten());
        }
        if taken < WINDOW {
            return;
        }
    }
}

impl Lists {
    /// The places of so many messages, and the list is empty.
    fn take(&mut self, blocks: usize, lanes: usize) -> [u8; LANES_MAX] {
        let mut places = [NONE; LANES_MAX];
        let mut place = std::mem::replace(&mut self.first[blocks], NONE);
        self.count[blocks] = 0;
        for to in &mut places[..lanes] {
            *to = place;
            place = self.next.get(usize::from(place)).copied().unwrap_or(NONE);
        }
        places
    }
}

/// Twice the whole blocks, and one more if the rest and the padding take two.
fn blocks<A: Algorithm>(message: &Message<'_>) -> usize {
    let (whole, rest) = (message.authed.len() / A::BLOCK, message.authed.len() % A::BLOCK);
    let end = rest + 4 * usize::from(message.esn.is_some()) + 1 + A::BLOCK / 8;
    2 * whole + usize::from(end > A::BLOCK)
}

/// What a group works on, kept from one to the next: nothing of it is cleared but what is used.
struct Scratch {
    states: [State; 2],
    keys: [State; 2],
    tails: [[u8; TAIL]; LANES_MAX],
}

impl Scratch {
    fn new() -> Self {
        Self { states: [State::ZERO; 2], keys: [State::ZERO; 2], tails: [[0; TAIL]; LANES_MAX] }
    }

    /// As many messages as lanes, by their places.
    fn together<A: Algorithm>(
        &mut self,
        task: Task,
        blocks: usize,
        window: &mut [Option<Message<'_>>; WINDOW],
        places: &[u8],
    ) {
        let mut next = [std::ptr::null(); LANES_MAX];
        let mut key = None;
        let mut mixed = false;
        for (lane, place) in places.iter().enumerate() {
            let Some(message) = &window[usize::from(*place)] else { return };
            mixed |= *key.get_or_insert(std::ptr::from_ref(message.key)) != std::ptr::from_ref(message.key);
            next[lane] = message.authed.as_ptr();
            tail::<A>(message, &mut self.tails[lane]);
        }
        for (lane, place) in places.iter().enumerate() {
            let Some(message) = &window[usize::from(*place)] else { return };
            if mixed {
                lanes::load::<A>(&mut self.states, lane, &message.key.inner);
                lanes::load::<A>(&mut self.keys, lane, &message.key.outer);
            } else {
                everywhere::<A>(&mut self.states, &message.key.inner);
                everywhere::<A>(&mut self.keys, &message.key.outer);
                break;
            }
        }
        let (next, whole) = (&mut next[..places.len()], blocks / 2);
        // SAFETY: keys of this engine are made only where `covers` found the CPU to have these lanes; all messages have
        // so many whole blocks, and tails of as many blocks as was counted.
        unsafe {
            if whole > 0 {
                A::blocks(&mut self.states, next, whole);
            }
            for (next, tail) in next.iter_mut().zip(&self.tails) {
                *next = tail.as_ptr();
            }
            A::blocks(&mut self.states, next, 1 + blocks % 2);
            A::outer(&mut self.states, &self.keys);
        }
        for (lane, place) in places.iter().enumerate() {
            if let Some(message) = window[usize::from(*place)].take() {
                let (digest, _) = lanes::digest::<A>(&self.states, lane);
                message.finish(task, &digest);
            }
        }
    }
}

/// All lanes begin with these words.
fn everywhere<A: Algorithm>(states: &mut [State; 2], words: &[u8; 64]) {
    for state in states {
        for (row, word) in state.0.iter_mut().zip(words.chunks_exact(A::WORD)) {
            row.chunks_exact_mut(A::WORD).for_each(|lane| lane.copy_from_slice(word));
        }
    }
}

/// What is behind a message's whole blocks, with its padding.
fn tail<A: Algorithm>(message: &Message<'_>, tail: &mut [u8; TAIL]) {
    let rest = &message.authed[message.authed.len() / A::BLOCK * A::BLOCK..];
    let esn = message.esn.map(u32::to_be_bytes);
    let mut len = rest.len();
    let hashed = A::BLOCK + message.authed.len() + if esn.is_some() { 4 } else { 0 };
    let end = (len + if esn.is_some() { 4 } else { 0 } + 1 + A::BLOCK / 8).next_multiple_of(A::BLOCK);
    for zeros in tail[..end].as_chunks_mut::<64>().0 {
        *zeros = [0; 64];
    }
    copy(rest, &mut tail[..len]);
    if let Some(high) = esn {
        tail[len..len + 4].copy_from_slice(&high);
        len += 4;
    }
    tail[len] = 0x80;
    let bits = hashed as u64 * 8;
    tail[end - 8..end].copy_from_slice(&if A::BIG_ENDIAN { bits.to_be_bytes() } else { bits.to_le_bytes() });
}

/// Few bytes, without a call: sixteen at a time, the last of them once more if need be.
#[inline]
fn copy(from: &[u8], to: &mut [u8]) {
    let (Some(last), Some(to_last)) = (from.last_chunk::<16>(), to.last_chunk_mut::<16>()) else {
        return to.copy_from_slice(from);
    };
    *to_last = *last;
    for (to, from) in to.as_chunks_mut::<16>().0.iter_mut().zip(from.as_chunks::<16>().0) {
        *to = *from;
    }
}
