//! A pool of frames: what is put back is taken again, so that nothing is allocated per packet once it is warm.
//!
//! It belongs to one core. A frame that is dropped instead of put back is merely freed.

use crate::frame::{Class, Frame, HEADROOM, Meta};

/// Free frames by class, a bounded number of each.
#[derive(Debug)]
pub struct Pool {
    small: Vec<Frame>,
    large: Vec<Frame>,
    keep: usize,
}

impl Pool {
    /// A pool that keeps at most `keep` small frames, and one large one for each sixteen of them (and one more).
    pub fn new(keep: usize) -> Self {
        Self { small: Vec::with_capacity(keep), large: Vec::with_capacity(keep / 16 + 1), keep }
    }

    /// An empty frame whose packet may grow to `len` bytes behind [`HEADROOM`]; `None` when no class holds that much.
    pub fn take(&mut self, len: usize) -> Option<Frame> {
        let class = Class::holding(len)?;
        let free = match class {
            Class::Small => &mut self.small,
            Class::Large => &mut self.large,
        };
        let mut frame = free.pop().unwrap_or_else(|| Frame::new(class));
        frame.clear(HEADROOM);
        frame.meta = Meta::default();
        Some(frame)
    }

    /// A frame with a copy of `packet` behind [`HEADROOM`]; `None` when it is longer than an IP packet can be.
    pub fn copy_of(&mut self, packet: &[u8]) -> Option<Frame> {
        let mut frame = self.take(packet.len())?;
        frame.fill(HEADROOM, packet).then_some(frame)
    }

    /// Take a frame back.
    pub fn put(&mut self, frame: Frame) {
        let (free, keep) = match frame.class() {
            Class::Small => (&mut self.small, self.keep),
            Class::Large => (&mut self.large, self.keep / 16 + 1),
        };
        if free.len() < keep {
            free.push(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken_again_clean_and_bounded() {
        let mut pool = Pool::new(1);
        let mut frame = pool.copy_of(b"one").unwrap();
        frame.meta.control = true;
        let place = frame.bytes().as_ptr();
        pool.put(frame);
        pool.put(Frame::new(Class::Small));
        let again = pool.take(100).unwrap();
        assert_eq!((again.meta, again.len()), (Meta::default(), 0));
        assert_eq!(pool.copy_of(b"two").unwrap().bytes(), b"two");
        assert!(pool.small.is_empty(), "only one was kept");
        assert_eq!(again.bytes().as_ptr(), place);
        assert!(pool.take(70_000).is_none());
    }
}
