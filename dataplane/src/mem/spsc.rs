//! A bounded ring of boxes from one core to one other: what a parcel of packets takes to a helper and back.
//!
//! There is no index that both ends read. A slot is a pointer on a cache line of its own: null is empty. So a box costs one
//! line that moves from core to core, and whoever looks in vain looks at a line that it has already. Either end may go
//! first: what was on the way to a receiver that is gone can be taken back.

use crossbeam::utils::CachePadded;

use super::sync::{Arc, AtomicPtr, AtomicUsize, Ordering};

/// The receiver is there. Any other value says that it is not, and which slot it would have looked at next.
const THERE: usize = usize::MAX;

struct Slots<T> {
    slots: Box<[CachePadded<AtomicPtr<T>>]>,
    /// [`THERE`], or where the receiver was when it went.
    gone_at: CachePadded<AtomicUsize>,
}

impl<T> Slots<T> {
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    /// Take what is in a slot.
    fn take(&self, at: usize) -> Option<Box<T>> {
        let slot = self.slots.get(at)?;
        let pointer = slot.load(Ordering::Acquire);
        if pointer.is_null() {
            return None;
        }
        slot.store(std::ptr::null_mut(), Ordering::Release);
        // SAFETY: the pointer came out of `Box::into_raw` in `push`. Only one end takes at a time: the receiver, or, after
        // it said that it is gone, the sender. So the pointer is found once, and the slot is empty now.
        Some(unsafe { Box::from_raw(pointer) })
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        (0..self.slots.len()).for_each(|at| drop(self.take(at)));
    }
}

/// Where boxes are put in.
pub struct Sender<T> {
    shared: Arc<Slots<T>>,
    at: usize,
    /// Where boxes are taken back.
    oldest: Option<usize>,
}

/// Where they come out, in order.
pub struct Receiver<T> {
    shared: Arc<Slots<T>>,
    at: usize,
}

/// A ring for `len` boxes, one at least.
pub fn spsc<T>(len: usize) -> (Sender<T>, Receiver<T>) {
    let empty = |_| CachePadded::new(AtomicPtr::new(std::ptr::null_mut()));
    let slots = (0..len.max(1)).map(empty).collect();
    let shared = Arc::new(Slots { slots, gone_at: CachePadded::new(AtomicUsize::new(THERE)) });
    (Sender { shared: Arc::clone(&shared), at: 0, oldest: None }, Receiver { shared, at: 0 })
}

impl<T: Send> Sender<T> {
    /// Put a box in.
    ///
    /// # Errors
    /// The ring is full: the box comes back.
    pub fn push(&mut self, element: Box<T>) -> Result<(), Box<T>> {
        let Some(slot) = self.shared.slots.get(self.at).filter(|slot| slot.load(Ordering::Acquire).is_null())
        else {
            return Err(element);
        };
        slot.store(Box::into_raw(element), Ordering::Release);
        self.at = self.shared.next(self.at);
        Ok(())
    }

    /// Whether nobody receives any more.
    pub fn is_abandoned(&self) -> bool {
        self.shared.gone_at.load(Ordering::Acquire) != THERE
    }

    /// Of a ring that [is abandoned](Self::is_abandoned): the oldest box that was not received.
    pub fn take_back(&mut self) -> Option<Box<T>> {
        let gone_at = self.shared.gone_at.load(Ordering::Acquire);
        if gone_at == THERE {
            return None;
        }
        let at = self.oldest.unwrap_or(gone_at);
        let element = self.shared.take(at)?;
        self.oldest = Some(self.shared.next(at));
        Some(element)
    }

    /// How many it holds.
    pub fn capacity(&self) -> usize {
        self.shared.slots.len()
    }
}

impl<T: Send> Receiver<T> {
    /// Take the oldest box out.
    pub fn pop(&mut self) -> Option<Box<T>> {
        let element = self.shared.take(self.at)?;
        self.at = self.shared.next(self.at);
        Some(element)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.gone_at.store(self.at, Ordering::Release);
    }
}

impl<T> std::fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sender(at {} of {})", self.at, self.shared.slots.len())
    }
}

