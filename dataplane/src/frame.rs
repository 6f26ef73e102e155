//! A frame: an owned, cache-line aligned buffer that a packet moves through the pipeline in, and what is known about
//! it beside its bytes.
//!
//! The packet lies between headroom and tailroom: headers grow into the one, padding and ICV into the other, and the
//! bytes in between stay where they are. It knows nothing of formats.
//!
//! ```text
//! | headroom ... | packet: bytes() | tailroom ... |
//! 0            head            head + len      capacity
//! ```

use crate::mem::prefetch_line;
use std::ops::{Deref, DerefMut};

use espalier_wire::{IfIndex, Tag};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Where the IP header of a packet is put: a cache line's start, so that in tunnel mode the text ESP encrypts is
/// 64-aligned, behind room for Ethernet, IPv6, UDP, ESP and the longest IV (14 + 40 + 8 + 8 + 16 = 86 bytes).
pub const HEADROOM: usize = 128;
/// Room behind a packet for what ESP appends: 15 of padding, 2 of trailer and 32 of ICV at most.
pub const TAILROOM: usize = 64;
/// The longest IP packet.
pub const PACKET_MAX: usize = 65_535;

const LINE: usize = 64;

/// Bytes that the core fetches together.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct CacheLine([u8; LINE]);

/// The sizes that frames come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 2112 bytes: an Ethernet MTU with room around it; with the line about it 2048 + 128, because a stride of 2048
    /// would put every frame's headers in the same cache sets.
    Small,
    /// 65,728 bytes: the longest IP packet with room around it.
    Large,
}

impl Class {
    /// Bytes of buffer.
    pub const fn capacity(self) -> usize {
        match self {
            Self::Small => 2048 + LINE,
            Self::Large => (HEADROOM + PACKET_MAX + TAILROOM).next_multiple_of(LINE),
        }
    }

    /// The smallest class with `len` bytes between head- and tailroom; `None` for more than an IP packet.
    pub const fn holding(len: usize) -> Option<Self> {
        if len <= Self::Small.capacity() - HEADROOM - TAILROOM {
            Some(Self::Small)
        } else if len <= PACKET_MAX {
            Some(Self::Large)
        } else {
            None
        }
    }
}

/// What is known about a packet beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meta {
    /// Whose loss it would be. Fragments of one packet share its tag.
    pub tag: Tag,
    /// Where it came in; the default for packets born here.
    pub ingress: IfIndex,
    /// Where a packet born here must leave; `None`: where its route says. Multicast needs it.
    pub egress: Option<IfIndex>,
    /// Born here as control traffic: policy is not asked.
    pub control: bool,
    /// Came out of an inbound SA.
    pub opened: bool,
}

/// A packet's memory: a line about it, then the lines it lies in.
#[repr(C)]
pub struct Buffer<T: ?Sized> {
    /// What is known beside the bytes.
    pub meta: Meta,
    head: u32,
    len: u32,
    lines: T,
}

/// An owned buffer with a packet in it. It moves as a pointer: what it holds stays where it is.
pub struct Frame(Box<Buffer<[CacheLine]>>);

