//! Captures as bytes: pcap in micro- or nanoseconds, and pcapng in nanoseconds with names and comments. It writes to
//! anything that takes bytes; [`super::Writer`] is the one that writes files.

use std::io::{self, Write};

use espalier_wire::Instant;

use super::{FRAME_MAX, Interface, LinkType};

/// A file format, with its unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// pcap, microseconds: what everything reads. Times are rounded down.
    PcapMicros,
    /// pcap, nanoseconds.
    PcapNanos,
    /// pcapng, nanoseconds.
    Pcapng,
}

/// Why a packet or an interface could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk is full, the pipe is closed …
    #[error("{0}")]
    Io(#[from] io::Error),
    /// pcap has one link type a file.
    #[error("pcap holds one link type, not {first} and {second}: write .pcapng")]
    LinkTypes {
        /// The file's.
        first: LinkType,
        /// The other one.
        second: LinkType,
    },
    /// pcap counts seconds in 32 bits.
    #[error("pcap has no room for the time {0}: write .pcapng")]
    Time(Instant),
    /// A frame that no reader would believe.
    #[error("a frame of {0} bytes, more than the {FRAME_MAX} that captures hold")]
    TooLong(usize),
    /// An interface number that was never given.
    #[error("interface {0} was not announced")]
    Interface(usize),
}

/// Writes one capture, little-endian.
#[derive(Debug)]
pub struct Encoder<W> {
    out: W,
    format: Format,
    links: Vec<LinkType>,
    block: Vec<u8>,
}

impl<W: Write> Encoder<W> {
    /// Begin. `comment` describes the whole file; pcap has no place for it.
    ///
    /// # Errors
    /// The bytes cannot be written.
    pub fn new(out: W, format: Format, comment: &str) -> Result<Self, WriteError> {
        let mut encoder = Self { out, format, links: Vec::new(), block: Vec::new() };
        if format == Format::Pcapng {
            encoder.section(comment)?;
        }
        Ok(encoder)
    }

    /// Announce an interface; packets name it by the number returned.
    ///
    /// # Errors
    /// A second link type in a pcap; bytes that cannot be written.
    pub fn interface(&mut self, interface: &Interface) -> Result<usize, WriteError> {
        match (self.format, self.links.first()) {
            (Format::Pcapng, _) => self.interface_block(interface)?,
            (_, None) => self.pcap_header(interface.link)?,
            (_, Some(first)) if *first == interface.link => {}
            (_, Some(first)) => {
                return Err(WriteError::LinkTypes { first: *first, second: interface.link });
            }
        }
        self.links.push(interface.link);
        Ok(self.links.len() - 1)
    }

    /// Write a packet: its frame is `parts` one after the other, `missing` bytes of it were not captured. `comment`
    /// stands beside it in a pcapng; empty is none.
    ///
    /// # Errors
    /// An unknown interface, a time or a length the format does not hold, bytes that cannot be written.
    pub fn packet(
        &mut self,
        interface: usize,
        time: Instant,
        parts: &[&[u8]],
        missing: u32,
        comment: &str,
    ) -> Result<(), WriteError> {
        if interface >= self.links.len() {
            return Err(WriteError::Interface(interface));
        }
        let len = parts.iter().map(|part| part.len()).sum();
        let captured =
            u32::try_from(len).ok().filter(|_| len <= FRAME_MAX).ok_or(WriteError::TooLong(len))?;
        match self.format {
            Format::PcapMicros => self.record(time, 1_000, captured, missing)?,
            Format::PcapNanos => self.record(time, 1, captured, missing)?,
            Format::Pcapng => return self.packet_block(interface, time, parts, captured, missing, comment),
        }
        for part in parts {
            self.out.write_all(part)?;
        }
        Ok(())
    }

