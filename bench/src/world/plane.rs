//! The dataplane of one router, and the checkers beside it: what it is asked and what it says. It runs wherever it is
//! put, on the thread of the world or on another; it knows neither clock nor world.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use espalier_dataplane::batch::Batch;
use espalier_dataplane::fate;
use espalier_dataplane::frame::Frame;
use espalier_dataplane::worker::Worker;
use espalier_wire::ipv4::{Ipv4, protocol};
use espalier_wire::plane::{Command, Counters, Rule, RuleAction, Selector};
use espalier_wire::{IfIndex, Instant, Mac, Spi, Tag, ether};

/// How many frames ahead memory is fetched that another core may have written.
pub const AHEAD: usize = 8;

/// What a dataplane is asked.
#[derive(Debug)]
pub enum Job {
    /// The frames arrived on this interface.
    Receive(IfIndex),
    /// The frames are IP packets that were born on the node.
    Originate,
    /// The frames are complete, of the control plane, and leave by this interface.
    Link(IfIndex),
    /// Obey.
    Command(Command),
    /// What is due, is done.
    Tick,
    /// Say what was counted.
    Look,
    /// The router was switched on or off: this one takes the place of the one before.
    Replace(Box<Dataplane>),
}

/// What a dataplane said.
#[derive(Debug, Default)]
pub struct Said {
    /// What came out of it.
    pub out: fate::Output,
    /// What it did that no dataplane must.
    pub violations: Vec<String>,
    /// What was counted, when that was asked.
    pub counters: Option<Counters>,
}

impl Said {
    /// Nothing was.
    pub fn is_empty(&self) -> bool {
        let fate::Output { transmit, punts, drops, notices } = &self.out;
        transmit.is_empty()
            && punts.is_empty()
            && drops.is_empty()
            && notices.is_empty()
            && self.violations.is_empty()
            && self.counters.is_none()
    }
}

/// A job on its way to a dataplane of another thread, and what was said on the way back.
#[derive(Debug)]
pub struct Parcel {
    /// Whose dataplane.
    pub node: usize,
    /// In which of its lives: each time it is switched on or off another begins.
    pub life: u64,
    /// What is asked.
    pub job: Job,
    /// With these frames.
    pub frames: Batch,
    /// The station that frames which arrived come from.
    pub src_mac: Mac,
    /// The answer.
    pub said: Said,
    /// Somebody asked; else the dataplane did by itself what was due.
    pub is_asked: bool,
    /// The packets it takes room for; none where it always finds room.
    pub packets: usize,
}

impl Default for Parcel {
    fn default() -> Self {
        let (frames, said) = (Batch::new(), Said::default());
        Self {
            node: 0,
            life: 0,
            job: Job::Tick,
            frames,
            src_mac: Mac::default(),
            said,
            is_asked: false,
            packets: 0,
        }
    }
}

/// Where dataplanes are that run on other threads.
pub trait Line {
    /// An empty parcel.
    fn spare(&mut self) -> Box<Parcel>;

    /// Send a parcel to the dataplane of its node. Urgent ones go before all others and always find room; of others, the
    /// frames that find none are `left`.
    fn give(&mut self, parcel: Box<Parcel>, urgent: bool, left: &mut Batch);

    /// Take an emptied parcel back.
    fn keep(&mut self, parcel: Box<Parcel>);
}

/// What policy said of packets between two ends, remembered for the next of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    iface: IfIndex,
    ends: [u8; 8],
}

/// A worker under watch.
pub struct Dataplane {
    name: String,
    worker: Worker,
    protected: BTreeMap<IfIndex, Vec<Rule>>,
    /// Ends that need no protection, as last asked.
    bare: Option<Asked>,
    /// By inbound SA, a bit for each sequence number it opened.
    opened: BTreeMap<Spi, Vec<u64>>,
    /// What of a batch an inbound SA is asked to open: which frame, SPI, sequence number.
    sealed: Vec<(usize, Spi, u32)>,
}

impl std::fmt::Debug for Dataplane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dataplane({})", self.name)
    }
}

impl Dataplane {
    /// Of the router of that name.
    pub fn new(name: &str, worker: Worker) -> Self {
        let (protected, opened) = (BTreeMap::new(), BTreeMap::new());
        Self { name: name.to_owned(), worker, protected, bare: None, opened, sealed: Vec::new() }
    }

