//! The kernel's part of a host drive: a raw socket on one interface, what the kernel says of that interface, word of
//! its changes, and waiting for any of it. All `unsafe` of the drive is here, and nothing that knows what a frame means.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use espalier_wire::Mac;
use libc::{c_int, c_void};

/// Frames that one system call takes or gives.
pub(super) const BATCH: usize = 32;
/// Bytes of a frame at most: the longest IP packet of an offloading sender, its Ethernet header and a tag.
const SLOT: usize = 65_536 + 64;
/// `struct virtio_net_hdr`: flags, GSO type, header length, segment size, where the checksum begins, where it goes.
const OFFLOAD: usize = 10;
/// Room for one control message with a `tpacket_auxdata` in it.
const CONTROL: usize = 64;
/// Bytes that may wait in each direction.
const QUEUE: c_int = 4 << 20;

/// How the sender's kernel left a frame unfinished (`struct virtio_net_hdr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Offload {
    /// The checksum from this byte on is missing, and goes that many bytes further.
    pub(super) checksum: Option<(usize, usize)>,
    /// Kind (`VIRTIO_NET_HDR_GSO_*`) and bytes of payload of each segment, when the frame is several in one.
    pub(super) segments: Option<(u8, usize)>,
    /// The VLAN whose tag the kernel took off.
    pub(super) vlan: Option<u16>,
}

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

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn socket(domain: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved; the descriptor is new and nobody else's.
    unsafe {
        let fd = check(libc::socket(domain, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, protocol))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

fn set<T>(fd: &OwnedFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    // SAFETY: `value` lives through the call, which reads the `size_of::<T>()` bytes it is told of.
    check(unsafe {
        let at = std::ptr::from_ref(value).cast::<c_void>();
        libc::setsockopt(fd.as_raw_fd(), level, option, at, mem::size_of::<T>() as libc::socklen_t)
    })
    .map(drop)
}

/// One `ioctl` about an interface; `None`: the kernel has no such thing to tell.
fn ask(fd: &OwnedFd, name: &str, request: libc::c_ulong) -> io::Result<libc::ifreq> {
    if name.is_empty() || name.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    // SAFETY: all zeros is a valid `ifreq`: integers, addresses and bytes.
    let mut about: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in about.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    // SAFETY: each of these requests reads the name from, and writes its answer into, this one `ifreq`.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, &raw mut about) })?;
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

/// Received frames, and the memory they are received into.
pub(crate) struct Received {
    bytes: Vec<u8>,
    offloads: [[u8; OFFLOAD]; BATCH],
    found: Vec<(usize, Offload)>,
}

impl Received {
    /// Memory for a batch.
    pub(crate) fn new() -> Self {
        let found = Vec::with_capacity(BATCH);
        Self { bytes: vec![0; BATCH * SLOT], offloads: [[0; OFFLOAD]; BATCH], found }
    }

    /// The frames of the last batch.
    pub(crate) fn frames(&self) -> impl Iterator<Item = (&[u8], Offload)> {
        let slots = self.bytes.chunks_exact(SLOT);
        slots.zip(&self.found).map(|(slot, (len, offload))| (slot.get(..*len).unwrap_or_default(), *offload))
    }
}

impl Default for Received {
    fn default() -> Self {
        Self::new()
    }
}

/// A raw socket on one interface: every frame that arrives there, whomever it is for, and none that leaves.
pub(crate) struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Open it on the interface with that index.
    ///
    /// # Errors
    /// No right to (CAP_NET_RAW), or no such interface.
    pub(crate) fn open(index: c_int) -> io::Result<Self> {
        // Protocol 0 takes nothing in: until it is bound, the socket would hear every interface.
        let fd = socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
        for option in [libc::PACKET_AUXDATA, libc::PACKET_VNET_HDR, libc::PACKET_IGNORE_OUTGOING] {
            set(&fd, libc::SOL_PACKET, option, &(1 as c_int))?;
        }
        for (forced, usual) in
            [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
        {
            set(&fd, libc::SOL_SOCKET, forced, &QUEUE)
                .or_else(|_| set(&fd, libc::SOL_SOCKET, usual, &QUEUE))?;
        }
        let promiscuous = libc::packet_mreq {
            mr_ifindex: index,
            mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        set(&fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &promiscuous)?;
        // SAFETY: all zeros is a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as libc::c_ushort;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index;
        bind(&fd, &address)?;
        Ok(Self(fd))
    }

    /// Take a batch of frames. How many there were; none is no error.
    ///
    /// # Errors
    /// What the kernel reports of the interface: it went down, or is gone.
    pub(crate) fn receive(&self, into: &mut Received) -> io::Result<usize> {
        into.found.clear();
        let mut controls = [[0_u64; CONTROL / 8]; BATCH];
        let mut parts: [[libc::iovec; 2]; BATCH] = std::array::from_fn(|_| [EMPTY; 2]);
        // SAFETY: all zeros is a valid `mmsghdr`: null pointers and lengths of nothing.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        let slots = into.bytes.chunks_exact_mut(SLOT).zip(&mut into.offloads);
        for (((message, part), control), (slot, offload)) in
            messages.iter_mut().zip(&mut parts).zip(&mut controls).zip(slots)
        {
            part[0] = libc::iovec { iov_base: offload.as_mut_ptr().cast(), iov_len: OFFLOAD };
            part[1] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: SLOT };
            message.msg_hdr.msg_iov = part.as_mut_ptr();
            message.msg_hdr.msg_iovlen = 2;
            message.msg_hdr.msg_control = control.as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = CONTROL as _;
        }
        // SAFETY: every message points to an iovec pair, buffers and a control buffer of the stated lengths, all of
        // which live, unmoved, through the call.
        let n = unsafe {
            let (fd, at) = (self.0.as_raw_fd(), messages.as_mut_ptr());
            libc::recvmmsg(fd, at, BATCH as u32, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        let n = match check(n) {
            Ok(n) => n as usize,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            Err(e) => return Err(e),
        };
        for (message, raw) in messages.iter().zip(&into.offloads).take(n) {
            let len = (message.msg_len as usize).saturating_sub(OFFLOAD);
            into.found.push((len, Offload { vlan: vlan(&message.msg_hdr), ..offload(*raw) }));
        }
        Ok(n)
    }

    /// Send frames. How many of them, from the first on, the kernel took.
    ///
    /// # Errors
    /// Why it did not take the first one.
    pub(super) fn send<'a>(&self, frames: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
        let complete = [0_u8; OFFLOAD];
        let mut parts: [[libc::iovec; 2]; BATCH] = std::array::from_fn(|_| [EMPTY; 2]);
        // SAFETY: all zeros is a valid `mmsghdr`.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        let mut n = 0;
        for ((message, part), frame) in messages.iter_mut().zip(&mut parts).zip(frames) {
            part[0] = libc::iovec { iov_base: complete.as_ptr().cast_mut().cast(), iov_len: OFFLOAD };
            part[1] = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
            message.msg_hdr.msg_iov = part.as_mut_ptr();
            message.msg_hdr.msg_iovlen = 2;
            n += 1;
        }
        // SAFETY: the first `n` messages point to iovec pairs over frames that live through the call, which only
        // reads them.
        let sent =
            unsafe { libc::sendmmsg(self.0.as_raw_fd(), messages.as_mut_ptr(), n, libc::MSG_DONTWAIT) };
        check(sent).map(|n| n as usize)
    }

    /// Frames that the kernel lost since the last question, because too many waited here.
    pub(super) fn overflowed(&self) -> u64 {
        let mut stats = MaybeUninit::<libc::tpacket_stats>::zeroed();
        let mut len = mem::size_of::<libc::tpacket_stats>() as libc::socklen_t;
        // SAFETY: the call writes at most `len` bytes of two integers into `stats`, which zeros initialised.
        let stats = unsafe {
            let at = stats.as_mut_ptr().cast::<c_void>();
            let fd = self.0.as_raw_fd();
            libc::getsockopt(fd, libc::SOL_PACKET, libc::PACKET_STATISTICS, at, &raw mut len);
            stats.assume_init()
        };
        u64::from(stats.tp_drops)
    }
}

impl std::os::fd::AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const EMPTY: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

fn offload(raw: [u8; OFFLOAD]) -> Offload {
    let word = |at: usize| usize::from(u16::from_ne_bytes([raw[at], raw[at + 1]]));
    // VIRTIO_NET_HDR_F_NEEDS_CSUM; VIRTIO_NET_HDR_GSO_ECN says nothing that matters here.
    let (needs_checksum, kind) = (raw[0] & 1 == 1, raw[1] & 0x7f);
    Offload {
        checksum: needs_checksum.then(|| (word(6), word(8))),
        segments: (kind != 0).then(|| (kind, word(4))),
        vlan: None,
    }
}

fn vlan(header: &libc::msghdr) -> Option<u16> {
    // SAFETY: the kernel filled in the header and its control buffer, which is alive and aligned for `cmsghdr`; the
    // data of a PACKET_AUXDATA message is a `tpacket_auxdata`, read without regard to alignment.
    let auxiliary = unsafe {
        let control = libc::CMSG_FIRSTHDR(header).as_ref()?;
        let wanted = (libc::SOL_PACKET, libc::PACKET_AUXDATA);
        if (control.cmsg_level, control.cmsg_type) != wanted {
            return None;
        }
        libc::CMSG_DATA(control).cast::<libc::tpacket_auxdata>().read_unaligned()
    };
    // The VLAN's number is the tag's low twelve bits.
    let tagged = auxiliary.tp_status & libc::TP_STATUS_VLAN_VALID != 0;
    tagged.then_some(auxiliary.tp_vlan_tci & 0x0fff)
}

fn bind<T>(fd: &OwnedFd, address: &T) -> io::Result<()> {
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
