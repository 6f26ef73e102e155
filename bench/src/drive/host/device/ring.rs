//! AF_PACKET with a ring (`TPACKET_V2`): the kernel writes arriving frames into slots that are mapped here, so that
//! receiving makes no system call. What does not fit a slot waits in the socket, its place in the ring marked.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;

use libc::c_int;

use super::map::Mapping;
use super::packet::{PacketSocket, Received};
use super::{BATCH, Device};
use crate::drive::host::offload::{OFFLOAD, Offload};

/// Bytes of a slot: an Ethernet frame and the kernel's words about it.
const ROOM: usize = 2048;
/// Slots: what waits while another thread has the core for some milliseconds.
const SLOTS: usize = 4096;
/// Bytes that the kernel allocates as one.
const BLOCK: usize = 1 << 16;

// `struct tpacket2_hdr`: status, length, captured length, two offsets, time, VLAN.
const LEN: usize = 4;
const CAPTURED: usize = 8;
const OFFSETS: usize = 12;
const VLAN: usize = 24;

/// The device.
pub(super) struct Mapped {
    socket: PacketSocket,
    map: Mapping,
    next: usize,
    large: Received,
    lost: u64,
}

impl Mapped {
    /// Open it on the interface with that index.
    ///
    /// # Errors
    /// No right to (CAP_NET_RAW), no such interface, or no ring to be had.
    pub(super) fn open(index: c_int) -> io::Result<Self> {
        let socket = PacketSocket::new()?;
        socket.set(libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V2 as c_int))?;
        socket.set(libc::PACKET_COPY_THRESH, &(ROOM as c_int))?;
        let wanted = libc::tpacket_req {
            tp_block_size: BLOCK as u32,
            tp_block_nr: (SLOTS * ROOM / BLOCK) as u32,
            tp_frame_size: ROOM as u32,
            tp_frame_nr: SLOTS as u32,
        };
        socket.set(libc::PACKET_RX_RING, &wanted)?;
        let map = Mapping::of(socket.as_fd(), 0, SLOTS * ROOM)?;
        socket.hear(index)?;
        Ok(Self { socket, map, next: 0, large: Received::new(1), lost: 0 })
    }

    /// What the slot's status says.
    fn status(&self, slot: usize) -> u32 {
        self.map.word(slot).map_or(libc::TP_STATUS_KERNEL, |word| word.load(Ordering::Acquire))
    }

    /// The frame in a slot, unless it is one that did not fit, and how it was left.
    fn frame(&self, slot: usize, status: u32) -> Option<(&[u8], Offload)> {
        // SAFETY: a slot that is not the kernel's is ours until its status is written; the loan ends before.
        let slot = unsafe { self.map.bytes(slot, ROOM)? };
        let long = |at: usize| slot.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b) as usize);
        let short = |at: usize| slot.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b));
        let (len, captured, start) = (long(LEN)?, long(CAPTURED)?, usize::from(short(OFFSETS)?));
        let raw = slot.get(start.checked_sub(OFFLOAD)?..)?.first_chunk()?;
        let vlan = (status & libc::TP_STATUS_VLAN_VALID != 0).then_some(short(VLAN)? & 0x0fff);
        let frame = slot.get(start..start + captured)?;
        (captured == len).then_some((frame, Offload { vlan, ..Offload::read(*raw) }))
    }
}

impl AsFd for Mapped {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Device for Mapped {
    fn receive(&mut self, each: &mut dyn FnMut(&[u8], &Offload)) -> io::Result<usize> {
        let mut n = 0;
        while n < BATCH {
            let slot = self.next * ROOM;
            let status = self.status(slot);
            if status & libc::TP_STATUS_USER == 0 {
                break;
            }
            if let Some((frame, how)) = self.frame(slot, status) {
                each(frame, &how);
            } else if status & libc::TP_STATUS_COPY != 0 {
                // Word of the interface comes before frames: it must not leave this one there for the next slot's.
                let large = self.socket.receive(&mut self.large);
                match large.or_else(|_| self.socket.receive(&mut self.large)) {
                    Ok(1) => self.large.frames().for_each(|(frame, how)| each(frame, how)),
                    _ => self.lost += 1,
                }
            } else {
                // The socket's own queue was full.
                self.lost += 1;
            }
            if let Some(word) = self.map.word(slot) {
                word.store(libc::TP_STATUS_KERNEL, Ordering::Release);
            }
            self.next = (self.next + 1) % SLOTS;
            n += 1;
        }
        Ok(n)
    }

    fn send(&mut self, frames: &mut dyn Iterator<Item = &[u8]>) -> io::Result<usize> {
        self.socket.send(frames)
    }

    fn lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost) + self.socket.overflowed()
    }

    fn woken(&mut self) -> bool {
        // Receiving asks the kernel nothing, so that an error of the interface would wake us again and again.
        self.socket.hush();
        true
    }
}