    /// When [`Job::Tick`] next has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.worker.next_deadline()
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.worker.counters()
    }

    /// Do what is asked; `frames` are empty then.
    pub fn perform(&mut self, now: Instant, job: Job, frames: &mut Batch, said: &mut Said) {
        let sent = said.out.transmit.len();
        match job {
            Job::Receive(iface) => self.receive(now, iface, frames, said),
            Job::Originate => self.worker.originate(now, frames, &mut said.out),
            Job::Link(iface) => self.worker.originate_link(iface, frames, &mut said.out),
            Job::Command(command) => {
                if let Err(what) = self.command(now, command) {
                    said.violations.push(what);
                }
            }
            Job::Tick => self.worker.tick(now, &mut said.out),
            Job::Look => said.counters = Some(self.worker.counters()),
            Job::Replace(other) => *self = *other,
        }
        self.check_clear(sent, said);
    }

    /// Two inbound SAs with one SPI are a fault of the control plane.
    fn command(&mut self, now: Instant, command: Command) -> Result<(), String> {
        match &command {
            Command::InstallInbound { sa, .. } => {
                if self.opened.contains_key(&sa.spi) {
                    return Err(format!("{}: a second inbound SA with SPI {}", self.name, sa.spi));
                }
                self.opened.insert(sa.spi, Vec::new());
            }
            Command::DropInbound { spi } => {
                self.opened.remove(spi);
            }
            Command::Policy { iface, rules } => {
                self.protected.insert(*iface, rules.clone());
                self.bare = None;
            }
            _ => {}
        }
        self.worker.command(now, command).map_err(|e| format!("{}: {e}", self.name))
    }

    /// A sequence number that was opened once must never be opened again.
    fn receive(&mut self, now: Instant, iface: IfIndex, frames: &mut Batch, said: &mut Said) {
        self.sealed.clear();
        if !self.opened.is_empty() {
            frames.iter().take(AHEAD).for_each(Frame::fetch);
            for (at, frame) in frames.iter().enumerate() {
                if let Some(ahead) = frames.get(at + AHEAD) {
                    ahead.fetch();
                }
                self.sealed.extend(esp_numbers(frame.bytes()).map(|(spi, seq)| (identity(frame), spi, seq)));
            }
        }
        let dropped = said.out.drops.len();
        self.worker.receive(now, iface, frames, &mut said.out);
        let mut dropped: Vec<usize> =
            said.out.drops.iter().skip(dropped).map(|d| identity(&d.frame)).collect();
        dropped.sort_unstable();
        let mut left = self.sealed.as_slice();
        while let [(_, spi, _), ..] = left {
            let (run, rest) = left.split_at(left.iter().take_while(|s| s.1 == *spi).count());
            left = rest;
            // Sent on, dropped, or not ours: only what an SA of ours opened counts.
            let Some(seen) = self.opened.get_mut(spi) else { continue };
            for (frame, spi, sequence) in run {
                if dropped.binary_search(frame).is_err() && !first_time(seen, *sequence) {
                    let what =
                        format!("{}: sequence number {sequence} of SPI {spi} was accepted twice", self.name);
                    said.violations.push(what);
                }
            }
        }
    }

    /// What policy protects must not leave in clear.
    fn check_clear(&mut self, sent: usize, said: &mut Said) {
        for (iface, frame) in said.out.transmit.iter().skip(sent) {
            if frame.meta.tag == Tag::NONE || self.protected.is_empty() {
                continue;
            }
            let bytes = frame.bytes();
            let ends = bytes.get(ether::HEADER_LEN + 12..).and_then(|b| b.first_chunk::<8>());
            let (Some([8, 0]), Some(ends)) = (bytes.get(12..14), ends) else { continue };
            let asked = Asked { iface: *iface, ends: *ends };
            if self.bare == Some(asked)
                || Ipv4::new_checked(bytes.get(ether::HEADER_LEN..).unwrap_or_default()).is_err()
            {
                continue;
            }
            let [a, b, c, d, e, f, g, h] = *ends;
            let (src, dst) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
            if must_protect(self.protected.get(iface), src, dst) {
                said.violations.push(format!("{}: {src} to {dst} left in clear", self.name));
            } else {
                self.bare = Some(asked);
            }
        }
    }
}

/// Which frame it is, for as long as it lives: its memory does not move.
fn identity(frame: &Frame) -> usize {
    std::ptr::from_ref(&frame.meta).addr()
}

/// Remember a sequence number; false when it was there before.
fn first_time(seen: &mut Vec<u64>, sequence: u32) -> bool {
    let (word, bit) = (sequence as usize / 64, 1u64 << (sequence % 64));
    if seen.len() <= word {
        seen.resize(word + 1, 0);
    }
    let first = seen[word] & bit == 0;
    seen[word] |= bit;
    first
}

/// Whether policy says that a packet with these ends must not leave in clear. Rules that look at ports are not looked
/// at.
fn must_protect(rules: Option<&Vec<Rule>>, src: Ipv4Addr, dst: Ipv4Addr) -> bool {
    let (src, dst) = (IpAddr::V4(src), IpAddr::V4(dst));
    let all = |s: &Selector| *s == Selector::between(s.src, s.dst);
    let rules = rules.map_or(&[][..], Vec::as_slice);
    let first = rules.iter().find(|r| r.selector.src.contains(&src) && r.selector.dst.contains(&dst));
    first.is_some_and(|r| all(&r.selector) && matches!(r.action, RuleAction::Protect(_)))
}

/// SPI and sequence number, when a frame carries a whole ESP packet.
fn esp_numbers(frame: &[u8]) -> Option<(Spi, u32)> {
    let ([8, 0], packet) = (frame.get(12..14)?, frame.get(ether::HEADER_LEN..)?) else { return None };
    if packet.get(9) != Some(&protocol::ESP) {
        return None;
    }
    let ip = Ipv4::new_checked(packet).ok().filter(|ip| !ip.is_fragment())?;
    let esp = ip.payload();
    let word = |at: usize| Some(u32::from_be_bytes(*esp.get(at..)?.first_chunk::<4>()?));
    Some((Spi(word(0)?), word(4)?))
}
