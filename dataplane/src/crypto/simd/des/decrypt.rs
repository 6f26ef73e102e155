//! CBC decryption: a packet's blocks side by side, the next packet's after them.

use arrayvec::ArrayVec;

use super::kernel::{Blocks, LANES, PerLane, Shared};
use super::{DesKey, Planes, Repeated, Text, crypt, lanes};

/// The blocks of one pass: what was received, and what each is to be XORed with afterwards.
struct Pass<'a> {
    blocks: Blocks,
    chain: Blocks,
    /// Where the lanes' blocks go, in order.
    places: [Option<&'a mut [u8]>; LANES],
    runs: usize,
    used: usize,
}

/// Decrypt every text in place. `only`: the key of them all; without it each lane has its own.
pub(super) fn decrypt<'a>(texts: impl Iterator<Item = Text<'a>>, only: Option<&'a DesKey>, rounds: usize) {
    let zero = Blocks([0; LANES]);
    let (places, lanes) = ([const { None }; LANES], lanes());
    let mut pass = Pass { blocks: zero, chain: zero, places, runs: 0, used: 0 };
    let mut keys = Keys { lanes: ArrayVec::new(), planes: None, one: None, rounds };
    if let Some(only) = only {
        keys.one = Some((only, Repeated::new(only)));
    }
    for text in texts {
        let (mut before, mut rest) = (text.iv, text.bytes);
        while !rest.is_empty() {
            let from = pass.used;
            let (now, later) = rest.split_at_mut(rest.len().min(8 * (lanes - from)));
            rest = later;
            before = pass.take(now, before);
            if only.is_none() {
                keys.lanes.extend((from..pass.used).map(|_| text.key));
            }
            if pass.used == lanes {
                pass.run(&mut keys);
            }
        }
    }
    if pass.used > 0 {
        pass.run(&mut keys);
    }
}

/// The keys of a pass.
struct Keys<'a> {
    /// Each lane's, unless all of all passes have one.
    lanes: ArrayVec<&'a DesKey, LANES>,
    planes: Option<Planes>,
    /// The one key that a pass had last.
    one: Option<(&'a DesKey, Repeated)>,
    rounds: usize,
}

impl Keys<'_> {
    fn crypt(&mut self, blocks: &mut Blocks) {
        if let Some(first) = self.lanes.first().copied() {
            if !self.lanes.iter().all(|key| std::ptr::eq(*key, first)) {
                let planes = self.planes.get_or_insert_with(|| Planes::new(self.rounds));
                planes.set_all(&self.lanes);
                self.lanes.clear();
                return crypt(blocks, &PerLane(&planes.tables[..self.rounds]));
            }
            self.lanes.clear();
            if !self.one.as_ref().is_some_and(|(key, _)| std::ptr::eq(*key, first)) {
                self.one = Some((first, Repeated::new(first)));
            }
        }
        if let Some((_, key)) = &self.one {
            crypt(blocks, &Shared(&key.0[..self.rounds]));
        }
    }
}

impl<'a> Pass<'a> {
    /// Take blocks of one text into the next lanes; the last of them is what the text's next is XORed with.
    fn take(&mut self, bytes: &'a mut [u8], before: u64) -> u64 {
        let (blocks, _) = bytes.as_chunks::<8>();
        let lanes = self.used..self.used + blocks.len();
        let mut before = before;
        let places = self.blocks.0[lanes.clone()].iter_mut().zip(&mut self.chain.0[lanes.clone()]);
        for ((block, chain), bytes) in places.zip(blocks) {
            *block = u64::from_ne_bytes(*bytes);
            *chain = std::mem::replace(&mut before, *block);
        }
        self.used = lanes.end;
        self.places[self.runs] = Some(bytes);
        self.runs += 1;
        before
    }

    fn run(&mut self, keys: &mut Keys<'_>) {
        keys.crypt(&mut self.blocks);
        let mut lane = 0;
        for place in self.places[..self.runs].iter_mut().filter_map(Option::take) {
            let (blocks, _) = place.as_chunks_mut::<8>();
            let lanes = lane..lane + blocks.len();
            lane = lanes.end;
            let plain = self.blocks.0[lanes.clone()].iter().zip(&self.chain.0[lanes]);
            for (bytes, (block, chain)) in blocks.iter_mut().zip(plain) {
                *bytes = (block ^ chain).to_ne_bytes();
            }
        }
        (self.runs, self.used) = (0, 0);
    }
}
