//! The traffic: packets offered on schedule, whatever happens to the ones before.
//!
//! Every packet has a number, and bytes that follow from number and seed alone: nothing can mimic one, and damage
//! shows. A capture's packets keep their own bytes but for the addresses.

use std::net::Ipv4Addr;
use std::sync::Arc;

use espalier_wire::icmp::Icmp;
use espalier_wire::ipv4::{self, Header, Ipv4, protocol};
use espalier_wire::{Duration, Instant, checksum, udp};

use crate::capture::link::locate;
use crate::capture::{Packet, Reader};
use crate::measure::ledger::{PacketId, Steady};
use crate::place::Mistake;
use crate::scenario::{TrafficKind, TrafficSpec};

/// Discard (RFC 863): nothing answers.
const DISCARD: u16 = 9;
/// The first of the dynamic ports (RFC 6335 section 6); each traffic has its own.
const PORTS: u16 = 49_152;
const TTL: u8 = 64;

/// One traffic of the scenario, running.
#[derive(Debug)]
pub struct Source {
    /// Its place in the scenario.
    pub traffic: u16,
    /// The router at which it is offered, and its address.
    pub from: (usize, Ipv4Addr),
    /// The router at which it counts as delivered, and its address.
    pub to: (usize, Ipv4Addr),
    /// Packets of the capture that were left out: no IPv4.
    pub skipped: u64,
    kind: Kind,
    start: Instant,
    stop: Instant,
    /// Packets offered so far.
    count: u64,
    /// Of them, questions and answers.
    numbers: [u64; 2],
    seed: u64,
}

#[derive(Debug)]
enum Kind {
    Constant { echo: bool, rate: Steady, sizes: Vec<u16> },
    Capture { packets: Arc<[Recorded]>, cycle: Duration, rate: Option<Steady>, repeat: bool },
}

#[derive(Debug)]
struct Recorded {
    after: Duration,
    reply: bool,
    bytes: Vec<u8>,
}

/// A packet on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Offer {
    pub id: PacketId,
    pub node: usize,
    pub digest: u64,
}

impl Source {
    /// The traffic `spec`, number `traffic` of its scenario, in a run that stops traffic at `stop`.
    ///
    /// # Errors
    /// A capture that cannot be read or holds no IPv4 packet.
    pub fn new(
        spec: &TrafficSpec,
        traffic: u16,
        from: (usize, Ipv4Addr),
        to: (usize, Ipv4Addr),
        stop: Instant,
        seed: u64,
    ) -> Result<Self, Mistake> {
        let mut skipped = 0;
        let steady = |pps: f64| Steady::new(spec.start, pps);
        let kind = match &spec.kind {
            TrafficKind::Udp { pps, sizes } => {
                Kind::Constant { echo: false, rate: steady(*pps), sizes: sizes.clone() }
            }
            TrafficKind::IcmpEcho { pps, sizes } => {
                Kind::Constant { echo: true, rate: steady(*pps), sizes: sizes.clone() }
            }
            TrafficKind::Pcap { file, bytes, speed, pps, repeat, at } => {
                let read = recorded(bytes, *speed, from.1, to.1, &mut skipped);
                // The place is the capture itself (`--pcap`) or the line that names it.
                let told = |why| if *at.file == **file { why } else { format!("{file}: {why}") };
                let packets = read.map_err(|why| at.says(told(why)))?;
                let last = packets.last().map_or(Duration::ZERO, |p| p.after);
                let mean = last.as_ns() / (packets.len() as u64 - 1).max(1);
                let cycle = last + Duration::from_ns(mean.max(1));
                Kind::Capture { packets: packets.into(), cycle, rate: pps.map(steady), repeat: *repeat }
            }
        };
        let stop = spec.stop.map_or(stop, |own| own.min(stop));
        let start = spec.start;
        Ok(Self { traffic, from, to, skipped, kind, start, stop, count: 0, numbers: [0; 2], seed })
    }

