//! AF_XDP in copy mode: frames lie in memory of ours, cut into chunks, and four rings say whose each chunk is. Receiving
//! makes no system call, sending one a batch. One queue: an interface with several would hide the others' frames.
//!
//! ```text
//!   fill: empty chunks ──▶ kernel ──▶ receive: frames         transmit: frames ──▶ kernel ──▶ completion: empty chunks
//! ```

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use libc::c_int;

use super::map::Mapping;
use super::packet::PacketSocket;
use super::program::{self, Attached};
use super::{BATCH, Device};
use crate::drive::host::offload::Offload;
use crate::drive::host::socket::{bind, check, driver, set, socket};

/// Bytes of a chunk: a page, of which the kernel keeps 256 before a frame.
const CHUNK: usize = 4096;
/// Entries of each ring, and chunks in each direction.
const ENTRIES: usize = 2048;

/// One ring of two sides, each of which moves one index.
struct Ring {
    map: Mapping,
    producer: usize,
    consumer: usize,
    entries: usize,
    /// Bytes of an entry.
    size: usize,
    /// Our own index, of which the kernel has a copy in the ring.
    at: u32,
}

impl Ring {
    fn map(fd: &OwnedFd, page: u64, of: &libc::xdp_ring_offset, size: usize) -> io::Result<Self> {
        let map = Mapping::of(fd.as_fd(), page, of.desc as usize + ENTRIES * size)?;
        let (producer, consumer, entries) = (of.producer as usize, of.consumer as usize, of.desc as usize);
        Ok(Self { map, producer, consumer, entries, size, at: 0 })
    }

    fn index(&self, at: usize) -> u32 {
        self.map.word(at).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn tell(&self, at: usize) {
        if let Some(word) = self.map.word(at) {
            word.store(self.at, Ordering::Release);
        }
    }

    fn place(&self, at: u32) -> usize {
        self.entries + (at as usize % ENTRIES) * self.size
    }

    /// Entries that the kernel has produced and we have not consumed, `most` at most: their first words.
    fn consume(&mut self, most: usize, mut each: impl FnMut(u64, u32)) -> usize {
        let n = (self.index(self.producer).wrapping_sub(self.at) as usize).min(most).min(ENTRIES);
        for _ in 0..n {
            // SAFETY: an entry between consumer and producer is the consumer's, which is us.
            let entry = unsafe { self.map.bytes(self.place(self.at), self.size) }.unwrap_or_default();
            let addr = entry.first_chunk().map_or(0, |b| u64::from_ne_bytes(*b));
            let len = entry.get(8..).and_then(|e| e.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b));
            each(addr, len);
            self.at = self.at.wrapping_add(1);
        }
        if n > 0 {
            self.tell(self.consumer);
        }
        n
    }

    /// Put an entry in, to be told of by [`Ring::tell`]. There is room: chunks are no more than entries.
    fn produce(&mut self, addr: u64, len: u32) {
        let mut entry = [0; mem::size_of::<libc::xdp_desc>()];
        entry[..8].copy_from_slice(&addr.to_ne_bytes());
        entry[8..12].copy_from_slice(&len.to_ne_bytes());
        let bytes = entry.get(..self.size).unwrap_or_default();
        // SAFETY: an entry between producer and consumer, seen from the producer, is the producer's, which is us.
        unsafe { self.map.write(self.place(self.at), bytes) };
        self.at = self.at.wrapping_add(1);
    }
}

/// The device.
pub(super) struct Xsk {
    // The program goes first, then the socket, then the memory that it uses.
    _program: Attached,
    fd: OwnedFd,
    memory: Mapping,
    fill: Ring,
    receive: Ring,
    transmit: Ring,
    completion: Ring,
    /// Chunks for frames to send.
    free: Vec<u64>,
    /// Frames come from another kernel's stack without a word on what it left open.
    virtual_wire: bool,
    /// Frames that went into the ring and no further, since the last question.
    unsent: u64,
    /// The kernel last refused to send.
    refused: bool,
    /// What was lost when it was last asked.
    lost: u64,
    _promiscuous: PacketSocket,
}

