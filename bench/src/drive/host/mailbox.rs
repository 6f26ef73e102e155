//! Messages from one thread to another: a bounded lock-free ring, and a bell for a taker that sleeps. A taker that is
//! awake is never rung for, so that a busy pair of threads makes no system call for each other.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use espalier_dataplane::mem::Ring;

use super::socket;

struct Shared<T> {
    ring: Ring<T>,
    /// The taker sleeps, or is about to.
    asleep: AtomicBool,
    bell: File,
}

/// One end of it; ends are all alike, but only one thread takes.
pub(super) struct Mailbox<T>(Arc<Shared<T>>);

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Mailbox<T> {
    /// Room for `len` messages.
    ///
    /// # Errors
    /// No descriptor to be had.
    pub(super) fn new(len: usize) -> io::Result<Self> {
        let (ring, bell) = (Ring::new(len), File::from(socket::bell()?));
        Ok(Self(Arc::new(Shared { ring, asleep: AtomicBool::new(false), bell })))
    }

    /// Put a message in, and wake who sleeps over it.
    ///
    /// # Errors
    /// The ring is full: the message comes back.
    pub(super) fn post(&self, message: T) -> Result<(), T> {
        self.0.ring.push(message)?;
        // With the fence of `may_sleep`: either this sees the sleeper, or the sleeper sees the message.
        fence(Ordering::SeqCst);
        if self.0.asleep.load(Ordering::Relaxed) && self.0.asleep.swap(false, Ordering::Relaxed) {
            // The bell's counter cannot be full: it is rung once a sleep.
            let _ = (&self.0.bell).write_all(&1_u64.to_ne_bytes());
        }
        Ok(())
    }

    /// Take the oldest message out.
    pub(super) fn take(&self) -> Option<T> {
        self.0.ring.pop()
    }

    /// The taker is about to wait for [`AsFd`] to become readable. `false`: it must not, a message is there.
    pub(super) fn may_sleep(&self) -> bool {
        self.0.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let empty = self.0.ring.is_empty();
        if !empty {
            self.0.asleep.store(false, Ordering::Relaxed);
        }
        empty
    }

    /// The taker is awake; `rung`: because of the bell.
    pub(super) fn awake(&self, rung: bool) {
        self.0.asleep.store(false, Ordering::Relaxed);
        if rung {
            let _ = (&self.0.bell).read(&mut [0; 8]);
        }
    }
}

impl<T> AsFd for Mailbox<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.bell.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_posted_wakes_and_arrives_in_order() {
        let mailbox = Mailbox::new(4).unwrap();
        let taker = mailbox.clone();
        let thread = std::thread::spawn(move || {
            let mut taken = Vec::new();
            while taken.len() < 20_000 {
                match taker.take() {
                    Some(n) => taken.push(n),
                    None if taker.may_sleep() => {
                        let rung = socket::wait(&[taker.as_fd()], None)[0];
                        taker.awake(rung);
                    }
                    None => {}
                }
            }
            taken
        });
        for n in 0..20_000 {
            while mailbox.post(n).is_err() {
                std::thread::yield_now();
            }
        }
        assert_eq!(thread.join().unwrap(), (0..20_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_ring_gives_the_message_back_and_nobody_awake_is_rung_for() {
        let mailbox = Mailbox::new(1).unwrap();
        assert!(mailbox.may_sleep());
        assert_eq!((mailbox.post(1), mailbox.post(2)), (Ok(()), Err(2)));
        assert!(!mailbox.may_sleep(), "there is a message");
        assert_eq!(socket::wait(&[mailbox.as_fd()], Some(std::time::Duration::ZERO)), [true]);
        mailbox.awake(true);
        assert_eq!((mailbox.take(), mailbox.post(3)), (Some(1), Ok(())));
        assert_eq!(socket::wait(&[mailbox.as_fd()], Some(std::time::Duration::ZERO)), [false]);
    }
}
