//! Reading pcapng: blocks of several sections and interfaces (draft-ietf-opsawg-pcapng). Blocks that carry no packet
//! and no interface are passed over.

use espalier_wire::Instant;

use super::source::{Order, Source};
use super::{FRAME_MAX, Flaw, Interface, LinkType, Packet};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
/// Bytes of an interface's options that are read; no writer comes near it.
const OPTIONS_MAX: u64 = 64 * 1024;

/// The section being read.
pub(super) struct Pcapng {
    order: Order,
    clocks: Vec<Clock>,
    /// Where the section's interfaces begin among those of the file.
    base: usize,
}

/// How an interface counts time.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// Ticks a second.
    resolution: Resolution,
    /// Seconds to add.
    offset_s: i64,
    /// Bytes kept of each packet; 0 is all.
    snaplen: u32,
}

/// `if_tsresol`: a negative power of ten, or of two when the high bit is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolution {
    Decimal(u8),
    Binary(u8),
}

impl Resolution {
    fn from_option(byte: u8) -> Self {
        if byte & 0x80 == 0 { Self::Decimal(byte) } else { Self::Binary(byte & 0x7f) }
    }

    /// Nanoseconds of `ticks`, rounded down.
    fn ns(self, ticks: u64) -> i128 {
        let ticks = i128::from(ticks);
        match self {
            Self::Decimal(n @ 0..=9) => ticks * 10i128.pow(u32::from(9 - n)),
            Self::Decimal(n) => 10i128.checked_pow(u32::from(n) - 9).map_or(0, |per_ns| ticks / per_ns),
            // 64 bits of ticks times 30 of nanoseconds fit; a shift of 127 leaves nothing, as it should.
            Self::Binary(n) => (ticks * 1_000_000_000) >> n,
        }
    }
}

impl Clock {
    /// Times outside what an [`Instant`] can say are clamped to its ends.
    fn time(&self, high: u32, low: u32) -> Instant {
        let ns = self.resolution.ns(u64::from(high) << 32 | u64::from(low));
        let total = ns + i128::from(self.offset_s) * 1_000_000_000;
        Instant::from_ns(u64::try_from(total.max(0)).unwrap_or(u64::MAX))
    }
}

/// A block's place: how many bytes of its body are still to come.
struct Body {
    left: u64,
    total: u32,
}

impl Body {
    fn read(&mut self, source: &mut Source, buf: &mut [u8]) -> Result<(), Flaw> {
        self.spend(buf.len() as u64)?;
        source.exact(buf)
    }

    fn spend(&mut self, bytes: u64) -> Result<(), Flaw> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            Flaw::Lie(format!("a block of {} bytes is too short for what it holds", self.total))
        })?;
        Ok(())
    }

    /// Pass over the rest and check the length that closes the block.
    fn close(self, source: &mut Source, order: Order) -> Result<(), Flaw> {
        source.skip(self.left)?;
        let mut closing = [0; 4];
        source.exact(&mut closing)?;
        let again = order.u32(&closing, 0);
        if again != self.total {
            return Err(Flaw::Lie(format!(
                "a block opens with length {} and closes with {again}",
                self.total
            )));
        }
        Ok(())
    }
}

impl Pcapng {
    /// Whether a file that starts so is this format.
    pub(super) fn recognise(magic: [u8; 4]) -> bool {
        u32::from_be_bytes(magic) == SECTION
    }

    /// Read the first section header, its type already taken.
    pub(super) fn open(source: &mut Source) -> Result<Self, Flaw> {
        let mut length = [0; 4];
        source.exact(&mut length)?;
        let mut section = Self { order: Order::Little, clocks: Vec::new(), base: 0 };
        section.restart(source, length, 0)?;
        Ok(section)
    }

    /// Begin a section: its byte order is its own.
    fn restart(&mut self, source: &mut Source, length: [u8; 4], base: usize) -> Result<(), Flaw> {
        let mut fixed = [0; 16];
        source.exact(&mut fixed)?;
        self.order = match fixed {
            [0x4d, 0x3c, 0x2b, 0x1a, ..] => Order::Little,
            [0x1a, 0x2b, 0x3c, 0x4d, ..] => Order::Big,
            _ => return Err(Flaw::Lie("a section without its byte-order magic".to_owned())),
        };
        let (major, minor) = (self.order.u16(&fixed, 4), self.order.u16(&fixed, 6));
        if major != 1 {
            return Err(Flaw::Lie(format!("a section of version {major}.{minor}, not 1.0")));
        }
        let mut body = body_of(self.order.u32(&length, 0))?;
        body.spend(16)?;
        self.clocks.clear();
        self.base = base;
        body.close(source, self.order)
    }

