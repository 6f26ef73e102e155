//! Reading pcap: a 24-byte file header, then records (draft-ietf-opsawg-pcap).

use espalier_wire::Instant;

use super::source::{Order, Source};
use super::{FRAME_MAX, Flaw, LinkType, OpenError, Packet};

/// What the file header says.
pub(super) struct Pcap {
    order: Order,
    ns_per_fraction: u64,
    pub(super) link: LinkType,
}

impl Pcap {
    /// Whether a file that starts so is this format; the modified kind of 1998 (24-byte record headers) is named.
    pub(super) fn recognise(magic: [u8; 4]) -> Option<Result<(Order, u64), OpenError>> {
        let modified = || {
            OpenError::NotACapture(
                "a pcap of Kuznetzov's modified kind, which nobody writes any more".to_owned(),
            )
        };
        Some(match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => Ok((Order::Little, 1_000)),
            [0xa1, 0xb2, 0xc3, 0xd4] => Ok((Order::Big, 1_000)),
            [0x4d, 0x3c, 0xb2, 0xa1] => Ok((Order::Little, 1)),
            [0xa1, 0xb2, 0x3c, 0x4d] => Ok((Order::Big, 1)),
            [0x34, 0xcd, 0xb2, 0xa1] | [0xa1, 0xb2, 0xcd, 0x34] => Err(modified()),
            _ => return None,
        })
    }

    /// Read the rest of the file header.
    pub(super) fn open(order: Order, ns_per_fraction: u64, source: &mut Source) -> Result<Self, OpenError> {
        let mut header = [0; 20];
        source.exact(&mut header).map_err(OpenError::Header)?;
        let (major, minor) = (order.u16(&header, 0), order.u16(&header, 2));
        if major != 2 {
            return Err(OpenError::NotACapture(format!("a pcap of version {major}.{minor}, not 2.4")));
        }
        // The upper half of the field tells of FCS bytes, which the IP packet's own length already leaves out.
        let link = LinkType((order.u32(&header, 16) & 0xffff) as u16);
        Ok(Self { order, ns_per_fraction, link })
    }

    /// Whether its times are microseconds.
    pub(super) fn is_micros(&self) -> bool {
        self.ns_per_fraction == 1_000
    }

    /// The next record into `packet`; `false` at the end.
    pub(super) fn next(&self, source: &mut Source, packet: &mut Packet) -> Result<bool, Flaw> {
        let mut header = [0; 16];
        if !source.exact_or_end(&mut header)? {
            return Ok(false);
        }
        let seconds = u64::from(self.order.u32(&header, 0));
        let fraction = u64::from(self.order.u32(&header, 4));
        let captured = self.order.u32(&header, 8) as usize;
        if captured > FRAME_MAX {
            return Err(Flaw::TooLong(captured as u64));
        }
        packet.time = Instant::from_ns(seconds * 1_000_000_000 + fraction * self.ns_per_fraction);
        packet.interface = 0;
        packet.original_len = self.order.u32(&header, 12);
        source.take(&mut packet.bytes, captured)?;
        Ok(true)
    }
}
