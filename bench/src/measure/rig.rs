//! What a worker is measured with: two gateways back to back, of which one is looked at, and a working set of packets
//! that go through it again and again. Packets are made, and results compared, outside what is timed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use espalier_dataplane::batch::Batch;
use espalier_dataplane::crypto::{Choice, EngineId};
use espalier_dataplane::fate::Output;
use espalier_dataplane::frame::HEADROOM;
use espalier_dataplane::watch::Watch;
use espalier_dataplane::worker::{Config, Helper, Worker};
use espalier_wire::ether::{self, EtherType};
use espalier_wire::ipv4::Ipv4;
use espalier_wire::plane::{
    Command, DfBit, Direction, Fragmentation, Interface, Lifetime, Mode, NextHop, PolicyId, Rule, RuleAction,
    SaSpec, Secret, Selector,
};
use espalier_wire::random::Random;
use espalier_wire::{IfIndex, Instant, Mac, Spi, Transform, ipv4, udp};

/// Packets of a working set: it does not fit the first cache.
pub const WORKING_SET: usize = 256;
/// The most that a capture makes of it.
const CAPTURE_MAX: usize = 4096;
/// The most working sets that rounds take in turn, so that as many SAs are met as there are, up to their packets. An odd
/// number of them: who looks at every other round sees all of them, too.
const SETS_MAX: usize = 65;
/// The most flows that a gateway remembers: four times as many as there are, up to here.
const FLOWS_MAX: usize = 1 << 18;
/// Parcels on the way to a helper and back: one that it works on, and one for when it is done.
const DEPTH: usize = 2;

const PORT: IfIndex = IfIndex(0);
const MAC: Mac = Mac([2, b'E', b'S', b'P', 0, 1]);
const NEAR: Ipv4Addr = Ipv4Addr::new(192, 1, 2, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(192, 1, 2, 2);
/// Behind the near end; the far end's networks are one a SA in 20.0.0.0/8.
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);

/// Inner IP packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// All of one size, in bytes.
    Fixed(usize),
    /// 40, 576 and 1500 bytes, 7 : 4 : 1.
    Imix,
    /// A capture's IPv4 packets in their order, between other addresses.
    Capture(Arc<Trace>),
}

/// The packets of a capture.
#[derive(Debug, PartialEq, Eq)]
pub struct Trace {
    /// What it is called.
    pub name: String,
    /// IPv4 packets; one at least.
    pub packets: Vec<Vec<u8>>,
}

/// The simple IMIX: how many of each size in twelve.
const IMIX: [(usize, usize); 3] = [(7, 40), (4, 576), (1, 1500)];

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(bytes) => bytes.fmt(f),
            Self::Imix => f.pad("imix"),
            Self::Capture(trace) => f.pad(&trace.name),
        }
    }
}

impl Size {
    /// The sizes of a working set of about `set` packets, in the order in which they come.
    pub fn packets(&self, set: usize, random: &mut Random) -> Vec<usize> {
        match self {
            Self::Fixed(bytes) => vec![*bytes; set],
            Self::Imix => {
                let dozen: Vec<usize> =
                    IMIX.iter().flat_map(|(n, bytes)| std::iter::repeat_n(*bytes, *n)).collect();
                let mut sizes: Vec<usize> = dozen.iter().copied().cycle().take(set).collect();
                for last in (1..sizes.len()).rev() {
                    sizes.swap(last, random.below(last as u64 + 1) as usize);
                }
                sizes
            }
            Self::Capture(trace) => trace.packets(set).map(<[u8]>::len).collect(),
        }
    }

    /// Bytes of a packet, on average.
    pub fn mean(&self) -> f64 {
        let sizes = self.packets(WORKING_SET, &mut Random::from_seed(0));
        sizes.iter().sum::<usize>() as f64 / sizes.len().max(1) as f64
    }
}

impl Trace {
    fn packets(&self, set: usize) -> impl Iterator<Item = &[u8]> {
        let len = set.max(self.packets.len().min(CAPTURE_MAX));
        self.packets.iter().map(Vec::as_slice).cycle().take(len)
    }
}

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Kind {
    /// The transform.
    pub transform: Transform,
    /// The engine.
    pub engine: EngineId,
    /// Outbound: the gateway that seals is looked at.
    pub direction: Direction,
    /// The inner packets.
    pub size: Size,
    /// How many SAs the packets are spread over, at random.
    pub sas: usize,
    /// Packets handed over together.
    pub burst: usize,
}

