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
use crate::policy::PolicyRef;
use crate::worker::Worker;

/// How many packets ahead memory is fetched.
pub(super) const AHEAD: usize = 8;
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

/// What the first look at packets found that go the same way, one behind the other: they come in trains (Jain and Routhier,
/// 1986).
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) key: FlowKey,
    /// In transit: where the answer about their flow is. ESP: their SPI, then the slot of their SA.
    pub(super) place: u32,
    /// To be sealed: their policy.
    pub(super) policy: PolicyRef,
    /// How many they are.
    pub(super) count: u32,
    pub(super) is: Is,
}

pub(super) const LONG: Look =
    Look { key: FlowKey::NONE, place: 0, policy: PolicyRef::of_part(0), count: 1, is: Is::Long };

impl Look {
    pub(super) fn is_long(&self) -> bool {
        self.is == Is::Long
    }
}

/// Of what was looked at, so many packets are done: what is left.
pub(super) fn behind(looks: &mut [Look], mut done: usize) -> &mut [Look] {
    let used = looks.iter().take_while(|look| {
        let all = done >= look.count as usize;
        done -= if all { look.count as usize } else { 0 };
        all
    });
    let used = used.count();
    let left = looks.get_mut(used..).unwrap_or_default();
    if let Some(first) = left.first_mut() {
        first.count -= done as u32;
    }
    left
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

/// What is read of a frame's headers.
const ROW: usize = LINK + SEEN;

/// A packet that others may follow.
#[derive(Clone, Copy)]
struct First {
    /// The link header's first eight bytes.
    station: u64,
    /// The packet's from the ninth on.
    ip: [u64; 2],
}

impl First {
    fn new(header: &[u8; ROW]) -> Self {
        let ip = [word::<{ LINK + 8 }, ROW>(header), word::<{ LINK + 16 }, ROW>(header)];
        Self { station: word::<0, ROW>(header), ip }
    }

    /// Whether a packet goes the same way. What holds of each for itself is not asked: that it is whole and sound.
    #[inline(always)]
    fn leads(&self, header: &[u8; ROW]) -> bool {
        let other = (word::<0, ROW>(header) ^ self.station) & STATION
            | (word::<{ LINK + 8 }, ROW>(header) ^ self.ip[0]) & SAME
            | (word::<{ LINK + 16 }, ROW>(header) ^ self.ip[1]);
        other == 0
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
    fn takes(&self, header: &[u8; ROW]) -> bool {
        word::<0, ROW>(header) & STATION == self.own || self.takes_also(header)
    }

    #[cold]
    fn takes_also(&self, header: &[u8; ROW]) -> bool {
        header[0] & 1 == 0 && self.also.contains(&Mac(*part::<0, 6, ROW>(header)))
    }
}

impl Worker {
    /// The first look: link and IP headers.
    pub(super) fn classify(&mut self, ingress: IfIndex, batch: &Batch, looks: &mut Vec<Look>) {
        looks.clear();
        let link = self.links.at(ingress).filter(|link| link.iface.up && !self.express.flows.is_off());
        let Some(link) = link else {
            return looks.extend((!batch.is_empty()).then_some(Look { count: batch.len() as u32, ..LONG }));
        };
        batch.iter().take(AHEAD).for_each(Frame::fetch);
        let [a, b, c, d, e, f] = link.iface.mac.0;
        let door = Door {
            own: u64::from_ne_bytes([a, b, c, d, e, f, 0, 0]),
            also: &link.iface.also_accepts,
            meta: FlowKey::meta(ingress, false),
        };
        let mut first = None::<First>;
        for (at, frame) in batch.iter().enumerate() {
            if let Some(ahead) = batch.get(at + AHEAD) {
                ahead.fetch();
            }
            let header = glance(frame);
            if let (Some(first), Some(header), Some(look)) = (&first, header, looks.last_mut())
                && first.leads(header)
                && header[LINK + 8] > 1
            {
                look.count += 1;
                continue;
            }
            let look = header.filter(|header| door.takes(header)).map_or(LONG, |header| {
                self.look_at(
                    part::<LINK, SEEN, ROW>(header),
                    door.meta | FlowKey::meta(IfIndex(0), frame.meta.opened),
                )
            });
            first = header.filter(|_| !look.is_long() && !frame.meta.opened).map(First::new);
            looks.push(look);
        }
        looks.iter().for_each(|look| fetch(&self.express.flows, &self.security, look));
    }

    /// A packet that none leads.
    #[inline(always)]
    fn look_at(&self, ip: &[u8; SEEN], meta: u32) -> Look {
        let key = flow_key(ip, meta);
        if key.protocol() == protocol::ESP && self.links.local.has_ipv4(key.dst()) {
            let place = u32::from_be_bytes(*part::<IP, 4, SEEN>(ip));
            return Look { key, place, is: Is::Esp, ..LONG };
        }
        // The last hop is the long way's to refuse.
        let is = if ip[8] > 1 { Is::Transit } else { Is::Long };
        Look { key, place: self.express.flows.place(&key), is, ..LONG }
    }

    /// The ways of the flows and the SAs of the SPIs: where they are, and fetched.
    pub(super) fn look_up(&mut self, looks: &mut [Look]) {
        let Self { express, security, .. } = self;
        express.looked_up = express.flows.age();
        for look in looks {
            if matches!(look.is, Is::Clear | Is::Seal) {
                look.is = Is::Transit;
            }
            find(&express.flows, security, look);
            fetch(&express.flows, security, look);
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

/// Link and IP header of a frame that may be express.
#[inline(always)]
fn glance(frame: &Frame) -> Option<&[u8; ROW]> {
    let max = frame.len().checked_sub(LINK)?;
    let header = frame.row::<ROW>(0)?;
    let ipv4 = u16::from_be_bytes(*part::<12, 2, ROW>(header)) == EtherType::IPV4.0;
    if !ipv4 || frame.meta.control || frame.meta.egress.is_some() {
        return None;
    }
    sound_len(part::<LINK, SEEN, ROW>(header), max).map(|_| header)
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
                    look.policy = *policy;
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

/// Fetch towards the core what is wanted first of a flow or an SA. A fetch waits where its page is not known, but several wait
/// together; and the core drops fetches beyond two dozen that are under way. So it is one line of each, in a row.
#[inline(always)]
fn fetch(flows: &FlowCache, security: &Security, look: &Look) {
    match look.is {
        Is::Transit => flows.fetch(look.place),
        Is::Esp => security.inbound.fetch_home(Spi(look.place)),
        Is::Open => security.inbound.fetch::<0>(look.place),
        Is::Seal => security.policies.fetch::<0>(look.policy),
        Is::Long | Is::Clear => {}
    }
}

/// Fetch what is wanted of an SA besides.
#[inline(always)]
pub(super) fn fetch_second(security: &Security, look: &Look) {
    match look.is {
        Is::Open => security.inbound.fetch::<1>(look.place),
        Is::Seal => security.policies.fetch::<1>(look.policy),
        _ => {}
    }
}
