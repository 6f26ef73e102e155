//! What captures of a failover tell: who said what when (HSRP, VRRP, ARP, IKE, OSPF), and when each direction of ESP was
//! silent, by SPI and sequence number. The same parsers as the routers', somebody else's network; no keys are needed, and
//! nothing that is encrypted is guessed at. Silence is that of the wire where it was captured: what a sender goes on
//! sending into the dark is not silent there.

mod esp;
mod gap;
mod lanes;
mod talk;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use espalier_wire::ether::{EtherType, Ethernet};
use espalier_wire::ipv4::{Ipv4, protocol};
use espalier_wire::udp::Udp;
use espalier_wire::{Duration, Instant, arp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::capture::link::locate;
use crate::capture::{LinkType, OpenError, Packet, Reader};
use crate::measure::lanes::Lane;
use crate::measure::series::Stretch;
use esp::Flows;
pub use gap::{Gap, Part};
use talk::Talk;

/// The same thing seen in two captures within this time is one thing.
const SAME: Duration = Duration::from_ms(20);

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, as the captures say.
    pub at: Instant,
    /// `hsrp`, `vrrp`, `arp`, `ike`, `ospf` or `esp`.
    pub source: &'static str,
    /// What it means for a gap.
    pub milestone: Option<Milestone>,
    /// What, in one line.
    pub text: String,
}

/// What an event may end: a part of a gap. In the order in which they follow from each other, for those of one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Milestone {
    /// Another router became active.
    Active,
    /// A route was announced.
    Announced,
    /// The first message of a phase 1.
    IkeBegins,
    /// The last message of a quick mode.
    SaUp,
}

impl Milestone {
    /// The part that it ends.
    pub const fn part(self) -> &'static str {
        match self {
            Self::Active => "takeover",
            Self::IkeBegins => "until-ike",
            Self::SaUp => "ike",
            Self::Announced => "route",
        }
    }
}

/// One SA's packets, as they were seen.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Sa {
    pub src: Ipv4Addr,
    pub dst: Ipv4Addr,
    pub spi: String,
    pub packets: u64,
    /// Sequence numbers between the first and the last that were not seen.
    pub missing: u64,
    /// Packets whose sequence number had been seen, or was lower than one before.
    pub again_or_late: u64,
    /// Seconds from the first packet of all captures.
    pub first_s: f64,
    pub last_s: f64,
}

/// What captures tell.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// The first packet of all.
    pub start: Option<Instant>,
    /// The last.
    pub end: Option<Instant>,
    /// Packets looked at.
    pub packets: u64,
    /// By time.
    pub events: Vec<Event>,
    /// By their first packet.
    pub sas: Vec<Sa>,
    /// Silences of a direction that spoke before and after.
    pub gaps: Vec<Gap>,
    /// Each direction's packets over time; of very many the busiest.
    pub flows: Vec<((Ipv4Addr, Ipv4Addr), Stretch)>,
    /// What each speaker said of itself.
    pub lanes: Vec<Lane>,
    /// Captures that end in the middle, with why.
    pub cut: Vec<String>,
}

/// Read captures of one network, their clocks the same.
///
/// # Errors
/// One that is no capture; its name is for the caller to add.
pub fn read(paths: &[impl AsRef<Path>]) -> Result<Story, (String, OpenError)> {
    let open = |path: &Path| {
        let name = path.display().to_string();
        let reader = Reader::open(path).map_err(|e| (name.clone(), e))?;
        Ok((name, reader))
    };
    Ok(told(paths.iter().map(|path| open(path.as_ref())).collect::<Result<_, _>>()?))
}

/// The story of these captures, by name, of one network.
pub fn told(captures: Vec<(String, Reader)>) -> Story {
    let (mut story, mut flows, mut said) = (Story::default(), Flows::default(), Vec::new());
    for (name, mut reader) in captures {
        let (mut packet, mut talk) = (Packet::default(), Talk::default());
        flows.next_capture();
        loop {
            match reader.read(&mut packet) {
                Ok(true) => {}
                Ok(false) => break,
                // What is there before a break is told, as everywhere.
                Err(e) => {
                    story.cut.push(format!("{name}: {e}"));
                    break;
                }
            }
            let link = reader.interfaces().get(packet.interface).map(|i| i.link);
            story.see(packet.time);
            if let Some(link) = link {
                look(link, &packet, &mut talk, &mut flows);
            }
        }
        let (events, states) = talk.end();
        story.events.extend(events);
        said.extend(states);
    }
    story.close(flows, said);
    story
}

impl Story {
    fn see(&mut self, at: Instant) {
        self.packets += 1;
        self.start = Some(self.start.map_or(at, |s| s.min(at)));
        self.end = Some(self.end.map_or(at, |e| e.max(at)));
    }

    fn close(&mut self, flows: Flows, mut said: Vec<lanes::Said>) {
        let start = self.start.unwrap_or(Instant::ZERO);
        self.events.extend(flows.events());
        self.events.sort_by(|a, b| (a.at, &a.text).cmp(&(b.at, &b.text)));
        let mut kept: BTreeMap<String, Instant> = BTreeMap::new();
        self.events.retain(|event| {
            let again = kept.get(&event.text).is_some_and(|at| event.at - *at <= SAME);
            if !again {
                kept.insert(event.text.clone(), event.at);
            }
            !again
        });
        self.gaps = gap::gaps(&flows, &self.events);
        self.sas = flows.sas(start);
        self.flows = flows.series(start, self.end.unwrap_or(start));
        said.extend(flows.said());
        self.lanes = lanes::lanes(said, start);
    }
}

fn look(link: LinkType, packet: &Packet, talk: &mut Talk, flows: &mut Flows) {
    let at = packet.time;
    let Some(located) = locate(link, &packet.bytes) else {
        if link == LinkType::ETHERNET {
            look_at_arp(at, &packet.bytes, talk);
        }
        return;
    };
    let Some(ip) = packet.bytes.get(located.ip).and_then(|b| Ipv4::new_checked(b).ok()) else { return };
    if ip.is_fragment() {
        return;
    }
    match ip.protocol() {
        protocol::ESP => flows.esp(at, ip.src(), ip.dst(), ip.payload()),
        protocol::OSPF => talk.ospf(at, ip.src(), ip.payload()),
        talk::VRRP => talk.vrrp(at, ip.src(), ip.payload()),
        protocol::UDP => {
            let Ok(udp) = Udp::new_checked(ip.payload()) else { return };
            match (udp.src_port(), udp.dst_port()) {
                (_, espalier_wire::hsrp::PORT) => talk.hsrp(at, ip.src(), udp.payload()),
                (500, _) | (_, 500) => talk.ike(at, ip.src(), ip.dst(), udp.payload()),
                (4500, _) | (_, 4500) => match udp.payload().strip_prefix(&[0; 4]) {
                    Some(message) => talk.ike(at, ip.src(), ip.dst(), message),
                    None => flows.esp(at, ip.src(), ip.dst(), udp.payload()),
                },
                _ => {}
            }
        }
        _ => {}
    }
}

fn look_at_arp(at: Instant, frame: &[u8], talk: &mut Talk) {
    let Ok(ethernet) = Ethernet::new_checked(frame) else { return };
    if ethernet.ethertype() == EtherType::ARP
        && let Ok(packet) = arp::Arp::parse(ethernet.payload())
    {
        talk.arp(at, &packet);
    }
}