impl Kind {
    /// The key material of SA `n`.
    pub fn secrets(&self, n: usize) -> (Vec<u8>, Vec<u8>) {
        let mut random = Random::from_seed(n as u64).fork("bench key");
        let mut bytes = |len: usize| {
            let mut bytes = vec![0; len];
            random.fill(&mut bytes);
            bytes
        };
        (bytes(self.transform.key_len()), bytes(self.transform.auth_key_len()))
    }

    /// SA `n` as both gateways install it.
    pub fn spec(&self, n: usize) -> SaSpec {
        let (key, auth_key) = self.secrets(n);
        SaSpec {
            spi: Spi(0x1_0000 + n as u32),
            src: IpAddr::V4(NEAR),
            dst: IpAddr::V4(FAR),
            mode: Mode::Tunnel,
            transform: self.transform,
            key: Secret::new(key),
            auth_key: Secret::new(auth_key),
            esn: false,
            replay_window: 64,
            udp_encap: None,
            selector: None,
            mtu: None,
            df_bit: DfBit::Clear,
            fragmentation: Fragmentation::AfterEncryption,
            lifetime: Lifetime::default(),
        }
    }
}

/// Why it cannot be looked at, or what went wrong.
pub type Refused = String;

/// The two gateways and the packets.
pub struct Rig {
    kind: Kind,
    sealer: Worker,
    opener: Worker,
    /// Working sets, one after the other.
    plain: Vec<Vec<u8>>,
    /// Packets of one of them, and where the present one begins.
    set: usize,
    at: usize,
    /// Of a round of opening: what goes in.
    sealed: Vec<Vec<u8>>,
    out: Output,
    batch: Batch,
}

impl Rig {
    /// With a working set of about `set` packets; with many SAs, with several of them that rounds take in turn.
    ///
    /// # Errors
    /// A transform that the engine does not cover.
    pub fn new(kind: &Kind, set: usize, seed: u64) -> Result<Self, Refused> {
        let mut random = Random::from_seed(seed).fork("bench path");
        let mut turns = shuffled(kind.sas, &mut random).into_iter().cycle();
        let mut plain = frames(kind, set, &mut turns, &mut random);
        let set = plain.len();
        for _ in 1..self::turns(kind.sas, set) {
            plain.extend(frames(kind, set, &mut turns, &mut random));
        }
        let (sealer, opener) = (sealer(kind, set)?, opener(kind, set)?);
        Ok(Self {
            kind: kind.clone(),
            sealer,
            opener,
            plain,
            set,
            at: 0,
            sealed: Vec::new(),
            out: Output::default(),
            batch: Batch::new(),
        })
    }

    /// Packets of all working sets.
    pub fn packets(&self) -> usize {
        self.plain.len()
    }

    /// Packets of a round.
    pub fn len(&self) -> usize {
        self.set
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.set == 0
    }

    /// The inner packets' bytes, on average.
    pub fn mean_bytes(&self) -> f64 {
        let bytes: usize = self.plain.iter().map(|frame| frame.len() - ether::HEADER_LEN).sum();
        bytes as f64 / self.plain.len().max(1) as f64
    }

    /// Helpers for the gateway that is looked at, to be run on other cores.
    pub fn hire(&mut self, helpers: usize) -> Vec<Helper> {
        (0..helpers).map(|_| self.looked_at().hire(DEPTH)).collect()
    }

    fn looked_at(&mut self) -> &mut Worker {
        match self.kind.direction {
            Direction::Outbound => &mut self.sealer,
            Direction::Inbound => &mut self.opener,
        }
    }

    /// The batches of a round. Frames are filled as a port fills them: in the order of their coming.
    pub fn load(&mut self) -> Vec<Batch> {
        let burst = self.kind.burst;
        self.at = if self.at + self.set < self.plain.len() { self.at + self.set } else { 0 };
        let plain = self.plain.get(self.at..).and_then(|rest| rest.get(..self.set)).unwrap_or_default();
        let (worker, frames) = match self.kind.direction {
            Direction::Outbound => (&mut self.sealer, plain),
            Direction::Inbound => {
                self.sealed = through(&mut self.sealer, plain, burst);
                (&mut self.opener, &self.sealed[..])
            }
        };
        let batch = |chunk: &[Vec<u8>]| {
            let mut batch = Batch::new();
            fill(worker, chunk.iter(), &mut batch);
            batch
        };
        frames.chunks(burst).map(batch).collect()
    }