    /// Whether each packet that arrives is answered by the stack there.
    pub const fn is_answered(&self) -> bool {
        matches!(self.kind, Kind::Constant { echo: true, .. })
    }

    /// The rate that the packets of its own direction keep, where they do.
    pub fn steady(&self) -> Option<Steady> {
        match &self.kind {
            Kind::Constant { rate, .. } => Some(*rate),
            Kind::Capture { packets, rate, .. } => rate.filter(|_| packets.iter().all(|p| !p.reply)),
        }
    }

    /// When the next packet is due; `None`: no more.
    pub fn next(&self) -> Option<Instant> {
        self.due(self.count)
    }

    /// How many packets are due before it stops, offered or not.
    pub fn intended(&self) -> u64 {
        let (mut some, mut more) = (0, 1);
        while self.due(more - 1).is_some() {
            (some, more) = (more, more.saturating_mul(2));
        }
        // The last that is due is among those between.
        while more - some > 1 {
            let middle = some + (more - some) / 2;
            if self.due(middle - 1).is_some() { some = middle } else { more = middle }
        }
        some
    }

    fn due(&self, n: u64) -> Option<Instant> {
        let at = match &self.kind {
            Kind::Constant { rate, .. } => rate.at(n),
            Kind::Capture { packets, cycle, rate, repeat } => {
                let len = packets.len() as u64;
                let (round, place) = (n / len, n % len);
                if round > 0 && !repeat {
                    return None;
                }
                match rate {
                    Some(rate) => rate.at(n),
                    None => self.start + cycle.times(round) + packets.get(place as usize)?.after,
                }
            }
        };
        Some(at).filter(|at| *at < self.stop)
    }

    /// Make the packet that is due, into `packet`.
    pub fn take(&mut self, packet: &mut Vec<u8>) -> Offer {
        let count = self.count;
        self.count += 1;
        packet.clear();
        let reply = match &self.kind {
            Kind::Capture { packets, .. } => {
                let own = packets.get((count % packets.len() as u64) as usize);
                packet.extend_from_slice(own.map_or(&[], |p| &p.bytes));
                own.is_some_and(|p| p.reply)
            }
            Kind::Constant { .. } => false,
        };
        let number = &mut self.numbers[usize::from(reply)];
        let id = PacketId { traffic: self.traffic, reply, number: *number };
        *number += 1;
        if let Kind::Constant { echo, sizes, .. } = &self.kind {
            let size = sizes.get((count % sizes.len() as u64) as usize).copied().unwrap_or(64);
            self.generate(packet, id, *echo, size.into());
        }
        let node = if reply { self.to.0 } else { self.from.0 };
        Offer { id, node, digest: digest(packet) }
    }

    fn generate(&self, packet: &mut Vec<u8>, id: PacketId, echo: bool, size: usize) {
        const HEADERS: usize = ipv4::HEADER_LEN + udp::HEADER_LEN;
        packet.resize(size.max(HEADERS), 0);
        let Some((headers, data)) = packet.split_first_chunk_mut::<HEADERS>() else { return };
        self.fill(data, id);
        let (src, dst) = (self.from.1, self.to.1);
        let port = PORTS.wrapping_add(self.traffic);
        let protocol = if echo { protocol::ICMP } else { protocol::UDP };
        let identification = id.number as u16;
        let header = Header { traffic_class: 0, identification, df: false, ttl: TTL, protocol, src, dst };
        headers[..ipv4::HEADER_LEN].copy_from_slice(&header.emit(udp::HEADER_LEN + data.len()));
        if echo {
            let request = Icmp::EchoRequest { identifier: port, sequence: id.number as u16 }.emit(data);
            packet.truncate(ipv4::HEADER_LEN);
            packet.extend_from_slice(&request);
        } else {
            let udp = udp::header((src, port), (dst, DISCARD), data);
            headers[ipv4::HEADER_LEN..].copy_from_slice(&udp);
        }
    }

