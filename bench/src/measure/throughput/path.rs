//! The whole path of a router on one core: parse, policy or SPI look-up, sequence or window, encapsulation, crypto,
//! counters, route, transmission.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant as Wall};

use espalier_dataplane::batch::Batch;
use espalier_dataplane::fate::Output;
use espalier_dataplane::frame::HEADROOM;
use espalier_dataplane::worker::{Config, Worker};
use espalier_wire::ether::{self, EtherType};
use espalier_wire::plane::{
    Command, DfBit, Direction, Fragmentation, Interface, Lifetime, Mode, NextHop, PolicyId, Rule, RuleAction,
    SaSpec, Secret, Selector,
};
use espalier_wire::random::Random;
use espalier_wire::{IfIndex, Instant, Mac, Spi, ipv4, udp};

use super::{Cell, Refused, Sample, WORKING_SET};

const PORT: IfIndex = IfIndex(0);
const MAC: Mac = Mac([2, b'E', b'S', b'P', 0, 1]);
const NEAR: Ipv4Addr = Ipv4Addr::new(192, 1, 2, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(192, 1, 2, 2);
/// Behind the near end; the far end's networks are one a SA in 20.0.0.0/8.
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);

fn remote(sa: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x1400_0000 + sa as u32)
}

fn spec(cell: &Cell, sa: usize) -> SaSpec {
    let (key, auth_key) = cell.secrets(sa);
    SaSpec {
        spi: Spi(0x1_0000 + sa as u32),
        src: IpAddr::V4(NEAR),
        dst: IpAddr::V4(FAR),
        mode: Mode::Tunnel,
        transform: cell.transform,
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

/// A router with one port, whose own address is `own`: everything goes on to the other end.
fn router(cell: &Cell, own: Ipv4Addr, other: Ipv4Addr) -> Result<Worker, Refused> {
    // Jumbo frames on the port: a packet of 1500 bytes leaves in one piece.
    let interface = Interface { index: PORT, mac: MAC, mtu: 9216, up: true, also_accepts: Vec::new() };
    let hop = NextHop { iface: PORT, via: Some(IpAddr::V4(other)) };
    let everything = "0.0.0.0/0".parse().map_err(|_| "no prefix".to_owned())?;
    let mut worker = Worker::new(cell.choice(), Random::from_seed(1), Config::default());
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

fn sealer(cell: &Cell) -> Result<Worker, Refused> {
    let mut worker = router(cell, NEAR, FAR)?;
    let inside = "10.1.0.0/16".parse().map_err(|_| "no prefix".to_owned())?;
    let rule = |sa| {
        let to = format!("{}/32", remote(sa)).parse().map_err(|_| "no prefix".to_owned())?;
        let action = RuleAction::Protect(PolicyId(sa as u32));
        Ok::<Rule, Refused>(Rule { selector: Selector::between(inside, to), action })
    };
    let rules = (0..cell.sas).map(rule).collect::<Result<Vec<Rule>, Refused>>()?;
    tell(&mut worker, Command::Policy { iface: PORT, rules })?;
    for sa in 0..cell.sas {
        let policy = PolicyId(sa as u32);
        tell(&mut worker, Command::SwapOutbound { policy, sa: Box::new(spec(cell, sa)) })?;
    }
    Ok(worker)
}

fn opener(cell: &Cell) -> Result<Worker, Refused> {
    let mut worker = router(cell, FAR, NEAR)?;
    for sa in 0..cell.sas {
        let policy = PolicyId(sa as u32);
        tell(&mut worker, Command::InstallInbound { policy, sa: Box::new(spec(cell, sa)) })?;
    }
    Ok(worker)
}

/// The frames of a working set.
fn frames(cell: &Cell, random: &mut Random) -> Vec<Vec<u8>> {
    let sizes = cell.size.packets(random);
    sizes
        .into_iter()
        .map(|size| {
            let (src, dst) = (INSIDE, remote(random.below(cell.sas as u64) as usize));
            let mut payload = vec![0; size.saturating_sub(28)];
            random.fill(&mut payload);
            let protocol = ipv4::protocol::UDP;
            let (identification, ttl) = (1, 64);
            let header =
                ipv4::Header { traffic_class: 0, identification, df: false, ttl, protocol, src, dst };
            ether::frame(
                MAC,
                MAC,
                EtherType::IPV4,
                &header.packet(&udp::datagram((src, 9), (dst, 9), &payload)),
            )
        })
        .collect()
}

/// Frames of a worker's own with these bytes.
fn load(worker: &mut Worker, frames: &[Vec<u8>], batch: &mut Batch) {
    for bytes in frames {
        if let Some(mut frame) = worker.pool().take(bytes.len()) {
            frame.fill(HEADROOM - ether::HEADER_LEN, bytes);
            batch.push(frame);
        }
    }
}

/// Through a worker in bursts: how long it had, and the frames that came out.
fn through(worker: &mut Worker, frames: &[Vec<u8>], burst: usize) -> (Duration, Vec<Vec<u8>>) {
    let (mut took, mut sent) = (Duration::ZERO, Vec::with_capacity(frames.len()));
    let mut batches: Vec<Batch> = Vec::new();
    for chunk in frames.chunks(burst) {
        let mut batch = Batch::new();
        load(worker, chunk, &mut batch);
        batches.push(batch);
    }
    let mut out = Output::default();
    for mut batch in batches {
        let start = Wall::now();
        worker.receive(Instant::ZERO, PORT, &mut batch, &mut out);
        took += start.elapsed();
        for (_, frame) in out.transmit.drain(..) {
            sent.push(frame.bytes().to_vec());
            worker.pool().put(frame);
        }
    }
    (took, sent)
}

pub(super) fn look(cell: &Cell, round: u64, each: Duration) -> Result<(Sample, bool), Refused> {
    let mut random = Random::from_seed(round).fork("bench path");
    let plain = frames(cell, &mut random);
    let (mut sealer, mut opener) = (sealer(cell)?, opener(cell)?);
    let (mut elapsed, mut packets, mut warm, mut verified) = (Duration::ZERO, 0, false, true);
    while elapsed < each || !warm {
        let (sealing, sealed) = through(&mut sealer, &plain, cell.burst);
        let took = match cell.direction {
            Direction::Outbound => {
                verified &= same(&plain, &through(&mut opener, &sealed, cell.burst).1);
                sealing
            }
            Direction::Inbound => {
                let (opening, opened) = through(&mut opener, &sealed, cell.burst);
                verified &= same(&plain, &opened);
                opening
            }
        };
        if sealed.len() != WORKING_SET {
            return Err(format!("{} by {}: packets were lost", cell.transform, cell.engine));
        }
        if warm {
            elapsed += took;
            packets += sealed.len() as u64;
        }
        warm = true;
    }
    Ok((Sample { elapsed_s: elapsed.as_secs_f64(), packets }, verified))
}

/// The same packets in the same order, but for what a router changes: TTL and header checksum, twice. The checksum must
/// be right for the rest.
fn same(plain: &[Vec<u8>], opened: &[Vec<u8>]) -> bool {
    let kept = |frame: &[u8]| {
        let mut packet = frame.get(ether::HEADER_LEN..)?.to_vec();
        if !ipv4::Ipv4::new_checked(&packet).ok()?.checksum_ok() {
            return None;
        }
        *packet.get_mut(8)? = 0;
        packet.get_mut(10..12)?.fill(0);
        Some(packet)
    };
    let equal = |a: &[u8], b: &[u8]| kept(a).is_some_and(|a| Some(a) == kept(b));
    plain.len() == opened.len() && plain.iter().zip(opened).all(|(a, b)| equal(a, b))
}
