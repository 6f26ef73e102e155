//! Captures: packets with their times, read from and written to pcap and pcapng files, plain or gzip.
//!
//! [`Reader`] streams one packet at a time in bounded memory and tells the formats apart by content; [`Writer`] writes
//! beside its target and renames at the end. [`link`] knows where the IP packet of a frame starts. Nothing here knows
//! ESP or flows.

mod encode;
pub mod link;
mod pcap;
mod pcapng;
mod reader;
mod source;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::io;

use espalier_wire::Instant;

pub use encode::{Encoder, Format, WriteError};
pub use reader::Reader;
pub use writer::Writer;

/// The longest frame believed, in bytes: what `tcpdump` captures at the most. A longer claim is a lie.
pub const FRAME_MAX: usize = 256 * 1024;

/// What a frame's first bytes are: a LINKTYPE number of the pcap formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: a 4-byte address family in the byte order of the machine that captured.
    pub const NULL: Self = Self(0);
    /// Ethernet, without preamble and (usually) FCS.
    pub const ETHERNET: Self = Self(1);
    /// An IPv4 or IPv6 packet and nothing before it.
    pub const RAW: Self = Self(101);
    /// As [`LinkType::RAW`], under the number OpenBSD gave it.
    pub const RAW_OPENBSD: Self = Self(14);
    /// As [`LinkType::RAW`], under the number of most systems' DLT_RAW.
    pub const RAW_DLT: Self = Self(12);
    /// OpenBSD loopback: a 4-byte address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux "cooked" capture, version 1: 16 bytes.
    pub const LINUX_SLL: Self = Self(113);
    /// An IPv4 packet.
    pub const IPV4: Self = Self(228);
    /// An IPv6 packet.
    pub const IPV6: Self = Self(229);
    /// Linux "cooked" capture, version 2: 20 bytes.
    pub const LINUX_SLL2: Self = Self(276);

    /// Whether frames are bare IP packets.
    pub const fn is_raw_ip(self) -> bool {
        matches!(self, Self::RAW | Self::RAW_OPENBSD | Self::RAW_DLT | Self::IPV4 | Self::IPV6)
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LINKTYPE {}", self.0)
    }
}

/// Where packets were captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// What its frames begin with.
    pub link: LinkType,
    /// The name it had; pcap files have none.
    pub name: Option<String>,
}

/// One captured packet. A reader fills the same value again and again, so that its buffer is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packet {
    /// Its place in the file, from 1.
    pub number: u64,
    /// Where its record starts, in bytes of the (uncompressed) file.
    pub offset: u64,
    /// When it was captured, since the Unix epoch; [`Instant::ZERO`] in the blocks that carry no time.
    pub time: Instant,
    /// Which of [`Reader::interfaces`] it was captured on.
    pub interface: usize,
    /// Bytes it had on the wire.
    pub original_len: u32,
    /// The bytes captured, from the link header on.
    pub bytes: Vec<u8>,
}

/// A file that is no capture from its first byte on: nothing can be read from it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened or read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Another format, or none.
    #[error("{0}")]
    NotACapture(String),
    /// The file header is cut or lies.
    #[error("{0}")]
    Header(Flaw),
}

/// A file that stops making sense: what was read before stands, what follows cannot be found.
#[derive(Debug, thiserror::Error)]
#[error("packet {packet} at byte {offset}: {flaw}")]
pub struct Break {
    /// The number of the packet that could not be read, from 1.
    pub packet: u64,
    /// Where its record starts, in bytes of the (uncompressed) file.
    pub offset: u64,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with a record.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// The file ends inside it.
    #[error("cut off: {need} bytes needed, {have} there")]
    Cut {
        /// Bytes that should follow.
        need: u64,
        /// Bytes that do.
        have: u64,
    },
    /// It claims more bytes than any frame has.
    #[error("claims {0} bytes, more than the {FRAME_MAX} any frame has")]
    TooLong(u64),
    /// Lengths or numbers inside it contradict one another.
    #[error("{0}")]
    Lie(String),
    /// The bytes cannot be had: a disk error, or a broken gzip stream.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
}
