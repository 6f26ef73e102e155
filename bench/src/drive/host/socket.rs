//! The kernel's part of a host drive beside its devices: what the kernel says of an interface, word of its changes, bells
//! between threads, and waiting for any of it. Nothing here knows what a frame means.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use espalier_wire::Mac;
use libc::{c_int, c_void};

/// Bytes that may wait in a socket, in each direction.
pub(super) const QUEUE: c_int = 4 << 20;

/// What the kernel says of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub(crate) struct Status {
    pub(crate) index: c_int,
    pub(super) mac: Mac,
    pub(super) mtu: usize,
    pub(super) ethernet: bool,
    /// Switched on, with a link.
    pub(super) running: bool,
    /// The kernel has an IPv4 address on it.
    pub(super) addressed: bool,
}

pub(super) fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

pub(super) fn socket(domain: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved; the descriptor is new and nobody else's.
    unsafe {
        let fd = check(libc::socket(domain, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, protocol))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

pub(super) fn set<T>(fd: &OwnedFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    // SAFETY: `value` lives through the call, which reads the `size_of::<T>()` bytes it is told of.
    check(unsafe {
        let at = std::ptr::from_ref(value).cast::<c_void>();
        libc::setsockopt(fd.as_raw_fd(), level, option, at, mem::size_of::<T>() as libc::socklen_t)
    })
    .map(drop)
}

/// A request about the interface of that name.
///
/// # Errors
/// None can have that name.
pub(super) fn request(name: &str) -> io::Result<libc::ifreq> {
    if name.is_empty() || name.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    // SAFETY: all zeros is a valid `ifreq`: integers, addresses and bytes.
    let mut about: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in about.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    Ok(about)
}

/// One `ioctl` about an interface.
///
/// # Errors
/// What the kernel says to it.
///
/// # Safety
/// The request reads and writes an `ifreq` and nothing else, and finds in `about` whatever it points to.
pub(super) unsafe fn ioctl(fd: &OwnedFd, request: libc::c_ulong, about: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: by the caller's word.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, std::ptr::from_mut(about)) }).map(drop)
}

/// One question about an interface; `None`: the kernel has no such thing to tell.
fn ask(fd: &OwnedFd, name: &str, what: libc::c_ulong) -> io::Result<libc::ifreq> {
    let mut about = request(name)?;
    // SAFETY: each of the questions asked here reads the name from, and writes its answer into, this one `ifreq`.
    unsafe { ioctl(fd, what, &mut about)? };
    Ok(about)
}

/// What the kernel says of the interface of that name.
///
/// # Errors
/// There is none of that name.
pub(crate) fn status(name: &str) -> io::Result<Status> {
    let fd = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let (index, mtu) = (ask(&fd, name, libc::SIOCGIFINDEX)?, ask(&fd, name, libc::SIOCGIFMTU)?);
    let (flags, link) = (ask(&fd, name, libc::SIOCGIFFLAGS)?, ask(&fd, name, libc::SIOCGIFHWADDR)?);
    let addressed = ask(&fd, name, libc::SIOCGIFADDR).is_ok();
    // SAFETY: each request filled in the member of the union that is read of its answer.
    let (index, mtu, flags, link) = unsafe {
        let (index, mtu) = (index.ifr_ifru.ifru_ifindex, mtu.ifr_ifru.ifru_mtu);
        (index, mtu, flags.ifr_ifru.ifru_flags, link.ifr_ifru.ifru_hwaddr)
    };
    let mac = std::array::from_fn(|i| link.sa_data[i].cast_unsigned());
    let wanted = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    Ok(Status {
        index,
        mac: Mac(mac),
        mtu: usize::try_from(mtu).unwrap_or_default(),
        ethernet: link.sa_family == libc::ARPHRD_ETHER,
        running: flags & wanted == wanted,
        addressed,
    })
}

pub(super) fn bind<T>(fd: &OwnedFd, address: &T) -> io::Result<()> {
    // SAFETY: `address` is a socket address of the socket's own family and lives through the call.
    check(unsafe {
        let at = std::ptr::from_ref(address).cast::<libc::sockaddr>();
        libc::bind(fd.as_raw_fd(), at, mem::size_of::<T>() as libc::socklen_t)
    })
    .map(drop)
}

/// Move this thread into a network namespace: the sockets that it opens from now on are of that one, whoever uses them.
///
/// # Errors
/// There is none of that name, or no right to enter it.
pub(crate) fn enter(namespace: &str) -> io::Result<()> {
    let file = std::fs::File::open(format!("/var/run/netns/{namespace}"))?;
    // SAFETY: no memory is involved, and the descriptor lives through the call.
    check(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Sends whole IP packets as a host of its namespace would: along the kernel's routes.
pub(crate) struct RawIp(OwnedFd);

impl RawIp {
    /// Open it in this thread's namespace.
    ///
    /// # Errors
    /// No right to.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self(socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)?))
    }

    /// Send a packet to its destination. Whether the kernel took it.
    pub(crate) fn send(&self, packet: &[u8], dst: std::net::Ipv4Addr) -> bool {
        // SAFETY: all zeros is a valid `sockaddr_in`.
        let mut to: libc::sockaddr_in = unsafe { mem::zeroed() };
        to.sin_family = libc::AF_INET as libc::sa_family_t;
        to.sin_addr.s_addr = u32::from_ne_bytes(dst.octets());
        // SAFETY: packet and address live through the call, which reads as many bytes of them as it is told of.
        let sent = unsafe {
            let at = std::ptr::from_ref(&to).cast::<libc::sockaddr>();
            let len = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
            libc::sendto(self.0.as_raw_fd(), packet.as_ptr().cast(), packet.len(), 0, at, len)
        };
        usize::try_from(sent).is_ok_and(|n| n == packet.len())
    }
}

/// Sees every IP packet that arrives for a host of its namespace, on whichever interface.
pub(crate) struct Arrivals(OwnedFd);

impl Arrivals {
    /// Listen in this thread's namespace.
    ///
    /// # Errors
    /// No right to.
    pub(crate) fn open() -> io::Result<Self> {
        let protocol = c_int::from((libc::ETH_P_IP as u16).to_be());
        let fd = socket(libc::AF_PACKET, libc::SOCK_DGRAM, protocol)?;
        set(&fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &(1 as c_int))?;
        set(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &QUEUE)?;
        Ok(Self(fd))
    }

    /// The next packet, from its IP header on; `None`: none waits.
    pub(crate) fn next<'a>(&self, memory: &'a mut [u8]) -> Option<&'a [u8]> {
        // SAFETY: at most the buffer's length is written into it.
        let n = unsafe {
            libc::recv(self.0.as_raw_fd(), memory.as_mut_ptr().cast(), memory.len(), libc::MSG_DONTWAIT)
        };
        memory.get(..usize::try_from(n).ok()?)
    }
}

impl std::os::fd::AsFd for Arrivals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Word that some interface of this network namespace changed.
pub(super) struct LinkNews(OwnedFd);

impl LinkNews {
    /// Listen from now on.
    ///
    /// # Errors
    /// The kernel has no netlink.
    pub(super) fn listen() -> io::Result<Self> {
        let fd = socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
        // SAFETY: all zeros is a valid `sockaddr_nl`.
        let mut address: libc::sockaddr_nl = unsafe { mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::c_ushort;
        address.nl_groups = libc::RTMGRP_LINK as u32;
        bind(&fd, &address)?;
        Ok(Self(fd))
    }

    /// Take all that was told; whether anything was. What it was, the interfaces are asked themselves.
    pub(super) fn heard(&self) -> bool {
        let mut heard = false;
        let mut scratch = [0_u8; 8192];
        loop {
            // SAFETY: at most the buffer's length is written into it.
            let n = unsafe {
                libc::recv(self.0.as_raw_fd(), scratch.as_mut_ptr().cast(), scratch.len(), libc::MSG_DONTWAIT)
            };
            // An overrun is news, too: something changed that we did not read.
            let overrun = n < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOBUFS);
            if n <= 0 && !overrun {
                return heard;
            }
            heard = true;
        }
    }
}

impl std::os::fd::AsFd for LinkNews {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The driver of an interface, and how many queues it receives by; nothing and one where the kernel does not tell.
pub(super) fn driver(name: &str) -> (String, u32) {
    let told = |fd: &OwnedFd, answer: *mut c_void| {
        let mut about = request(name)?;
        about.ifr_ifru.ifru_data = answer.cast();
        // SAFETY: the request writes into what `answer` points to, which begins with the command that says how much.
        unsafe { ioctl(fd, libc::SIOCETHTOOL as _, &mut about) }
    };
    let Ok(fd) = socket(libc::AF_INET, libc::SOCK_DGRAM, 0) else { return (String::new(), 1) };
    // `struct ethtool_drvinfo`: the command, then names of 32 bytes, of which the first is the driver's.
    let mut info = [0_u32; 49];
    info[0] = 0x03;
    let named = told(&fd, info.as_mut_ptr().cast());
    let name: Vec<u8> = info.iter().skip(1).take(8).flat_map(|w| w.to_ne_bytes()).collect();
    let name = name.split(|b| *b == 0).next().filter(|_| named.is_ok()).unwrap_or_default();
    // `struct ethtool_channels`: the command, what is possible (four), what there is: receive, send, other, combined.
    let mut channels = [0_u32; 9];
    channels[0] = 0x3c;
    let queues = told(&fd, channels.as_mut_ptr().cast()).map_or(1, |()| channels[5] + channels[8]);
    (String::from_utf8_lossy(name).into_owned(), queues.max(1))
}

/// Something that one thread rings and another waits for: eight bytes are written to ring it, and read to hush it.
///
/// # Errors
/// No descriptor to be had.
pub(super) fn bell() -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved; the descriptor is new and nobody else's.
    unsafe {
        let fd = check(libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Wait until one of them can be read (or has an error to tell), at most that long. Which ones can.
pub(crate) fn wait(fds: &[BorrowedFd<'_>], at_most: Option<Duration>) -> Vec<bool> {
    let ask = |fd: &BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut asked: Vec<libc::pollfd> = fds.iter().map(ask).collect();
    let span = at_most.map(|d| libc::timespec {
        tv_sec: libc::time_t::try_from(d.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: d.subsec_nanos().into(),
    });
    let span = span.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the array has the stated length, and the time, where there is one, lives through the call. An
    // interrupted wait leaves `revents` at zero.
    let n = unsafe { libc::ppoll(asked.as_mut_ptr(), asked.len() as libc::nfds_t, span, std::ptr::null()) };
    asked.iter().map(|a| n > 0 && a.revents != 0).collect()
}