impl Deref for Frame {
    type Target = Buffer<[CacheLine]>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Frame {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

const LINES_SMALL: usize = Class::Small.capacity() / LINE;
const LINES_LARGE: usize = Class::Large.capacity() / LINE;

fn empty<const N: usize>() -> Box<Buffer<[CacheLine; N]>> {
    let lines = [CacheLine([0; LINE]); N];
    Box::new(Buffer { meta: Meta::default(), head: HEADROOM as u32, len: 0, lines })
}

impl Frame {
    /// An empty frame. This allocates: on the path of a packet, frames come from a [`Pool`](crate::mem::Pool).
    pub fn new(class: Class) -> Self {
        match class {
            Class::Small => Self(empty::<LINES_SMALL>()),
            Class::Large => Self(empty::<LINES_LARGE>()),
        }
    }

    /// Fetch the line about the packet and the first of it, where ports put it, towards the core: link and IP header,
    /// and what follows them.
    #[inline(always)]
    pub fn fetch(&self) {
        const LINK: usize = HEADROOM / LINE;
        let buffer = &self.0.meta;
        prefetch_line::<0, _>(buffer);
        prefetch_line::<LINK, _>(buffer);
        prefetch_line::<{ LINK + 1 }, _>(buffer);
        prefetch_line::<{ LINK + 2 }, _>(buffer);
    }
}

impl Buffer<[CacheLine]> {
    /// Its size class.
    pub fn class(&self) -> Class {
        if self.capacity() == Class::Small.capacity() { Class::Small } else { Class::Large }
    }

    /// Bytes of buffer.
    pub fn capacity(&self) -> usize {
        self.lines.len() * LINE
    }

    /// The packet.
    pub fn bytes(&self) -> &[u8] {
        let head = self.head as usize;
        &self.lines.as_bytes()[head..head + self.len as usize]
    }

    /// The packet, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let head = self.head as usize;
        &mut self.lines.as_mut_bytes()[head..head + self.len as usize]
    }

    /// `len` bytes of the packet from `at` on; empty when they are not all inside.
    pub fn part_mut(&mut self, at: usize, len: usize) -> &mut [u8] {
        self.bytes_mut().get_mut(at..).and_then(|rest| rest.get_mut(..len)).unwrap_or_default()
    }

    /// Bytes of packet.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no packet in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes free before the packet.
    pub fn headroom(&self) -> usize {
        self.head as usize
    }

    /// Bytes free behind the packet.
    pub fn tailroom(&self) -> usize {
        self.capacity() - self.head as usize - self.len as usize
    }

    /// Empty it, with the next packet to begin at `head` (at most the capacity).
    pub fn clear(&mut self, head: usize) {
        self.head = head.min(self.capacity()) as u32;
        self.len = 0;
    }

    /// Empty it and copy `packet` in at `head`. `false`, and empty, when it does not fit.
    pub fn fill(&mut self, head: usize, packet: &[u8]) -> bool {
        self.clear(head);
        let fits = self.grow_back(packet.len());
        if fits {
            self.bytes_mut().copy_from_slice(packet);
        }
        fits
    }

    /// Take `n` bytes of headroom into the packet. `false`, and nothing done, when there is less.
    #[must_use]
    pub fn grow_front(&mut self, n: usize) -> bool {
        let fits = n <= self.headroom();
        if fits {
            self.head -= n as u32;
            self.len += n as u32;
        }
        fits
    }

    /// Take `n` bytes of tailroom into the packet. `false`, and nothing done, when there is less.
    #[must_use]
    pub fn grow_back(&mut self, n: usize) -> bool {
        let fits = n <= self.tailroom();
        if fits {
            self.len += n as u32;
        }
        fits
    }

    /// N bytes of buffer from the packet's byte `at` on, tailroom among them; `None` past the buffer's end.
    #[inline(always)]
    pub fn row<const N: usize>(&self, at: u32) -> Option<&[u8; N]> {
        let from = self.head as usize + at as usize;
        self.lines.as_bytes().get(from..from + N)?.first_chunk()
    }

    /// The same, to be changed.
    #[inline(always)]
    pub fn row_mut<const N: usize>(&mut self, at: u32) -> Option<&mut [u8; N]> {
        let from = self.head as usize + at as usize;
        self.lines.as_mut_bytes().get_mut(from..from + N)?.first_chunk_mut()
    }

    /// N bytes of buffer that begin `before` bytes before the packet's byte `at`, headroom among them, and M that begin at its
    /// byte `behind`, which is not before the end of the others; `None` past either end.
    #[inline(always)]
    pub fn around_mut<const N: usize, const M: usize>(
        &mut self,
        at: u32,
        before: u32,
        behind: u32,
    ) -> Option<(&mut [u8; N], &mut [u8; M])> {
        let head = self.head as usize;
        let from = (head + at as usize).checked_sub(before as usize)?;
        let (front, rest) = self.lines.as_mut_bytes().get_mut(from..)?.split_first_chunk_mut::<N>()?;
        let skip = (head + behind as usize).checked_sub(from + N)?;
        Some((front, rest.get_mut(skip..skip + M)?.first_chunk_mut()?))
    }

    /// N bytes of buffer from the packet's byte `at` on, and M from its byte `behind` on, which is not before their end;
    /// `None` past the buffer's.
    #[inline(always)]
    pub fn rows_mut<const N: usize, const M: usize>(
        &mut self,
        at: u32,
        behind: u32,
    ) -> Option<(&mut [u8; N], &mut [u8; M])> {
        let (head, bytes) = (self.head as usize, self.lines.as_mut_bytes());
        let (front, back) = bytes.split_at_mut_checked(head + behind as usize)?;
        let from = head + at as usize;
        Some((front.get_mut(from..from + N)?.first_chunk_mut()?, back.first_chunk_mut()?))
    }

    /// The packet begins `from` bytes after those that [`around_mut`](Self::around_mut) gave, and has `len` bytes, which are
    /// inside the buffer: how many it had.
    #[inline(always)]
    pub(crate) fn lie(&mut self, (at, before): (u32, u32), from: u32, len: u32) -> u32 {
        let had = self.len;
        (self.head, self.len) = ((self.head + at).wrapping_sub(before) + from, len);
        debug_assert!(self.head as usize + self.len as usize <= self.capacity());
        had
    }

    /// The packet begins at its byte `at`, and has `len` bytes: headers were taken off. `false`, and nothing done, where
    /// that is not inside the buffer.
    #[must_use]
    #[inline(always)]
    pub fn reframe(&mut self, at: u32, len: u32) -> bool {
        let from = u64::from(self.head) + u64::from(at);
        let fits = from + u64::from(len) <= self.capacity() as u64;
        if fits {
            (self.head, self.len) = (from as u32, len);
        }
        fits
    }

    /// Give the packet's first `n` bytes (all it has, if fewer) to the headroom.
    pub fn shrink_front(&mut self, n: usize) {
        let n = n.min(self.len()) as u32;
        self.head += n;
        self.len -= n;
    }

    /// Give what follows the packet's first `len` bytes to the tailroom.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len.min(self.len()) as u32);
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({:?}, {} bytes at {}, {:?})", self.class(), self.len, self.head, self.meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packet_stays_while_room_moves() {
        let mut frame = Frame::new(Class::Small);
        assert!(frame.fill(HEADROOM, b"packet"));
        let around = frame.around_mut::<30, 3>(0, 28, 3);
        assert!(around.is_some_and(|(front, behind)| front[28..] == *b"pa" && *behind == *b"ket"));
        assert!(frame.around_mut::<30, 3>(0, 28, 1).is_none(), "they overlap");
        let rows = frame.rows_mut::<2, 1>(1, 3);
        assert!(rows.is_some_and(|(front, behind)| *front == *b"ac" && *behind == *b"k"));
        assert!(frame.rows_mut::<2, 1>(2, 3).is_none(), "they overlap");
        assert!(frame.rows_mut::<2, 3>(0, 2112 - HEADROOM as u32 + 62).is_none(), "past the end");
        assert!(frame.around_mut::<30, 3>(0, HEADROOM as u32 + 1, 3).is_none());
        assert!(frame.around_mut::<30, 3>(0, 28, 2112 - HEADROOM as u32 - 2).is_none(), "past the end");
        assert!(!frame.reframe(2, 2048 + 64) && !frame.reframe(u32::MAX, 1));
        assert_eq!((frame.row(2), frame.row::<2112>(0)), (Some(b"cket"), None));
        assert_eq!(frame.bytes().as_ptr() as usize % 64, 0);
        assert!(frame.reframe(2, 3));
        assert_eq!(frame.bytes(), b"cke");
        let tailroom = frame.tailroom();
        assert!(!frame.grow_front(HEADROOM + 3) && !frame.grow_back(tailroom + 1));
        assert!(!frame.fill(HEADROOM, &[0; 2048]) && frame.is_empty());
        frame.clear(usize::MAX);
        assert_eq!((frame.tailroom(), frame.bytes().len()), (0, 0));
    }

    #[test]
    fn every_ip_packet_has_a_class_with_its_rooms() {
        assert_eq!(Class::holding(1500), Some(Class::Small));
        assert_eq!(Class::holding(1921), Some(Class::Large));
        assert_eq!(Class::holding(PACKET_MAX), Some(Class::Large));
        assert_eq!(Class::holding(PACKET_MAX + 1), None);
    }
}