impl Xsk {
    /// Open it on an interface: put the program there and take all that arrives.
    ///
    /// # Errors
    /// No right to (CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF), no AF_XDP here, an interface with several queues or with a
    /// program of somebody else's.
    pub(super) fn open(host: &str, index: c_int) -> io::Result<Self> {
        let (driver, queues) = driver(host);
        if queues > 1 {
            let what = format!(
                "it has {queues} receive queues, of which AF_XDP takes one: ethtool -L {host} combined 1"
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        let memory = Mapping::zeros(2 * ENTRIES * CHUNK)?;
        let fd = socket(libc::AF_XDP, libc::SOCK_RAW, 0)?;
        let about = libc::xdp_umem_reg {
            addr: memory.start() as u64,
            len: memory.len() as u64,
            chunk_size: CHUNK as u32,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        set(&fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &about)?;
        for ring in
            [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_RX_RING, libc::XDP_TX_RING]
        {
            set(&fd, libc::SOL_XDP, ring, &(ENTRIES as c_int))?;
        }
        let of = ask::<libc::xdp_mmap_offsets>(&fd, libc::XDP_MMAP_OFFSETS)?;
        let (word, entry) = (mem::size_of::<u64>(), mem::size_of::<libc::xdp_desc>());
        let mut fill = Ring::map(&fd, libc::XDP_UMEM_PGOFF_FILL_RING, &of.fr, word)?;
        let completion = Ring::map(&fd, libc::XDP_UMEM_PGOFF_COMPLETION_RING, &of.cr, word)?;
        let receive = Ring::map(&fd, libc::XDP_PGOFF_RX_RING as u64, &of.rx, entry)?;
        let transmit = Ring::map(&fd, libc::XDP_PGOFF_TX_RING as u64, &of.tx, entry)?;
        let chunks = |from: usize| (from..from + ENTRIES).map(|n| (n * CHUNK) as u64);
        chunks(0).for_each(|addr| fill.produce(addr, 0));
        fill.tell(fill.producer);
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: libc::XDP_COPY,
            sxdp_ifindex: index.unsigned_abs(),
            sxdp_queue_id: 0,
            sxdp_shared_umem_fd: 0,
        };
        bind(&fd, &address)?;
        let promiscuous = PacketSocket::new()?;
        promiscuous.promiscuous(index)?;
        Ok(Self {
            _program: program::attach(index.unsigned_abs(), fd.as_fd())?,
            memory,
            fill,
            receive,
            transmit,
            completion,
            free: chunks(ENTRIES).collect(),
            virtual_wire: driver == "veth",
            unsent: 0,
            refused: false,
            lost: 0,
            _promiscuous: promiscuous,
            fd,
        })
    }

    /// Have what was put into the transmit ring sent.
    fn kick(&mut self) -> io::Result<()> {
        // Each refusal of one frame takes it out of the ring: there are no more of them than entries.
        for _ in 0..ENTRIES {
            // SAFETY: no memory is passed.
            let sent = unsafe {
                libc::sendto(
                    self.fd.as_raw_fd(),
                    std::ptr::null(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null(),
                    0,
                )
            };
            match check(sent as c_int) {
                // The interface dropped one frame (it has no link, or its queue is full), and the kernel stopped there:
                // the chunk comes back by the completion ring, the frames behind it wait for another kick.
                Err(e) if e.raw_os_error() == Some(libc::EBUSY) => self.unsent += 1,
                // A batch was sent and more waits for the next kick.
                Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => return Ok(()),
                done => return done.map(drop),
            }
        }
        Ok(())
    }
}

/// One question to an AF_XDP socket.
fn ask<T>(fd: &OwnedFd, what: c_int) -> io::Result<T> {
    let mut answer = mem::MaybeUninit::<T>::zeroed();
    let mut len = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: the call writes at most `len` bytes; the structures asked for are integers, which zeros initialised.
    unsafe {
        let (fd, at) = (fd.as_raw_fd(), answer.as_mut_ptr().cast());
        check(libc::getsockopt(fd, libc::SOL_XDP, what, at, &raw mut len))?;
        Ok(answer.assume_init())
    }
}

impl AsFd for Xsk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Device for Xsk {
    fn receive(&mut self, each: &mut dyn FnMut(&[u8], &Offload)) -> io::Result<usize> {
        let (memory, fill, guess) = (&self.memory, &mut self.fill, self.virtual_wire);
        let n = self.receive.consume(BATCH, |addr, len| {
            // SAFETY: a chunk in the receive ring is ours until it is given back below.
            if let Some(frame) = unsafe { memory.bytes(addr as usize, len as usize) } {
                each(frame, &if guess { Offload::guess(frame) } else { Offload::default() });
            }
            fill.produce(addr - addr % CHUNK as u64, 0);
        });
        if n > 0 {
            self.fill.tell(self.fill.producer);
        }
        Ok(n)
    }

    fn send(&mut self, frames: &mut dyn Iterator<Item = &[u8]>) -> io::Result<usize> {
        if self.refused {
            // Nothing more goes into the ring before it sends again. What is in it is counted already.
            let counted = self.unsent;
            let kicked = self.kick();
            self.unsent = counted;
            kicked?;
            self.refused = false;
        }
        self.completion.consume(ENTRIES, |addr, _| self.free.push(addr));
        let (mut sent, mut too_long) = (0, false);
        for frame in frames.take(BATCH) {
            too_long = frame.len() > CHUNK;
            if too_long {
                break;
            }
            let Some(addr) = self.free.pop() else { break };
            // SAFETY: a chunk on the free list is nobody's but ours.
            unsafe { self.memory.write(addr as usize, frame) };
            self.transmit.produce(addr, frame.len() as u32);
            sent += 1;
        }
        if sent == 0 && too_long {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        self.transmit.tell(self.transmit.producer);
        let counted = self.unsent;
        match self.kick() {
            Err(why) if sent == 0 => Err(why),
            // The interface went down, and all of these count as lost. How many it took before, the ring does not say (its
            // consumer index may be an old one), so that nothing can be had back: their chunks are the kernel's until
            // completion returns them.
            Err(_) => {
                self.refused = true;
                self.unsent = counted + sent as u64;
                Ok(sent)
            }
            Ok(()) if sent == 0 => Err(io::ErrorKind::WouldBlock.into()),
            Ok(()) => Ok(sent),
        }
    }

    fn lost(&mut self) -> u64 {
        let Ok(told) = ask::<libc::xdp_statistics>(&self.fd, libc::XDP_STATISTICS) else { return 0 };
        // Frames without a chunk to lie in are among the dropped ones.
        let all = told.rx_dropped + told.rx_ring_full;
        all.saturating_sub(mem::replace(&mut self.lost, all))
    }

    fn unsent(&mut self) -> u64 {
        mem::take(&mut self.unsent)
    }
}
