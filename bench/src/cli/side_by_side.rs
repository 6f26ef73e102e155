//! `espalier` without a verb: real traffic through every transform and back, side by side.
//!
//! Three of the project's captures, embedded, pass a sealing and an opening worker in host mode. What comes back is
//! compared with what went in, outside the timed part; a transform that returns one wrong byte fails the run.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use espalier_dataplane::crypto::Choice;
use espalier_dataplane::host::{HOST, HostFate, HostOutput};
use espalier_dataplane::worker::{Config, Worker};
use espalier_wire::plane::{Command, PolicyId};
use espalier_wire::random::Random;
use espalier_wire::{Instant as Now, Transform};

use super::{Failure, print};
use crate::capture::link::locate;
use crate::capture::{Packet, Reader};
use crate::manifest::Manifest;
use crate::sa_file::SaFile;

const CAPTURES: [(&str, &[u8]); 3] = [
    ("ping", include_bytes!("../../../pcaps/ping.pcap")),
    ("dns", include_bytes!("../../../pcaps/dns.pcap")),
    ("voice", include_bytes!("../../../pcaps/voice.pcap")),
];
/// Packets that a worker takes at once.
const BURST: usize = 64;
/// Passes over the traffic; the median is told.
const PASSES: usize = 7;

/// One transform over the traffic.
struct Row {
    transform: Transform,
    esp_bytes: usize,
    seal: Duration,
    open: Duration,
}

pub(super) fn run() -> Result<(), Failure> {
    let traffic = traffic()?;
    let bytes: usize = traffic.iter().map(Vec::len).sum();
    let rows = Transform::ALL.iter().map(|t| row(*t, &traffic)).collect::<Result<Vec<_>, _>>()?;
    let here = Manifest::here("real", None);
    let mut text = String::new();
    let names: Vec<&str> = CAPTURES.iter().map(|(name, _)| *name).collect();
    let _ = writeln!(
        text,
        "Real traffic ({}: {} IP packets, {} bytes on average) through ESP tunnels and back, byte for byte.\n\
         One core, bursts of {BURST}, median of {PASSES} passes; {} ({}), commit {}.\n",
        names.join(", "),
        traffic.len(),
        bytes / traffic.len().max(1),
        here.cpu,
        here.kernel,
        here.commit,
    );
    let _ = writeln!(
        text,
        "transform          as IOS spells it             engine    overhead   encap ns   decap ns"
    );
    for row in &rows {
        let per_packet = |time: Duration| time.as_nanos() / traffic.len().max(1) as u128;
        let overhead = 100.0 * (row.esp_bytes as f64 / bytes.max(1) as f64 - 1.0);
        let engine = Choice::Auto.engine(row.transform).map_or("", |e| e.id().name());
        let _ = writeln!(
            text,
            "{:<18} {:<28} {engine:<8} {overhead:>8.1} % {:>10} {:>10}",
            row.transform.name(),
            row.transform.ios(),
            per_packet(row.seal),
            per_packet(row.open),
        );
    }
    let _ = writeln!(
        text,
        "\nYour own capture: espalier encap --sa SA.toml IN.pcap -o OUT.pcap (see espalier --help)"
    );
    print(&text)
}

/// The IP packets of the embedded captures.
fn traffic() -> Result<Vec<Vec<u8>>, Failure> {
    let mut packets = Vec::new();
    for (name, bytes) in CAPTURES {
        let broken = |e: &dyn std::fmt::Display| Failure::Check(format!("{name}: {e}"));
        let mut reader = Reader::from_bytes(bytes.to_vec()).map_err(|e| broken(&e))?;
        let mut packet = Packet::default();
        while reader.read(&mut packet).map_err(|e| broken(&e))? {
            let link = reader.interfaces().get(packet.interface).map(|i| i.link);
            let ip = link.and_then(|link| locate(link, &packet.bytes)).map(|located| located.ip);
            packets.extend(ip.and_then(|ip| packet.bytes.get(ip)).map(<[u8]>::to_vec));
        }
    }
    Ok(packets)
}

