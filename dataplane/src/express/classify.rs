//! The first looks at a batch: link and IP headers, then where the flow's answer or the SA is. Each frame's headers are read
//! here once, and what the next stages want of them is kept beside the frames.

use espalier_wire::ipv4::protocol;
use espalier_wire::{IfIndex, Mac, Spi, checksum};

use super::flows::{FlowKey, Way, has_ports};
use super::{IP, LINK};
use crate::batch::Batch;
use crate::frame::Frame;
use crate::worker::Worker;

/// How many frames ahead headers are fetched.
const AHEAD: usize = 8;
/// What is looked at of a packet: its header, and the upper layer's first eight bytes.
pub(super) const SEEN: usize = IP + 8;

/// What a packet is to the express way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    /// Something it does not know.
    Long,
    /// In transit, its flow not looked up or not known.
    Transit,
    /// In transit, to go on in clear.
    Clear,
    /// In transit, to be sealed.
    Seal,
    /// ESP for one of our addresses, its SA not looked up.
    Esp,
    /// The same, to be opened.
    Open,
}

/// What the first looks at a packet found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) key: FlowKey,
    /// In transit: where the answer about its flow is. ESP: its SPI, then the slot of its SA.
    pub(super) place: u32,
    /// To be sealed: its policy's place. ESP: its sequence number.
    pub(super) extra: u32,
    /// Bytes of packet.
    pub(super) len: u16,
    pub(super) is: Is,
}

pub(super) const LONG: Look = Look { key: FlowKey::NONE, place: 0, extra: 0, len: 0, is: Is::Long };

impl Look {
    pub(super) fn is_long(&self) -> bool {
        self.is == Is::Long
    }
}

/// N bytes of a larger row.
#[inline(always)]
pub(super) fn part<const AT: usize, const N: usize, const M: usize>(row: &[u8; M]) -> &[u8; N] {
    const { assert!(AT + N <= M) };
    row[AT..].first_chunk().unwrap_or(&[0; N])
}

/// The flow and length of an IPv4 packet without options that is whole, sound, and at most `max` bytes long. Packets of
/// less than eight bytes behind the header are not express.
#[inline(always)]
pub(super) fn read(header: &[u8; SEEN], max: usize, meta: u32) -> Option<(FlowKey, u16)> {
    let len = u16::from_be_bytes(*part::<2, 2, SEEN>(header));
    // "More fragments" and the offset; "don't fragment" may be set.
    let part_of = u16::from_be_bytes(*part::<6, 2, SEEN>(header)) & 0x3fff;
    let right = header[0] == 0x45
        && usize::from(len) >= SEEN
        && usize::from(len) <= max
        && part_of == 0
        && checksum::is_right(part::<0, IP, SEEN>(header));
    right.then(|| {
        let proto = header[9];
        let ports = if has_ports(proto) { u32::from_ne_bytes(*part::<20, 4, SEEN>(header)) } else { 0 };
        let addresses = u64::from_ne_bytes(*part::<12, 8, SEEN>(header));
        (FlowKey::new(addresses, ports, proto, meta), len)
    })
}

/// Whose frames an interface takes.
struct Door<'a> {
    /// The six bytes of its address, as they are read with the two behind them.
    own: u64,
    also: &'a [Mac],
    meta: u32,
}

const STATION: u64 = u64::from_ne_bytes([255, 255, 255, 255, 255, 255, 0, 0]);

impl Door<'_> {
    #[inline(always)]
    fn takes(&self, header: &[u8; LINK + SEEN]) -> bool {
        u64::from_ne_bytes(*part::<0, 8, { LINK + SEEN }>(header)) & STATION == self.own
            || self.takes_also(header)
    }

    #[cold]
    fn takes_also(&self, header: &[u8; LINK + SEEN]) -> bool {
        header[0] & 1 == 0 && self.also.contains(&Mac(*part::<0, 6, { LINK + SEEN }>(header)))
    }
}

