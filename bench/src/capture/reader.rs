//! One reader for every capture format: it looks at the content, never at the name.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::source::Source;
use super::{Break, Flaw, Interface, OpenError, Packet};

/// A capture being read. Memory is bounded whatever the file's size: two buffers of 256 KiB and the packet at hand.
pub struct Reader {
    source: Source,
    kind: Kind,
    interfaces: Vec<Interface>,
    read: u64,
    ended: bool,
}

enum Kind {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

impl Reader {
    /// Open a file and read its header.
    ///
    /// # Errors
    /// A file that cannot be read or is no capture.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::new(Box::new(File::open(path)?))
    }

    /// Read a capture that lies in memory.
    ///
    /// # Errors
    /// Bytes that are no capture.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, OpenError> {
        Self::new(Box::new(Cursor::new(bytes)))
    }

    /// Read a capture from anything that gives bytes in order.
    ///
    /// # Errors
    /// Bytes that cannot be read or are no capture.
    pub fn new(bytes: Box<dyn Read + Send>) -> Result<Self, OpenError> {
        let mut source = Source::new(bytes)?;
        let mut magic = [0; 4];
        source.exact(&mut magic).map_err(|flaw| match flaw {
            Flaw::Cut { have: 0, .. } => OpenError::NotACapture("an empty file, no capture".to_owned()),
            other => OpenError::Header(other),
        })?;
        let mut interfaces = Vec::new();
        let kind = if let Some(recognised) = Pcap::recognise(magic) {
            let (order, ns_per_fraction) = recognised?;
            let pcap = Pcap::open(order, ns_per_fraction, &mut source)?;
            interfaces.push(Interface { link: pcap.link, name: None });
            Kind::Pcap(pcap)
        } else if Pcapng::recognise(magic) {
            Kind::Pcapng(Pcapng::open(&mut source).map_err(OpenError::Header)?)
        } else {
            return Err(OpenError::NotACapture(other_format(magic)));
        };
        Ok(Self { source, kind, interfaces, read: 0, ended: false })
    }

    /// The interfaces met so far; a [`Packet::interface`] is an index into it.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Whether the file counts time in microseconds throughout. Of a pcapng this is not known before its end: `false`.
    pub fn is_micros(&self) -> bool {
        matches!(&self.kind, Kind::Pcap(pcap) if pcap.is_micros())
    }

    /// Bytes of the file taken so far, compressed as they are; shared, for a progress bar.
    pub fn position(&self) -> Arc<AtomicU64> {
        self.source.raw()
    }

    /// The next packet, into `packet`; `false` at the end, and after an error.
    ///
    /// # Errors
    /// A record that is cut off or lies. What was read before it stands.
    pub fn read(&mut self, packet: &mut Packet) -> Result<bool, Break> {
        if self.ended {
            return Ok(false);
        }
        packet.number = self.read + 1;
        packet.offset = self.source.offset();
        let next = match &mut self.kind {
            Kind::Pcap(pcap) => pcap.next(&mut self.source, packet),
            Kind::Pcapng(pcapng) => pcapng.next(&mut self.source, &mut self.interfaces, packet),
        };
        match next {
            Ok(true) => self.read += 1,
            _ => self.ended = true,
        }
        next.map_err(|flaw| Break { packet: packet.number, offset: packet.offset, flaw })
    }
}

/// What a file that is no capture may be, from its first four bytes.
fn other_format(magic: [u8; 4]) -> String {
    let name = match magic {
        [0x28, 0xb5, 0x2f, 0xfd] => "compressed with zstd: run zstd -d first",
        [0xfd, b'7', b'z', b'X'] => "compressed with xz: run xz -d first",
        [b'B', b'Z', b'h', _] => "compressed with bzip2: run bzip2 -d first",
        [0x04, 0x22, 0x4d, 0x18] => "compressed with lz4: run lz4 -d first",
        [b's', b'n', b'o', b'o'] => "a snoop capture: convert it with editcap",
        _ => "neither pcap nor pcapng",
    };
    name.to_owned()
}
