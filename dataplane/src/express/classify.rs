//! The first looks at a batch: link and IP headers, then where the flow's answer or the SA is. Each frame's headers are read
//! here once, and what the next stages want of them is kept beside the frames.

use espalier_wire::ether::EtherType;
use espalier_wire::ipv4::protocol;
use espalier_wire::{IfIndex, Mac, Spi, checksum};

use super::flows::{FlowCache, FlowKey, Way, has_ports};
use super::{IP, LINK};
use crate::batch::Batch;
use crate::frame::Frame;
use crate::mem::prefetch;
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
    const PLAIN: u64 = u64::from_le_bytes([255, 0, 0, 0, 0, 0, 0x3f, 255]);
    let len = u16::from_be_bytes(*part::<2, 2, SEEN>(header));
    let right = word::<0, SEEN>(header) & PLAIN == u64::from_le_bytes([0x45, 0, 0, 0, 0, 0, 0, 0])
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

/// Eight bytes of a larger row, the first in the lowest bits.
#[inline(always)]
pub(super) fn word<const AT: usize, const M: usize>(row: &[u8; M]) -> u64 {
    u64::from_le_bytes(*part::<AT, 8, M>(row))
}

/// An IPv4 packet's length, which its first word holds in its third and fourth byte.
#[inline(always)]
pub(super) fn len_of(first: u64) -> u32 {
    u32::from((first >> 16) as u16).swap_bytes() >> 16
}

/// Of an IPv4 header's second word and what follows it up to the upper layer's first four bytes: protocol, addresses, ports.
pub(super) const SAME: u64 = u64::from_le_bytes([0, 255, 0, 0, 255, 255, 255, 255]);

/// What is read of a frame's headers.
const ROW: usize = LINK + SEEN;

/// A packet that others may follow: its link header's first two words but one byte, its own three.
#[derive(Clone, Copy)]
struct First {
    link: [u64; 2],
    ip: [u64; 3],
}

/// Of the link header's last six bytes and the two behind it: that it is IPv4.
const KIND: u64 = u64::from_le_bytes([0, 0, 0, 0, 255, 255, 255, 0]);
/// Of a packet's first word: fragments have an offset or have more behind them.
const WHOLE: u64 = u64::from_le_bytes([0, 0, 0, 0, 0, 0, 0x3f, 255]);

impl First {
    #[inline(always)]
    fn new(header: &[u8; ROW]) -> Self {
        Self {
            link: [word::<0, ROW>(header), word::<8, ROW>(header)],
            ip: [
                word::<LINK, ROW>(header),
                word::<{ LINK + 8 }, ROW>(header),
                word::<{ LINK + 16 }, ROW>(header),
            ],
        }
    }

    /// Whether a packet has the same destination and ports, or SPI: of many flows' packets the next one has not.
    #[inline(always)]
    fn may_lead(&self, next: &Frame) -> bool {
        next.row::<ROW>(0).is_some_and(|header| word::<{ LINK + 16 }, ROW>(header) == self.ip[2])
    }

    /// How many packets of a batch go the same way, from one on. (By itself, so that it has the registers to itself.)
    #[inline(never)]
    fn following(&self, batch: &[Frame], from: usize) -> u32 {
        let mut following = 0;
        for (at, frame) in batch.iter().enumerate().skip(from) {
            if !self.leads(frame) {
                break;
            }
            if let Some(ahead) = batch.get(at + AHEAD) {
                ahead.fetch();
            }
            following += 1;
        }
        following
    }

    /// Whether a packet goes the same way, and holds of itself what the first was asked: that it is whole and sound, and not
    /// on its last hop.
    #[inline(always)]
    fn leads(&self, frame: &Frame) -> bool {
        let Some(header) = frame.row::<ROW>(0) else { return false };
        let Self { link, ip } = Self::new(header);
        let other = (link[0] ^ self.link[0]) & STATION
            | (link[1] ^ self.link[1]) & KIND
            | (ip[0] ^ self.ip[0]) & WHOLE
            | (ip[1] ^ self.ip[1]) & SAME
            | (ip[2] ^ self.ip[2]);
        let len = len_of(ip[0]);
        let sum = checksum::add_wide(checksum::add_wide(ip[0], ip[1]), u64::from(ip[2] as u32));
        other == 0
            && len >= SEEN as u32
            && len as usize + LINK <= frame.len()
            && ip[1] as u8 > 1
            && checksum::is_multiple(sum)
            && is_from_elsewhere(frame)
            && !frame.meta.opened
    }
}

/// Whether a frame came from a port, or out of an SA.
#[inline(always)]
fn is_from_elsewhere(frame: &Frame) -> bool {
    !frame.meta.control && frame.meta.egress.is_none()
}

/// Whose frames an interface takes.
struct Door<'a> {
    /// The six bytes of its address, as they are read with the two behind them.
    own: u64,
    also: &'a [Mac],
    meta: u32,
}

const STATION: u64 = u64::from_le_bytes([255, 255, 255, 255, 255, 255, 0, 0]);

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
            own: u64::from_le_bytes([a, b, c, d, e, f, 0, 0]),
            also: &link.iface.also_accepts,
            meta: FlowKey::meta(ingress, false),
        };
        let mut at = 0;
        while let Some(frame) = batch.get(at) {
            if let Some(ahead) = batch.get(at + AHEAD) {
                ahead.fetch();
            }
            at += 1;
            let header = glance(frame);
            let mut look = header.filter(|header| door.takes(header)).map_or(LONG, |header| {
                let opened = FlowKey::meta(IfIndex(0), frame.meta.opened);
                self.look_at(part::<LINK, SEEN, ROW>(header), door.meta | opened)
            });
            if let Some(header) = header.filter(|_| !look.is_long() && !frame.meta.opened) {
                let first = First::new(header);
                if batch.get(at).is_some_and(|next| first.may_lead(next)) {
                    let following = first.following(batch, at);
                    look.count += following;
                    at += following as usize;
                }
            }
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
        for look in &mut *looks {
            if matches!(look.is, Is::Clear | Is::Seal) {
                look.is = Is::Transit;
            }
            find(&express.flows, security, look);
            fetch(&express.flows, security, look);
        }
        // Each in a row of its own, for those before say where it is.
        looks.iter().for_each(|look| fetch_second(security, look));
        looks.iter().for_each(|look| fetch_third(&express.flows, security, look));
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
    if !ipv4 || !is_from_elsewhere(frame) {
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

/// Fetch what the first line of an SA says of where it is: what engine's key it has. The SA's second line is on the same page.
#[inline(always)]
fn fetch_second(security: &Security, look: &Look) {
    let key = match look.is {
        Is::Open => {
            security.inbound.fetch::<1>(look.place);
            security.inbound.peek(look.place).map(|sa| &sa.key)
        }
        Is::Seal => {
            security.policies.fetch::<1>(look.policy);
            security.outbound(look.policy).map(|sa| &sa.key)
        }
        _ => None,
    };
    if let Some(key) = key {
        prefetch(&**key);
    }
}

/// Fetch what those lines say: the first line of the key's material, and the answer that is likely to be wanted of what is
/// inside.
#[inline(always)]
fn fetch_third(flows: &FlowCache, security: &Security, look: &Look) {
    match look.is {
        Is::Open => {
            if let Some(sa) = security.inbound.peek(look.place) {
                sa.key.fetch_first();
                flows.fetch(sa.last_flow);
            }
        }
        Is::Seal => {
            if let Some(sa) = security.outbound(look.policy) {
                sa.key.fetch_first();
            }
        }
        _ => {}
    }
}
