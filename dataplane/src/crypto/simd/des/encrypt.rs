//! CBC encryption: each lane a packet. A packet that ends gives its lane to the next one that waits.

use arrayvec::ArrayVec;

use super::super::widest;
use super::kernel::{self, Blocks, LANES, PerLane, Shared};
use super::{DesKey, Planes, Repeated, Text, crypt, lanes};

/// From so many lanes on whose keys change at once, those of all are put in their places together.
const MANY: usize = 6;

/// The packets in the lanes.
struct Lanes<'a> {
    /// The next block of each lane's text.
    next: [*mut u8; LANES],
    /// Blocks left of each lane's text.
    left: [usize; LANES],
    /// The block before, as it was sent.
    chain: Blocks,
    /// Where they differ.
    keys: [Option<&'a DesKey>; LANES],
    used: usize,
}

/// Encrypt every text. `only`: the key of them all; without it each lane has its own.
pub(super) fn encrypt<'a>(mut texts: impl Iterator<Item = Text<'a>>, only: Option<&DesKey>, rounds: usize) {
    let none = std::ptr::null_mut();
    let mut lanes = Lanes {
        next: [none; LANES],
        left: [0; LANES],
        chain: Blocks([0; LANES]),
        keys: [None; LANES],
        used: 0,
    };
    let mut planes = only.is_none().then(|| Planes::new(rounds));
    let repeated = only.map(Repeated::new);
    loop {
        lanes.refill(&mut texts, planes.as_mut());
        let Some(steps) = lanes.left[..lanes.used].iter().copied().min() else { return };
        // SAFETY: `refill` took each lane's place and count from a text of as many whole blocks, borrowed until the texts
        // end.
        unsafe {
            match (&repeated, &planes) {
                (Some(key), _) => lanes.run(steps, &Shared(&key.0[..rounds])),
                (None, Some(planes)) => lanes.run(steps, &PerLane(&planes.tables[..rounds])),
                (None, None) => return,
            }
        }
    }
}

impl<'a> Lanes<'a> {
    /// Packets that wait into lanes that are done.
    fn refill(&mut self, texts: &mut impl Iterator<Item = Text<'a>>, mut planes: Option<&mut Planes>) {
        let (mut changed, mut lane) = (ArrayVec::<usize, LANES>::new(), 0);
        while lane < lanes() {
            if lane < self.used && self.left[lane] > 0 {
                lane += 1;
                continue;
            }
            let Some(text) = texts.find(|text| !text.bytes.is_empty()) else {
                self.close_up(lane, &mut changed);
                break;
            };
            self.next[lane] = text.bytes.as_mut_ptr();
            self.left[lane] = text.bytes.len() / 8;
            self.chain.0[lane] = text.iv;
            self.keys[lane] = Some(text.key);
            self.used = self.used.max(lane + 1);
            changed.push(lane);
            lane += 1;
        }
        if let Some(planes) = &mut planes {
            self.place_keys(planes, &changed);
        }
    }

    fn place_keys(&self, planes: &mut Planes, changed: &[usize]) {
        if changed.len() >= MANY && !widest() {
            let keys: ArrayVec<&DesKey, LANES> = self.keys[..self.used].iter().flatten().copied().collect();
            return planes.set_all(&keys);
        }
        for lane in changed.iter().filter(|lane| **lane < self.used) {
            if let Some(key) = self.keys[*lane] {
                planes.set(key, *lane, lane + 1);
            }
        }
    }

    /// No packet waits: only lanes with work stay, so that `used` counts them.
    fn close_up(&mut self, from: usize, changed: &mut ArrayVec<usize, LANES>) {
        let mut lane = from;
        while lane < self.used {
            if self.left[lane] > 0 {
                lane += 1;
                continue;
            }
            self.used -= 1;
            let last = self.used;
            if last == lane {
                break;
            }
            (self.next[lane], self.left[lane]) = (self.next[last], self.left[last]);
            (self.chain.0[lane], self.keys[lane]) = (self.chain.0[last], self.keys[last]);
            if self.left[lane] > 0 {
                changed.push(lane);
            }
        }
    }

    /// Encrypt so many blocks of each used lane.
    ///
    /// # Safety
    /// Each used lane has at least `steps` blocks left, which nothing else reads or writes meanwhile.
    unsafe fn run(&mut self, steps: usize, keys: &impl kernel::RoundKeys) {
        for _ in 0..steps {
            for (chain, next) in self.chain.0.iter_mut().zip(&self.next).take(self.used) {
                // SAFETY: the lane has a block left.
                *chain ^= unsafe { next.cast::<u64>().read_unaligned() };
            }
            crypt(&mut self.chain, keys);
            for (chain, next) in self.chain.0.iter().zip(&mut self.next).take(self.used) {
                // SAFETY: the same block; behind it is the next one, or the text's end.
                unsafe {
                    next.cast::<u64>().write_unaligned(*chain);
                    *next = next.add(8);
                }
            }
        }
        self.left[..self.used].iter_mut().for_each(|left| *left -= steps);
    }
}
