//! A bounded ring between cores: lock-free, for many on either side. What moves through it is a batch, so that its cost is
//! divided by the packets in one. Between one core and one other [`spsc`](super::spsc()) costs less.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

/// One end of a ring; ends are all alike.
#[derive(Debug)]
pub struct Ring<T>(Arc<ArrayQueue<T>>);

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Ring<T> {
    /// Room for `len` elements, one at least.
    pub fn new(len: usize) -> Self {
        Self(Arc::new(ArrayQueue::new(len.max(1))))
    }

    /// Put an element in.
    ///
    /// # Errors
    /// The ring is full: the element comes back.
    pub fn push(&self, element: T) -> Result<(), T> {
        self.0.push(element)
    }

    /// Take the oldest element out.
    pub fn pop(&self) -> Option<T> {
        self.0.pop()
    }

    /// How many elements are in it, if nobody touches it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is in it, if nobody touches it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many it holds.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }
}
