//! The far end of a TAP interface: what the kernel sends out of it is read here, and what is written here arrives at it.
//! The kernel finishes checksums and segments itself, because nobody tells it that it need not.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use super::{BATCH, Device, SLOT};
use crate::drive::host::offload::Offload;
use crate::drive::host::socket::{self, ioctl, request};

/// The device.
pub(super) struct Tap {
    file: File,
    host: String,
    memory: Vec<u8>,
    /// What the kernel had lost when it was last asked.
    lost: u64,
    gone: bool,
}

impl Tap {
    /// Open the interface of that name; one that is not there is made, with room for packets of `mtu` bytes, switched on,
    /// and gone when the value is.
    ///
    /// # Errors
    /// No TAP in this kernel, no right to it, an interface of another kind, or one that somebody holds.
    pub(super) fn open(host: &str, mtu: u16) -> io::Result<Self> {
        let new = socket::status(host).is_err();
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
        let fd = OwnedFd::from(options.open("/dev/net/tun")?);
        let mut about = request(host)?;
        about.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: the request reads name and flags, and writes the name.
        unsafe { ioctl(&fd, libc::TUNSETIFF as _, &mut about)? };
        if new {
            prepare(host, mtu)?;
        }
        let lost = dropped(host);
        Ok(Self { file: File::from(fd), host: host.to_owned(), memory: vec![0; SLOT], lost, gone: false })
    }
}

/// Give an interface its MTU, where Ethernet's is too small, and switch it on.
fn prepare(host: &str, mtu: u16) -> io::Result<()> {
    let fd = socket::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let mut about = request(host)?;
    if mtu > 1500 {
        about.ifr_ifru.ifru_mtu = mtu.into();
        // SAFETY: the request reads name and MTU.
        unsafe { ioctl(&fd, libc::SIOCSIFMTU as _, &mut about)? };
    }
    about.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the request reads name and flags.
    unsafe { ioctl(&fd, libc::SIOCSIFFLAGS as _, &mut about) }
}

/// Frames that the kernel could not send out of the interface, since it was made.
fn dropped(host: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    let line = text.lines().find_map(|l| l.trim().strip_prefix(host)?.strip_prefix(':'));
    // Eight figures of what was received, then packets, bytes, errors and losses of what was sent.
    line.and_then(|l| l.split_whitespace().nth(11)?.parse().ok()).unwrap_or(0)
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Device for Tap {
    fn receive(&mut self, each: &mut dyn FnMut(&[u8], &Offload)) -> io::Result<usize> {
        for n in 0..BATCH {
            match self.file.read(&mut self.memory) {
                Ok(len) => each(self.memory.get(..len).unwrap_or_default(), &Offload::default()),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    return Ok(n);
                }
                Err(e) => {
                    self.gone |= e.raw_os_error() == Some(libc::EBADFD);
                    return Err(e);
                }
            }
        }
        Ok(BATCH)
    }

    fn send(&mut self, frames: &mut dyn Iterator<Item = &[u8]>) -> io::Result<usize> {
        let mut sent = 0;
        for frame in frames.take(BATCH) {
            match self.file.write(frame) {
                Ok(_) => sent += 1,
                Err(_) if sent > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(sent)
    }

    fn lost(&mut self) -> u64 {
        let now = dropped(&self.host);
        now.saturating_sub(std::mem::replace(&mut self.lost, now))
    }

    fn woken(&mut self) -> bool {
        !self.gone
    }
}