impl Worker {
    /// The first look: link and IP headers.
    pub(super) fn classify(&mut self, ingress: IfIndex, batch: &Batch, looks: &mut Vec<Look>) {
        looks.clear();
        let link = self.links.at(ingress).filter(|link| link.iface.up && !self.express.flows.is_off());
        let Some(link) = link else { return looks.resize(batch.len(), LONG) };
        batch.iter().take(AHEAD).for_each(Frame::fetch);
        let [a, b, c, d, e, f] = link.iface.mac.0;
        let door = Door {
            own: u64::from_ne_bytes([a, b, c, d, e, f, 0, 0]),
            also: &link.iface.also_accepts,
            meta: FlowKey::meta(ingress, false),
        };
        looks.extend(batch.iter().enumerate().map(|(at, frame)| {
            if let Some(ahead) = batch.get(at + AHEAD) {
                ahead.fetch();
            }
            self.glance(&door, frame)
        }));
    }

    #[inline(always)]
    fn glance(&self, door: &Door<'_>, frame: &Frame) -> Look {
        let Some(max) = frame.len().checked_sub(LINK + SEEN) else { return LONG };
        let Some(header) = frame.row::<{ LINK + SEEN }>(0) else { return LONG };
        // IPv4, and a header of five words.
        let ipv4 = u32::from_be_bytes(*part::<12, 4, { LINK + SEEN }>(header)) >> 8 == 0x08_0045;
        if !ipv4 || !door.takes(header) || frame.meta.control || frame.meta.egress.is_some() {
            return LONG;
        }
        let meta = door.meta | FlowKey::meta(IfIndex(0), frame.meta.opened);
        let ip = part::<LINK, SEEN, { LINK + SEEN }>(header);
        let Some((key, len)) = read(ip, max + SEEN, meta) else { return LONG };
        if key.protocol() == protocol::ESP && self.links.local.has_ipv4(key.dst()) {
            let place = u32::from_be_bytes(*part::<IP, 4, SEEN>(ip));
            self.security.inbound.fetch_home(Spi(place));
            let extra = u32::from_be_bytes(*part::<{ IP + 4 }, 4, SEEN>(ip));
            return Look { key, place, extra, len, is: Is::Esp };
        }
        // The last hop is the long way's to refuse.
        let is = if ip[8] > 1 { Is::Transit } else { Is::Long };
        Look { key, place: self.express.flows.place(&key), extra: 0, len, is }
    }

    /// The ways of the flows and the SAs of the SPIs: where they are, and fetched.
    pub(super) fn look_up(&mut self, looks: &mut [Look]) {
        let Self { express, security, .. } = self;
        express.looked_up = express.flows.age();
        for look in looks {
            match look.is {
                Is::Long | Is::Open => {}
                Is::Transit | Is::Clear | Is::Seal => {
                    look.is = Is::Transit;
                    let Some(place) = express.flows.find(&look.key, look.place) else { continue };
                    look.place = place;
                    look.is = match express.flows.answer(place) {
                        Some(Way::Seal(policy, _)) => {
                            security.policies.fetch(*policy);
                            look.extra = policy.part();
                            Is::Seal
                        }
                        Some(Way::Clear(_)) => Is::Clear,
                        _ => Is::Long,
                    };
                }
                Is::Esp => match security.inbound.first(Spi(look.place)) {
                    Some(slot) => (look.place, look.is) = (slot, Is::Open),
                    None => look.is = Is::Long,
                },
            }
        }
    }

    /// Ask about every flow that is not known, the first one's last: whatever had to make room, its answer is there.
    #[cold]
    pub(super) fn learn_all(&mut self, looks: &mut [Look]) {
        for look in looks.iter().rev().filter(|look| look.is == Is::Transit) {
            self.learn(&look.key, look.place);
        }
        self.look_up(looks);
    }
}