fn row(transform: Transform, traffic: &[Vec<u8>]) -> Result<Row, Failure> {
    let mut passes = Vec::new();
    for _ in 0..PASSES {
        passes.push(one_pass(transform, traffic)?);
    }
    let median = |time: fn(&Row) -> Duration| {
        let mut times: Vec<Duration> = passes.iter().map(time).collect();
        times.sort_unstable();
        times.get(PASSES / 2).copied().unwrap_or_default()
    };
    let (seal, open) = (median(|r| r.seal), median(|r| r.open));
    Ok(Row { transform, esp_bytes: passes.first().map_or(0, |r| r.esp_bytes), seal, open })
}

/// Seal and open the traffic with fresh keys.
fn one_pass(transform: Transform, traffic: &[Vec<u8>]) -> Result<Row, Failure> {
    let (mut sealer, mut opener) = workers(transform)?;
    let mut row = Row { transform, esp_bytes: 0, seal: Duration::ZERO, open: Duration::ZERO };
    for burst in traffic.chunks(BURST) {
        let mut batch = burst.iter().filter_map(|packet| sealer.pool().copy_of(packet)).collect();
        let mut sealed = HostOutput::default();
        let start = Instant::now();
        sealer.seal_ip(Now::ZERO, &mut batch, &mut sealed);
        row.seal += start.elapsed();
        row.esp_bytes += sealed.packets.iter().map(|(frame, _)| frame.len()).sum::<usize>();
        batch.extend(sealed.packets.drain(..).map(|(frame, _)| frame));
        let mut opened = HostOutput::default();
        let start = Instant::now();
        opener.open_ip(Now::ZERO, &mut batch, &mut opened);
        row.open += start.elapsed();
        let same = opened.packets.len() == burst.len()
            && opened.packets.iter().zip(burst).all(|((frame, fate), packet)| {
                *fate == HostFate::Passed && frame.bytes() == packet.as_slice()
            });
        if !same {
            return Err(Failure::Check(format!("{transform}: other packets came back than went in")));
        }
        opened.packets.into_iter().for_each(|(frame, _)| sealer.pool().put(frame));
    }
    Ok(row)
}

/// A sealing and an opening worker with one SA of random keys.
fn workers(transform: Transform) -> Result<(Worker, Worker), Failure> {
    let mut entropy = [0; 32 + 128];
    getrandom::fill(&mut entropy).map_err(|e| Failure::Check(format!("no randomness for keys: {e}")))?;
    let (seed, keys) = entropy.split_at(32);
    let seed: [u8; 32] = seed.try_into().unwrap_or_default();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let (key, auth) = (transform.key_len(), transform.auth_key_len());
    let text = format!(
        "[[sa]]\nspi = 0x1000\nsrc = \"172.16.172.53\"\ndst = \"172.16.172.69\"\ntransform = \"{transform}\"\n\
         key = \"{}\"\nauth_key = \"{}\"\n",
        hex(keys.get(..key).unwrap_or_default()),
        hex(keys.get(key..key + auth).unwrap_or_default()),
    );
    let sas = SaFile::parse("built in", &text).map_err(|e| Failure::Check(e.to_string()))?;
    let worker = |commands: Vec<Command>| -> Result<Worker, Failure> {
        let mut worker = Worker::new(Choice::Auto, Random::from_entropy(seed), Config::default());
        for command in commands {
            worker.command(Now::ZERO, command).map_err(|e| Failure::Check(e.to_string()))?;
        }
        Ok(worker)
    };
    let (policy, sa) = (PolicyId(0), Box::new(sas.sas[0].clone()));
    let rules = Command::Policy { iface: HOST, rules: sas.rules() };
    Ok((
        worker(vec![rules, Command::SwapOutbound { policy, sa: sa.clone() }])?,
        worker(vec![Command::InstallInbound { policy, sa }])?,
    ))
}