    /// End the file and give back what it was written to. A pcap without any interface becomes one of Ethernet.
    ///
    /// # Errors
    /// The bytes cannot be written.
    pub fn finish(mut self) -> Result<W, WriteError> {
        if self.format != Format::Pcapng && self.links.is_empty() {
            self.pcap_header(LinkType::ETHERNET)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn pcap_header(&mut self, link: LinkType) -> io::Result<()> {
        let magic: u32 = if self.format == Format::PcapMicros { 0xa1b2_c3d4 } else { 0xa1b2_3c4d };
        let mut header = [0; 24];
        header[..4].copy_from_slice(&magic.to_le_bytes());
        header[4] = 2;
        header[6] = 4;
        header[16..20].copy_from_slice(&(FRAME_MAX as u32).to_le_bytes());
        header[20..22].copy_from_slice(&link.0.to_le_bytes());
        self.out.write_all(&header)
    }

    fn record(&mut self, time: Instant, unit_ns: u64, captured: u32, missing: u32) -> Result<(), WriteError> {
        let ns = time.as_ns();
        let seconds = u32::try_from(ns / 1_000_000_000).map_err(|_| WriteError::Time(time))?;
        let fraction = (ns % 1_000_000_000 / unit_ns) as u32;
        let mut header = [0; 16];
        for (field, value) in
            header.chunks_exact_mut(4).zip([seconds, fraction, captured, captured.saturating_add(missing)])
        {
            field.copy_from_slice(&value.to_le_bytes());
        }
        Ok(self.out.write_all(&header)?)
    }

    fn section(&mut self, comment: &str) -> io::Result<()> {
        self.block.clear();
        self.words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]);
        self.option(1, comment.as_bytes());
        self.option(4, concat!("espalier ", env!("CARGO_PKG_VERSION")).as_bytes());
        self.words(&[0]);
        self.close(0x0a0d_0d0a)
    }

    fn interface_block(&mut self, interface: &Interface) -> io::Result<()> {
        self.block.clear();
        self.words(&[u32::from(interface.link.0), FRAME_MAX as u32]);
        self.option(2, interface.name.as_deref().unwrap_or_default().as_bytes());
        self.option(9, &[9]);
        self.words(&[0]);
        self.close(1)
    }

    fn packet_block(
        &mut self,
        interface: usize,
        time: Instant,
        parts: &[&[u8]],
        captured: u32,
        missing: u32,
        comment: &str,
    ) -> Result<(), WriteError> {
        self.block.clear();
        if !comment.is_empty() {
            self.option(1, comment.as_bytes());
            self.words(&[0]);
        }
        let ns = time.as_ns();
        let padding = captured.next_multiple_of(4) - captured;
        let total = 32 + captured + padding + self.block.len() as u32;
        let mut head = [0; 28];
        for (field, value) in head.chunks_exact_mut(4).zip([
            6,
            total,
            interface as u32,
            (ns >> 32) as u32,
            ns as u32,
            captured,
            captured.saturating_add(missing),
        ]) {
            field.copy_from_slice(&value.to_le_bytes());
        }
        self.out.write_all(&head)?;
        for part in parts {
            self.out.write_all(part)?;
        }
        self.out.write_all(&[0; 4][..padding as usize])?;
        self.out.write_all(&self.block)?;
        Ok(self.out.write_all(&total.to_le_bytes())?)
    }

    fn words(&mut self, words: &[u32]) {
        for word in words {
            self.block.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// An option of the block being made; an empty one is left out.
    fn option(&mut self, code: u16, value: &[u8]) {
        let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
        if value.is_empty() {
            return;
        }
        self.block.extend_from_slice(&code.to_le_bytes());
        self.block.extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.block.extend_from_slice(value);
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    /// Write the block made: type, length, body, length.
    fn close(&mut self, kind: u32) -> io::Result<()> {
        let total = (12 + self.block.len()) as u32;
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&total.to_le_bytes())?;
        self.out.write_all(&self.block)?;
        self.out.write_all(&total.to_le_bytes())
    }
}
