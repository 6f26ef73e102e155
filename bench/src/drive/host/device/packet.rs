//! AF_PACKET: a raw socket on one interface that hears every frame that arrives there, whomever it is for, and none that
//! leaves. As a device it receives and sends by batches of messages.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use libc::{c_int, c_void};

use super::{BATCH, Device, SLOT};
use crate::drive::host::offload::{OFFLOAD, Offload};
use crate::drive::host::socket::{QUEUE, bind, check, set, socket};

/// Room for one control message with a `tpacket_auxdata` in it.
const CONTROL: usize = 64;
const EMPTY: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

/// Received frames, and the memory they are received into.
pub(super) struct Received {
    bytes: Vec<u8>,
    offloads: Vec<[u8; OFFLOAD]>,
    found: Vec<(usize, Offload)>,
}

impl Received {
    /// Memory for so many frames, a batch at most.
    pub(super) fn new(frames: usize) -> Self {
        let frames = frames.min(BATCH);
        let (bytes, offloads) = (vec![0; frames * SLOT], vec![[0; OFFLOAD]; frames]);
        Self { bytes, offloads, found: Vec::with_capacity(frames) }
    }

    /// The frames of the last batch.
    pub(super) fn frames(&self) -> impl Iterator<Item = (&[u8], &Offload)> {
        let slots = self.bytes.chunks_exact(SLOT);
        slots.zip(&self.found).map(|(slot, (len, offload))| (slot.get(..*len).unwrap_or_default(), offload))
    }
}

/// The socket.
pub(super) struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// One that hears nothing yet.
    ///
    /// # Errors
    /// No right to (CAP_NET_RAW).
    pub(super) fn new() -> io::Result<Self> {
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
        Ok(Self(fd))
    }

    /// Have the interface take in every frame while the socket lives, also those for other stations.
    ///
    /// # Errors
    /// No such interface.
    pub(super) fn promiscuous(&self, index: c_int) -> io::Result<()> {
        let member = libc::packet_mreq {
            mr_ifindex: index,
            mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        set(&self.0, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &member)
    }

    /// Hear the interface with that index from now on.
    ///
    /// # Errors
    /// No such interface.
    pub(super) fn hear(&self, index: c_int) -> io::Result<()> {
        self.promiscuous(index)?;
        // SAFETY: all zeros is a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as libc::c_ushort;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index;
        bind(&self.0, &address)
    }

    /// Set an option of its level.
    ///
    /// # Errors
    /// What the kernel says to it.
    pub(super) fn set<T>(&self, option: c_int, value: &T) -> io::Result<()> {
        set(&self.0, libc::SOL_PACKET, option, value)
    }

    /// Take frames, as many as there is memory for. How many there were; none is no error.
    ///
    /// # Errors
    /// What the kernel reports of the interface: it went down, or is gone.
    pub(super) fn receive(&self, into: &mut Received) -> io::Result<usize> {
        into.found.clear();
        let mut controls = [[0_u64; CONTROL / 8]; BATCH];
        let mut parts: [[libc::iovec; 2]; BATCH] = std::array::from_fn(|_| [EMPTY; 2]);
        // SAFETY: all zeros is a valid `mmsghdr`: null pointers and lengths of nothing.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        let room = into.offloads.len();
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
        // SAFETY: each of the first `room` messages, a batch at most, points to an iovec pair, buffers and a control
        // buffer of the stated lengths, all of which live, unmoved, through the call.
        let n = unsafe {
            let (fd, at) = (self.0.as_raw_fd(), messages.as_mut_ptr());
            libc::recvmmsg(fd, at, room as u32, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        let n = match check(n) {
            Ok(n) => n as usize,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            Err(e) => return Err(e),
        };
        for (message, raw) in messages.iter().zip(&into.offloads).take(n) {
            let len = (message.msg_len as usize).saturating_sub(OFFLOAD);
            into.found.push((len, Offload { vlan: vlan(&message.msg_hdr), ..Offload::read(*raw) }));
        }
        Ok(n)
    }

    /// Send frames. How many of them, from the first on, the kernel took.
    ///
    /// # Errors
    /// Why it did not take the first one.
    pub(super) fn send(&self, frames: &mut dyn Iterator<Item = &[u8]>) -> io::Result<usize> {
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

    /// Take note of what the kernel has to say of the interface, so that it does not say it for ever.
    pub(super) fn hush(&self) {
        let (mut error, mut len) = (0, mem::size_of::<c_int>() as libc::socklen_t);
        // SAFETY: the call writes one integer.
        unsafe {
            let at = (&raw mut error).cast::<c_void>();
            libc::getsockopt(self.0.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ERROR, at, &raw mut len);
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
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

/// The device.
pub(super) struct Batched {
    socket: PacketSocket,
    memory: Received,
}

impl Batched {
    /// Open it on the interface with that index.
    ///
    /// # Errors
    /// No right to (CAP_NET_RAW), or no such interface.
    pub(super) fn open(index: c_int) -> io::Result<Self> {
        let socket = PacketSocket::new()?;
        socket.hear(index)?;
        Ok(Self { socket, memory: Received::new(BATCH) })
    }
}

impl AsFd for Batched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Device for Batched {
    fn receive(&mut self, each: &mut dyn FnMut(&[u8], &Offload)) -> io::Result<usize> {
        let n = self.socket.receive(&mut self.memory)?;
        self.memory.frames().for_each(|(frame, how)| each(frame, how));
        Ok(n)
    }

    fn send(&mut self, frames: &mut dyn Iterator<Item = &[u8]>) -> io::Result<usize> {
        self.socket.send(frames)
    }

    fn lost(&mut self) -> u64 {
        self.socket.overflowed()
    }
}