    /// What is timed: the round's batches through the gateway, until nothing is under way.
    pub fn run(&mut self, batches: &mut [Batch], watch: &mut impl Watch) {
        let mut out = std::mem::take(&mut self.out);
        let worker = self.looked_at();
        for batch in batches {
            worker.receive_watched(Instant::ZERO, PORT, batch, &mut out, watch);
        }
        worker.settle(Instant::ZERO, &mut out);
        self.out = out;
    }

    /// `take` packets of the working sets from place `from` on, copied in, through, and released, as a port would: how many
    /// came out. Only for what seals, as a packet can be opened but once.
    pub fn pass(&mut self, from: usize, take: usize) -> usize {
        let mut out = std::mem::take(&mut self.out);
        let mut batch = std::mem::take(&mut self.batch);
        let frames = self.plain.iter().cycle().skip(from).take(take);
        fill(&mut self.sealer, frames, &mut batch);
        self.sealer.receive(Instant::ZERO, PORT, &mut batch, &mut out);
        let came = out.transmit.len();
        for (_, frame) in out.transmit.drain(..) {
            self.sealer.pool().put(frame);
        }
        (self.out, self.batch) = (out, batch);
        came
    }

    /// Whether what came out is right: opened again, and equal to what went in. The frames go back to their pool.
    ///
    /// # Errors
    /// Packets that did not come out.
    pub fn check(&mut self) -> Result<bool, Refused> {
        let came = self.take_out();
        let plain = self.plain.get(self.at..).and_then(|rest| rest.get(..self.set)).unwrap_or_default();
        if came.len() != plain.len() {
            return Err(format!("{} by {}: packets were lost", self.kind.transform, self.kind.engine));
        }
        Ok(match self.kind.direction {
            Direction::Outbound => same(plain, &through(&mut self.opener, &came, self.kind.burst)),
            Direction::Inbound => same(plain, &came),
        })
    }

    /// What came out of the last round, whole frames; the frames go back to their pool.
    pub fn take_out(&mut self) -> Vec<Vec<u8>> {
        let mut out = std::mem::take(&mut self.out);
        let pool = self.looked_at().pool();
        let mut came = Vec::with_capacity(out.transmit.len());
        for (_, frame) in out.transmit.drain(..) {
            came.push(frame.bytes().to_vec());
            pool.put(frame);
        }
        self.out = out;
        came
    }
}

/// A router with one port, whose own address is `own`: everything goes on to the other end.
fn router(kind: &Kind, frames: usize, own: Ipv4Addr, other: Ipv4Addr) -> Result<Worker, Refused> {
    // Jumbo frames on the port: a packet of 1500 bytes leaves in one piece.
    let interface = Interface { index: PORT, mac: MAC, mtu: 9216, up: true, also_accepts: Vec::new() };
    let hop = NextHop { iface: PORT, via: Some(IpAddr::V4(other)) };
    let everything = "0.0.0.0/0".parse().map_err(|_| "no prefix".to_owned())?;
    let flows = (kind.sas * 4).min(FLOWS_MAX).max(Config::default().flows);
    let config = Config { frames: frames.max(1024), flows, ..Config::default() };
    let mut worker = Worker::new(Choice::Only(kind.engine), Random::from_seed(1), config);
    for command in [
        Command::Interface(interface),
        Command::LocalAddresses(vec![IpAddr::V4(own)]),
        Command::Route { prefix: everything, next_hops: vec![hop] },
        Command::Neighbour { iface: PORT, addr: IpAddr::V4(other), mac: MAC },
    ] {
        tell(&mut worker, command)?;
    }
    Ok(worker)
}

fn tell(worker: &mut Worker, command: Command) -> Result<(), Refused> {
    worker.command(Instant::ZERO, command).map_err(|e| e.to_string())
}

fn remote(sa: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x1400_0000 + sa as u32)
}

fn sealer(kind: &Kind, frames: usize) -> Result<Worker, Refused> {
    let mut worker = router(kind, frames, NEAR, FAR)?;
    let inside = "10.1.0.0/16".parse().map_err(|_| "no prefix".to_owned())?;
    let rule = |sa| {
        let to = format!("{}/32", remote(sa)).parse().map_err(|_| "no prefix".to_owned())?;
        let action = RuleAction::Protect(PolicyId(sa as u32));
        Ok::<Rule, Refused>(Rule { selector: Selector::between(inside, to), action })
    };
    let rules = (0..kind.sas).map(rule).collect::<Result<Vec<Rule>, Refused>>()?;
    tell(&mut worker, Command::Policy { iface: PORT, rules })?;
    for sa in 0..kind.sas {
        let policy = PolicyId(sa as u32);
        tell(&mut worker, Command::SwapOutbound { policy, sa: Box::new(kind.spec(sa)) })?;
    }
    Ok(worker)
}

