//! The first looks at a batch: link and IP headers, then where the flow's answer or the SA is. Each frame's headers are read
//! here once, and what the next stages want of them is kept beside the frames.

use espalier_wire::ether::EtherType;
use espalier_wire::ipv4::protocol;
use espalier_wire::{IfIndex, Mac, Spi, checksum};

use super::flows::{FlowCache, FlowKey, Way, has_ports};
use super::{IP, LINK};
use crate::batch::Batch;
use crate::frame::Frame;
use crate::pipeline::Security;
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
    /// DSCP and ECN.
    pub(super) class: u8,
    pub(super) is: Is,
    /// Whether it goes as that before it which does not follow.
    pub(super) follows: bool,
}

pub(super) const LONG: Look =
    Look { key: FlowKey::NONE, place: 0, extra: 0, len: 0, class: 0, is: Is::Long, follows: false };

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

/// The length of an IPv4 packet without options that is whole, sound, and at most `max` bytes long. Packets of less than
/// eight bytes behind the header are not express.
#[inline(always)]
pub(super) fn sound_len(header: &[u8; SEEN], max: usize) -> Option<u16> {
    // The first byte; "more fragments" and the offset: "don't fragment" may be set.
    const PLAIN: u64 = u64::from_ne_bytes([255, 0, 0, 0, 0, 0, 0x3f, 255]);
    let len = u16::from_be_bytes(*part::<2, 2, SEEN>(header));
    let right = word::<0, SEEN>(header) & PLAIN == u64::from_ne_bytes([0x45, 0, 0, 0, 0, 0, 0, 0])
        && usize::from(len) >= SEEN
        && usize::from(len) <= max
        && checksum::is_right(part::<0, IP, SEEN>(header));
    right.then_some(len)
}

/// The flow of such a packet.
#[inline(always)]
pub(super) fn flow_key(header: &[u8; SEEN], meta: u32) -> FlowKey {
    let proto = header[9];
    let ports = if has_ports(proto) { u32::from_ne_bytes(*part::<20, 4, SEEN>(header)) } else { 0 };
    let addresses = u64::from_ne_bytes(*part::<12, 8, SEEN>(header));
    FlowKey::new(addresses, ports, proto, meta)
}

/// Eight bytes of a larger row.
#[inline(always)]
pub(super) fn word<const AT: usize, const M: usize>(row: &[u8; M]) -> u64 {
    u64::from_ne_bytes(*part::<AT, 8, M>(row))
}

/// Of an IPv4 header's third word of four bytes and what follows it up to the upper layer's first four: protocol, addresses,
/// ports.
pub(super) const SAME: u64 = u64::from_ne_bytes([0, 255, 0, 0, 255, 255, 255, 255]);

/// The packet before, whose answer those of the same flow behind it share: packets come in trains (Jain and Routhier, 1986).
struct Before {
    /// The link header's first eight bytes.
    station: u64,
    /// The packet's from the ninth on.
    ip: [u64; 2],
    look: Look,
}

impl Before {
    const NONE: Self = Self { station: 0, ip: [0; 2], look: LONG };

    fn new(header: &[u8; LINK + SEEN], look: Look) -> Self {
        let ip =
            [word::<{ LINK + 8 }, { LINK + SEEN }>(header), word::<{ LINK + 16 }, { LINK + SEEN }>(header)];
        Self { station: word::<0, { LINK + SEEN }>(header), ip, look }
    }

    /// Whether a packet goes the same way. What holds of each for itself is not asked: that it is whole and sound.
    #[inline(always)]
    fn leads(&self, header: &[u8; LINK + SEEN]) -> bool {
        let other = (word::<0, { LINK + SEEN }>(header) ^ self.station) & STATION
            | (word::<{ LINK + 8 }, { LINK + SEEN }>(header) ^ self.ip[0]) & SAME
            | (word::<{ LINK + 16 }, { LINK + SEEN }>(header) ^ self.ip[1]);
        other == 0 && self.look.is != Is::Long
    }
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
        word::<0, { LINK + SEEN }>(header) & STATION == self.own || self.takes_also(header)
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
        let mut before = Before::NONE;
        looks.extend(batch.iter().enumerate().map(|(at, frame)| {
            if let Some(ahead) = batch.get(at + AHEAD) {
                ahead.fetch();
            }
            self.glance(&door, frame, &mut before)
        }));
    }

    #[inline(always)]
    fn glance(&self, door: &Door<'_>, frame: &Frame, before: &mut Before) -> Look {
        let Some(max) = frame.len().checked_sub(LINK + SEEN) else { return LONG };
        let Some(header) = frame.row::<{ LINK + SEEN }>(0) else { return LONG };
        let ip = part::<LINK, SEEN, { LINK + SEEN }>(header);
        let ipv4 = u16::from_be_bytes(*part::<12, 2, { LINK + SEEN }>(header)) == EtherType::IPV4.0;
        if !ipv4 || frame.meta.control || frame.meta.egress.is_some() {
            return LONG;
        }
        let Some(len) = sound_len(ip, max + SEEN) else { return LONG };
        // The last hop is the long way's to refuse.
        if before.leads(header) && ip[8] > 1 && !frame.meta.opened {
            let extra = u32::from_be_bytes(*part::<{ IP + 4 }, 4, SEEN>(ip));
            return Look { len, extra, class: ip[1], follows: true, ..before.look };
        }
        if !door.takes(header) {
            return LONG;
        }
        let look = self.look_at(ip, len, door.meta | FlowKey::meta(IfIndex(0), frame.meta.opened));
        *before = if frame.meta.opened { Before::NONE } else { Before::new(header, look) };
        look
    }

    /// A packet that no train brought.
    fn look_at(&self, ip: &[u8; SEEN], len: u16, meta: u32) -> Look {
        let (key, class) = (flow_key(ip, meta), ip[1]);
        let extra = u32::from_be_bytes(*part::<{ IP + 4 }, 4, SEEN>(ip));
        if key.protocol() == protocol::ESP && self.links.local.has_ipv4(key.dst()) {
            let place = u32::from_be_bytes(*part::<IP, 4, SEEN>(ip));
            self.security.inbound.fetch_home(Spi(place));
            return Look { key, place, extra, len, class, is: Is::Esp, follows: false };
        }
        let is = if ip[8] > 1 { Is::Transit } else { Is::Long };
        Look { key, place: self.express.flows.place(&key), extra, len, class, is, follows: false }
    }

    /// The ways of the flows and the SAs of the SPIs: where they are, and fetched.
    pub(super) fn look_up(&mut self, looks: &mut [Look]) {
        let Self { express, security, .. } = self;
        express.looked_up = express.flows.age();
        if let Some(first) = looks.first_mut() {
            first.follows = false;
        }
        let mut before = LONG;
        for look in looks {
            if look.is_long() {
                continue;
            }
            if look.follows {
                (look.place, look.is) = (before.place, before.is);
                if look.is == Is::Seal {
                    look.extra = before.extra;
                }
                continue;
            }
            if matches!(look.is, Is::Clear | Is::Seal) {
                look.is = Is::Transit;
            }
            find(&express.flows, security, look);
            before = *look;
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

/// The way of a flow or the SA of an SPI.
#[inline(always)]
fn find(flows: &FlowCache, security: &Security, look: &mut Look) {
    match look.is {
        Is::Transit => {
            let Some(place) = flows.find(&look.key, look.place) else { return };
            look.place = place;
            look.is = match flows.answer(place) {
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
        Is::Long | Is::Clear | Is::Seal | Is::Open => {}
    }
}