    /// Bytes that follow from the packet's number, behind a beginning that no dissector takes for its own protocol.
    fn fill(&self, data: &mut [u8], id: PacketId) {
        let name = b"espalier";
        let (head, rest) = data.split_at_mut(name.len().min(data.len()));
        head.copy_from_slice(&name[..head.len()]);
        let mut state = self.seed ^ id.tag().0;
        for word in rest.chunks_mut(8) {
            state = mix(state);
            word.copy_from_slice(&state.to_be_bytes()[..word.len()]);
        }
    }
}

/// SplitMix64's finaliser: every bit of the input moves half of the output's.
const fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What must arrive unchanged: addresses, protocol and everything behind the header.
pub fn digest(packet: &[u8]) -> u64 {
    let Ok(ip) = Ipv4::new_checked(packet) else { return 0 };
    let ends = u64::from(ip.src().to_bits()) << 32 | u64::from(ip.dst().to_bits());
    let mut state = mix(ends ^ u64::from(ip.protocol()));
    let mut words = ip.payload().chunks_exact(8);
    for word in &mut words {
        let word = word.first_chunk::<8>().map_or(0, |w| u64::from_le_bytes(*w));
        state = (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    words.remainder().iter().fold(state, |state, byte| mix(state ^ u64::from(*byte)))
}

/// The IPv4 packets of a capture between its first sender and everybody else, with new addresses.
fn recorded(
    bytes: &Arc<[u8]>,
    speed: f64,
    from: Ipv4Addr,
    to: Ipv4Addr,
    skipped: &mut u64,
) -> Result<Vec<Recorded>, String> {
    let mut reader = Reader::from_bytes(bytes.to_vec()).map_err(|e| e.to_string())?;
    let (mut packet, mut packets) = (Packet::default(), Vec::<Recorded>::new());
    let (mut first, mut begin) = (None, Instant::ZERO);
    // What is there before a break is used, as everywhere.
    while let Ok(true) = reader.read(&mut packet) {
        let link = reader.interfaces().get(packet.interface).map(|i| i.link);
        let ip = link.and_then(|link| locate(link, &packet.bytes)).and_then(|l| packet.bytes.get(l.ip));
        let Some(ip) = ip.and_then(|bytes| Ipv4::new_checked(bytes).ok()) else {
            *skipped += 1;
            continue;
        };
        if first.is_none() {
            (first, begin) = (Some(ip.src()), packet.time);
        }
        let reply = first != Some(ip.src());
        let (src, dst) = if reply { (to, from) } else { (from, to) };
        let after = (packet.time.max(begin) - begin).as_ns() as f64 / speed;
        packets.push(Recorded { after: Duration::from_ns(after as u64), reply, bytes: moved(&ip, src, dst) });
    }
    if packets.is_empty() {
        return Err("no IPv4 packet in it".to_owned());
    }
    // A capture may be out of order; a schedule is not.
    packets.sort_by_key(|p| p.after);
    Ok(packets)
}

/// The packet between other addresses, its checksums kept right (RFC 1624).
fn moved(ip: &Ipv4<'_>, src: Ipv4Addr, dst: Ipv4Addr) -> Vec<u8> {
    let mut bytes = ip.bytes().to_vec();
    let words = |a: Ipv4Addr, b: Ipv4Addr| {
        let ([a, b, c, d], [e, f, g, h]) = (a.octets(), b.octets());
        [[a, b], [c, d], [e, f], [g, h]].map(u16::from_be_bytes)
    };
    let changes: Vec<_> = words(ip.src(), ip.dst()).into_iter().zip(words(src, dst)).collect();
    let mut patch = |at: usize| {
        if let Some(field) = bytes.get_mut(at..).and_then(|b| b.first_chunk_mut::<2>()) {
            let old = u16::from_be_bytes(*field);
            *field = changes.iter().fold(old, |sum, (a, b)| checksum::update(sum, *a, *b)).to_be_bytes();
        }
    };
    patch(10);
    let (at, whole) = (ip.header_len(), ip.fragment_offset() == 0);
    let udp_sum = ip.payload().get(6..8).is_some_and(|sum| sum != [0, 0]);
    match ip.protocol() {
        protocol::TCP if whole => patch(at + 16),
        protocol::UDP if whole && udp_sum => patch(at + 6),
        _ => {}
    }
    for (field, address) in [(12, src), (16, dst)] {
        if let Some(place) = bytes.get_mut(field..field + 4) {
            place.copy_from_slice(&address.octets());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;
    use crate::scenario::Endpoint;

    fn spec(kind: TrafficKind) -> TrafficSpec {
        let at = Place::start("test");
        let end = |r: &str| Endpoint { router: r.into(), interface: "Lo0".into(), at: at.clone() };
        let start = Instant::ZERO + Duration::from_s(1);
        TrafficSpec { name: "f".into(), from: end("a"), to: end("b"), kind, start, stop: None, at }
    }

    fn source(kind: TrafficKind) -> Source {
        let ends = ((0, Ipv4Addr::new(10, 0, 0, 1)), (1, Ipv4Addr::new(20, 0, 0, 1)));
        Source::new(&spec(kind), 0, ends.0, ends.1, Instant::ZERO + Duration::from_s(3), 7).unwrap()
    }

    #[test]
    fn a_constant_rate_is_kept_and_ends_in_time() {
        let mut source = source(TrafficKind::Udp { pps: 100.0, sizes: vec![100, 576] });
        let (mut packet, mut seen) = (Vec::new(), Vec::new());
        assert_eq!(source.intended(), 200);
        while let Some(at) = source.next() {
            let offer = source.take(&mut packet);
            seen.push((at, packet.len(), offer.id.number));
        }
        assert_eq!(seen.len(), 200);
        assert_eq!(seen[1], (Instant::from_ns(1_010_000_000), 576, 1));
        assert!(seen.iter().all(|(at, ..)| *at < Instant::from_ns(3_000_000_000)));
    }

    #[test]
    fn a_bad_capture_is_named_once() {
        let told = |at: Place| {
            let (file, bytes) = ("bad.pcap".into(), vec![0; 40].into());
            let kind = TrafficKind::Pcap { file, bytes, speed: 1.0, pps: None, repeat: true, at };
            let ends = ((0, Ipv4Addr::LOCALHOST), (1, Ipv4Addr::LOCALHOST));
            Source::new(&spec(kind), 0, ends.0, ends.1, Instant::ZERO, 7).unwrap_err().to_string()
        };
        assert_eq!(told(Place::start("bad.pcap")), "bad.pcap:1:1: neither pcap nor pcapng");
        assert_eq!(told(Place::start("a.toml")), "a.toml:1:1: bad.pcap: neither pcap nor pcapng");
    }

    #[test]
    fn a_capture_is_replayed_with_sound_checksums_and_answers_from_the_other_side() {
        let bytes: Arc<[u8]> = std::fs::read("../pcaps/dns.pcap").unwrap().into();
        let at = Place::start("test");
        let file = "dns.pcap".into();
        let kind = TrafficKind::Pcap { file, bytes, speed: 1.0, pps: None, repeat: true, at };
        let mut source = source(kind);
        let (mut packet, mut replies) = (Vec::new(), 0);
        for _ in 0..50 {
            source.next().unwrap();
            let offer = source.take(&mut packet);
            let ip = Ipv4::new_checked(&packet).unwrap();
            assert!(ip.checksum_ok());
            if let Ok(udp) = udp::Udp::new_checked(ip.payload()) {
                assert!(udp.checksum_ok(ip.src(), ip.dst()));
            }
            assert_eq!(offer.id.reply, ip.src() == Ipv4Addr::new(20, 0, 0, 1));
            replies += usize::from(offer.id.reply);
        }
        assert!(replies > 10);
    }
}
