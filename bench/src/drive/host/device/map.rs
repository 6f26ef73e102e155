//! Memory that is shared with the kernel, and goes when its value does.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

/// A mapping of a descriptor, or of nothing but zeros.
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; whoever owns the value owns it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Map `len` bytes of a descriptor from `offset` on.
    pub(super) fn of(fd: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Self> {
        Self::new(fd.as_raw_fd(), offset, len, libc::MAP_SHARED | libc::MAP_POPULATE)
    }

    /// Map `len` bytes of zeros.
    pub(super) fn zeros(len: usize) -> io::Result<Self> {
        Self::new(-1, 0, len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE)
    }

    fn new(fd: libc::c_int, offset: u64, len: usize, flags: libc::c_int) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses where, so that no memory in use is touched.
        let at =
            unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, offset as libc::off_t) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where it begins, for the kernel.
    pub(super) fn start(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }

    /// A word that both sides read and write. `None`: it is not in here, or not aligned.
    pub(super) fn word(&self, at: usize) -> Option<&AtomicU32> {
        let inside = at.checked_add(4).is_some_and(|end| end <= self.len) && at.is_multiple_of(4);
        // SAFETY: the word lies inside, aligned (mappings begin at pages), and lives as long as the mapping; whoever
        // else writes it writes whole words.
        inside.then(|| unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(at).cast()) })
    }

    /// Bytes of it. `None`: they are not all in here.
    ///
    /// # Safety
    /// Nobody, the kernel included, writes them while the slice lives.
    pub(super) unsafe fn bytes(&self, at: usize, len: usize) -> Option<&[u8]> {
        let inside = at.checked_add(len).is_some_and(|end| end <= self.len);
        // SAFETY: inside, initialised (the kernel's pages are zeroed), and by the caller's word at rest.
        inside.then(|| unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(at), len) })
    }

    /// Copy `bytes` into it. `false`: they do not fit there.
    ///
    /// # Safety
    /// Nobody, the kernel included, reads or writes that part meanwhile.
    pub(super) unsafe fn write(&self, at: usize, bytes: &[u8]) -> bool {
        let inside = at.checked_add(bytes.len()).is_some_and(|end| end <= self.len);
        if inside {
            // SAFETY: inside, by the caller's word nobody's but ours, and `bytes` lies elsewhere: no reference into a
            // mapping outlives what it was taken for.
            unsafe {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.as_ptr().add(at), bytes.len())
            };
        }
        inside
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `new` made, and nothing borrowed from it is left.
        unsafe { libc::munmap(self.start(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn nothing_outside_is_touched() {
        let map = Mapping::zeros(4096).unwrap();
        assert!(map.word(4093).is_none() && map.word(2).is_none() && map.word(usize::MAX).is_none());
        map.word(4092).unwrap().store(7, Ordering::Relaxed);
        // SAFETY: the mapping is this test's alone.
        unsafe {
            assert_eq!(map.bytes(4092, 4), Some(&7_u32.to_ne_bytes()[..]));
            assert!(map.bytes(4093, 4).is_none() && map.bytes(usize::MAX, 2).is_none());
            assert!(!map.write(4094, b"abc") && map.write(4093, b"abc"));
        }
        assert_eq!(map.len(), 4096);
    }
}