    /// The next packet into `packet`; `false` at the end. Interfaces met on the way are added to `interfaces`.
    pub(super) fn next(
        &mut self,
        source: &mut Source,
        interfaces: &mut Vec<Interface>,
        packet: &mut Packet,
    ) -> Result<bool, Flaw> {
        loop {
            packet.offset = source.offset();
            let mut opening = [0; 8];
            if !source.exact_or_end(&mut opening)? {
                return Ok(false);
            }
            let kind = self.order.u32(&opening, 0);
            if kind == SECTION {
                let [_, _, _, _, length @ ..] = opening;
                self.restart(source, length, interfaces.len())?;
                continue;
            }
            let mut body = body_of(self.order.u32(&opening, 4))?;
            match kind {
                INTERFACE => interfaces.push(self.interface(source, &mut body)?),
                ENHANCED_PACKET | OBSOLETE_PACKET => self.timed(kind, source, &mut body, packet)?,
                SIMPLE_PACKET => self.simple(source, &mut body, packet)?,
                _ => {}
            }
            body.close(source, self.order)?;
            if matches!(kind, ENHANCED_PACKET | OBSOLETE_PACKET | SIMPLE_PACKET) {
                return Ok(true);
            }
        }
    }

    fn interface(&mut self, source: &mut Source, body: &mut Body) -> Result<Interface, Flaw> {
        let mut fixed = [0; 8];
        body.read(source, &mut fixed)?;
        let mut options = vec![0; usize::try_from(body.left.min(OPTIONS_MAX)).unwrap_or(0)];
        body.read(source, &mut options)?;
        let mut interface = Interface { link: LinkType(self.order.u16(&fixed, 0)), name: None };
        let mut clock =
            Clock { resolution: Resolution::Decimal(6), offset_s: 0, snaplen: self.order.u32(&fixed, 4) };
        let options = Options { order: self.order, rest: &options };
        for (code, value) in options {
            match (code, value) {
                (2, name) => {
                    interface.name = Some(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
                }
                (9, [byte, ..]) => clock.resolution = Resolution::from_option(*byte),
                (14, offset) if offset.len() == 8 => clock.offset_s = self.order.u64(offset, 0) as i64,
                _ => {}
            }
        }
        self.clocks.push(clock);
        Ok(interface)
    }

    fn clock(&self, interface: usize) -> Result<Clock, Flaw> {
        self.clocks.get(interface).copied().ok_or_else(|| {
            let have = self.clocks.len();
            Flaw::Lie(format!("a packet of interface {interface}, and the section describes {have}"))
        })
    }

    /// Enhanced Packet Block, and the obsolete Packet Block, which differs in its first word.
    fn timed(
        &self,
        kind: u32,
        source: &mut Source,
        body: &mut Body,
        packet: &mut Packet,
    ) -> Result<(), Flaw> {
        let mut fixed = [0; 20];
        body.read(source, &mut fixed)?;
        let o = self.order;
        let interface = if kind == OBSOLETE_PACKET { u32::from(o.u16(&fixed, 0)) } else { o.u32(&fixed, 0) };
        let interface = interface as usize;
        packet.time = self.clock(interface)?.time(o.u32(&fixed, 4), o.u32(&fixed, 8));
        packet.interface = self.base + interface;
        packet.original_len = o.u32(&fixed, 16);
        frame(source, body, packet, u64::from(o.u32(&fixed, 12)))
    }

    /// Simple Packet Block: the section's first interface, and no time.
    fn simple(&self, source: &mut Source, body: &mut Body, packet: &mut Packet) -> Result<(), Flaw> {
        let mut fixed = [0; 4];
        body.read(source, &mut fixed)?;
        packet.original_len = self.order.u32(&fixed, 0);
        packet.time = Instant::ZERO;
        packet.interface = self.base;
        let snaplen = match self.clock(0)?.snaplen {
            0 => u32::MAX,
            n => n,
        };
        frame(source, body, packet, u64::from(packet.original_len.min(snaplen)).min(body.left))
    }
}

/// The body of a block that says it is `total` bytes long.
fn body_of(total: u32) -> Result<Body, Flaw> {
    if total < 12 || !total.is_multiple_of(4) {
        return Err(Flaw::Lie(format!("a block that claims a length of {total} bytes")));
    }
    Ok(Body { left: u64::from(total) - 12, total })
}

fn frame(source: &mut Source, body: &mut Body, packet: &mut Packet, len: u64) -> Result<(), Flaw> {
    let fits = usize::try_from(len).ok().filter(|n| *n <= FRAME_MAX).ok_or(Flaw::TooLong(len))?;
    body.spend(len)?;
    source.take(&mut packet.bytes, fits)
}

/// Options of a block: (code, value), up to the end-of-options code or to where a length lies.
struct Options<'a> {
    order: Order,
    rest: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, tail) = self.rest.split_at_checked(4)?;
        let (code, len) = (self.order.u16(head, 0), usize::from(self.order.u16(head, 2)));
        if code == 0 {
            return None;
        }
        let value = tail.get(..len)?;
        self.rest = tail.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((code, value))
    }
}
