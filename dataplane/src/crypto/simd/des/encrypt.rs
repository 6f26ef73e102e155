//! CBC encryption: each lane a packet. A packet that ends gives its lane to the next one that waits.

use super::kernel::{self, Blocks, LANES, PerLane, Shared};
use super::{DesKey, Planes, Repeated, Text, crypt, lanes};

/// The packets in the lanes.
struct Lanes {
    /// The next block of each lane's text.
    next: [*mut u8; LANES],
    /// Blocks left of each lane's text.
    left: [usize; LANES],
    /// The block before, as it was sent.
    chain: Blocks,
    used: usize,
}

/// Encrypt every text. `only`: the key of them all; without it each lane has its own.
pub(super) fn encrypt<'a>(mut texts: impl Iterator<Item = Text<'a>>, only: Option<&DesKey>, rounds: usize) {
    let none = std::ptr::null_mut();
    let mut lanes = Lanes { next: [none; LANES], left: [0; LANES], chain: Blocks([0; LANES]), used: 0 };
    let mut planes: Option<Planes> = None;
    let repeated = only.map(Repeated::new);
    loop {
        lanes.refill(&mut texts, only, &mut planes);
        let Some(steps) = lanes.left[..lanes.used].iter().copied().min() else { return };
        // SAFETY: `refill` took each lane's place and count from a text of as many whole blocks, borrowed until the texts
        // end.
        unsafe {
            match (&repeated, &planes) {
                (Some(key), _) => lanes.run(steps, &Shared(&key.0[..rounds])),
                (None, Some(planes)) => lanes.run(steps, &PerLane(&planes.0[..rounds])),
                (None, None) => return,
            }
        }
    }
}

impl Lanes {
    /// Packets that wait into lanes that are done.
    fn refill<'a>(
        &mut self,
        texts: &mut impl Iterator<Item = Text<'a>>,
        only: Option<&DesKey>,
        planes: &mut Option<Planes>,
    ) {
        let (mut lane, lanes) = (0, lanes());
        while lane < lanes {
            if lane < self.used && self.left[lane] > 0 {
                lane += 1;
                continue;
            }
            match texts.find(|text| !text.bytes.is_empty()) {
                Some(text) => {
                    if only.is_none() {
                        planes.get_or_insert_with(Planes::new).set(text.key, lane, lane + 1);
                    }
                    self.next[lane] = text.bytes.as_mut_ptr();
                    self.left[lane] = text.bytes.len() / 8;
                    self.chain.0[lane] = text.iv;
                    self.used = self.used.max(lane + 1);
                    lane += 1;
                }
                None => return self.close_up(only, planes),
            }
        }
    }

    /// No packet waits: only lanes with work stay, so that `used` counts them.
    fn close_up(&mut self, only: Option<&DesKey>, planes: &mut Option<Planes>) {
        let mut lane = 0;
        while lane < self.used {
            if self.left[lane] > 0 {
                lane += 1;
                continue;
            }
            self.used -= 1;
            let last = self.used;
            (self.next[lane], self.left[lane]) = (self.next[last], self.left[last]);
            self.chain.0[lane] = self.chain.0[last];
            if only.is_none()
                && let Some(planes) = planes
            {
                for table in planes.0.as_flattened_mut() {
                    table.0[lane] = table.0[last];
                }
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