impl<T> std::fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Receiver(at {} of {})", self.at, self.shared.slots.len())
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn boxes_come_in_order_and_a_full_ring_gives_them_back() {
        let (mut to, mut from) = spsc(2);
        for n in 0..20 {
            assert!(to.push(Box::new(n)).is_ok() && to.push(Box::new(n + 100)).is_ok());
            assert_eq!(to.push(Box::new(7)), Err(Box::new(7)));
            assert_eq!(
                (from.pop(), from.pop(), from.pop()),
                (Some(Box::new(n)), Some(Box::new(n + 100)), None)
            );
        }
        assert_eq!((to.capacity(), spsc::<u8>(0).0.capacity()), (2, 1));
    }

    #[test]
    fn what_nobody_received_is_taken_back_once() {
        let (mut to, mut from) = spsc(3);
        for n in 0..5 {
            assert!(to.push(Box::new(n)).is_ok() && (n > 2 || from.pop() == Some(Box::new(n))));
        }
        assert!(!to.is_abandoned() && to.take_back().is_none());
        drop(from);
        assert!(to.is_abandoned());
        assert_eq!(
            (to.take_back(), to.take_back(), to.take_back()),
            (Some(Box::new(3)), Some(Box::new(4)), None)
        );
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_tests {
    use loom::thread;

    use super::*;

    /// Three boxes through a ring of two, in every order of the two cores: each comes once and in its turn, and loom sees
    /// that none is leaked or freed twice.
    #[test]
    fn loom_boxes_cross_once_and_in_order() {
        loom::model(|| {
            let (mut to, mut from) = spsc(2);
            let sender = thread::spawn(move || {
                for n in 0..3 {
                    let mut element = Box::new(Arc::new(n));
                    while let Err(back) = to.push(element) {
                        element = back;
                        thread::yield_now();
                    }
                }
            });
            for n in 0..3 {
                let element = loop {
                    match from.pop() {
                        Some(element) => break element,
                        None => thread::yield_now(),
                    }
                };
                assert_eq!(**element, n);
            }
            assert!(from.pop().is_none());
            sender.join().unwrap();
        });
    }

    /// The receiver goes at any moment: what it did not take the sender takes back, and nothing is lost between.
    #[test]
    fn loom_what_is_on_the_way_to_nobody_comes_back() {
        loom::model(|| {
            let (mut to, mut from) = spsc(2);
            let receiver = thread::spawn(move || usize::from(from.pop().is_some()));
            let sent = (0..2).filter(|n| to.push(Box::new(Arc::new(*n))).is_ok()).count();
            while !to.is_abandoned() {
                thread::yield_now();
            }
            let mut back = 0;
            while to.take_back().is_some() {
                back += 1;
            }
            assert_eq!(receiver.join().unwrap() + back, sent);
        });
    }

    /// Frames of a pool go to another core and come back, and that core may go meanwhile: none is ever in two places, and all
    /// are in the pool again at the end.
    #[test]
    fn loom_frames_of_a_pool_are_never_in_two_places() {
        use crate::mem::Pool;
        loom::model(|| {
            let mut pool = Pool::new(2);
            let ((mut to, mut there), (mut back, mut from)) = (spsc(1), spsc(1));
            let other = thread::spawn(move || {
                if let Some(frame) = there.pop() {
                    assert!(back.push(frame).is_ok());
                }
            });
            let (sent, kept) = (pool.take(64).unwrap(), pool.take(64).unwrap());
            let place = |frame: &crate::frame::Frame| frame.bytes().as_ptr() as usize;
            assert_ne!(place(&sent), place(&kept));
            pool.put(kept);
            assert!(to.push(Box::new(sent)).is_ok());
            let again = pool.take(64).unwrap();
            other.join().unwrap();
            let came = from.pop().or_else(|| to.take_back()).unwrap();
            assert_ne!(place(&came), place(&again));
            pool.put(*came);
            pool.put(again);
            let (one, two) = (pool.take(64).unwrap(), pool.take(64).unwrap());
            assert_ne!(place(&one), place(&two));
        });
    }
}