fn opener(kind: &Kind, frames: usize) -> Result<Worker, Refused> {
    let mut worker = router(kind, frames, FAR, NEAR)?;
    for sa in 0..kind.sas {
        let policy = PolicyId(sa as u32);
        tell(&mut worker, Command::InstallInbound { policy, sa: Box::new(kind.spec(sa)) })?;
    }
    Ok(worker)
}

/// How many working sets rounds take in turn, so that `sas` SAs are met.
pub(super) fn turns(sas: usize, set: usize) -> usize {
    (sas.div_ceil(set.max(1)) | 1).min(SETS_MAX)
}

/// The SAs in random order, each once.
pub(super) fn shuffled(sas: usize, random: &mut Random) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sas).collect();
    for at in (1..sas).rev() {
        order.swap(at, random.below(at as u64 + 1) as usize);
    }
    order
}

/// The frames of a working set, each to the SA whose turn it is.
fn frames(
    kind: &Kind,
    set: usize,
    turns: &mut impl Iterator<Item = usize>,
    random: &mut Random,
) -> Vec<Vec<u8>> {
    let mut dst = || remote(turns.next().unwrap_or(0));
    let frame = |packet: &[u8]| ether::frame(MAC, MAC, EtherType::IPV4, packet);
    let header = |protocol, dst| ipv4::Header {
        traffic_class: 0,
        identification: 1,
        df: false,
        ttl: 64,
        protocol,
        src: INSIDE,
        dst,
    };
    if let Size::Capture(trace) = &kind.size {
        let readdress = |packet: &[u8]| {
            let view = Ipv4::new_checked(packet).ok();
            let (protocol, payload) = view.map_or((255, packet), |view| (view.protocol(), view.payload()));
            frame(&header(protocol, dst()).packet(payload))
        };
        return trace.packets(set).map(readdress).collect();
    }
    let sizes = kind.size.packets(set, random);
    sizes
        .into_iter()
        .map(|size| {
            let dst = dst();
            let mut payload = vec![0; size.saturating_sub(28)];
            random.fill(&mut payload);
            let header = header(ipv4::protocol::UDP, dst);
            frame(&header.packet(&udp::datagram((INSIDE, 9), (dst, 9), &payload)))
        })
        .collect()
}

/// Frames of a worker's own with these bytes, behind what is in `batch`.
fn fill<'a>(worker: &mut Worker, frames: impl Iterator<Item = &'a Vec<u8>>, batch: &mut Batch) {
    for bytes in frames {
        if let Some(mut frame) = worker.pool().take(bytes.len())
            && frame.fill(HEADROOM - ether::HEADER_LEN, bytes)
        {
            batch.push(frame);
        }
    }
}

/// Frames through the worker that is not looked at.
fn through(worker: &mut Worker, frames: &[Vec<u8>], burst: usize) -> Vec<Vec<u8>> {
    let (mut sent, mut out) = (Vec::with_capacity(frames.len()), Output::default());
    for chunk in frames.chunks(burst) {
        let mut batch = Batch::new();
        fill(worker, chunk.iter(), &mut batch);
        worker.receive(Instant::ZERO, PORT, &mut batch, &mut out);
        for (_, frame) in out.transmit.drain(..) {
            sent.push(frame.bytes().to_vec());
            worker.pool().put(frame);
        }
    }
    sent
}

/// The same packets in the same order, but for what a router changes: TTL and header checksum, twice. The checksum must
/// be right for the rest.
fn same(plain: &[Vec<u8>], opened: &[Vec<u8>]) -> bool {
    let kept = |frame: &[u8]| {
        let view = Ipv4::new_checked(frame.get(ether::HEADER_LEN..)?).ok()?;
        if !view.checksum_ok() {
            return None;
        }
        let mut packet = view.bytes().to_vec();
        *packet.get_mut(8)? = 0;
        packet.get_mut(10..12)?.fill(0);
        Some(packet)
    };
    let equal = |a: &[u8], b: &[u8]| kept(a).is_some_and(|a| Some(a) == kept(b));
    plain.len() == opened.len() && plain.iter().zip(opened).all(|(a, b)| equal(a, b))
}
