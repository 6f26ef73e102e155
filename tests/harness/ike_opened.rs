//! Whether tshark opens every IKE message of a router's capture with the router's keys.
//!
//! A message's IV is the last block of the one before it in its exchange (RFC 2409 appendix B). tshark takes the last block
//! that it has seen, and loses the thread where a message comes again. It is given each message once, and exchange after
//! exchange, so that nothing depends on how it keeps several apart.

use std::collections::BTreeSet;
use std::path::Path;

use espalier::capture::{Format, Interface, LinkType, Packet, Reader, Writer};
use espalier_wire::Instant;
use espalier_wire::ike::{Cookie, Header};
use espalier_wire::ipv4::{Ipv4, protocol};
use espalier_wire::udp::Udp;

use crate::Scratch;
use crate::attached::{Ended, frames};

/// Of what is hidden, all that has the form it must have once it is opened.
const OPENED: &str = "isakmp.flag_e == 1 && (isakmp.hash || isakmp.id.data)";

/// Nothing of IKE on interface `host` is malformed or stayed closed, and something was hidden.
pub fn ike_opened(ended: &Ended, host: &str) {
    let scratch = Scratch::new();
    let untangled = scratch.path("ike.pcap");
    write(&untangled, messages(&ended.dir.join(format!("{host}.pcapng"))));
    let count = |filter: &str| frames(&untangled, Some(&ended.dir.join("keys")), filter);
    let (hidden, opened) = (count("isakmp.flag_e == 1"), count(OPENED));
    let closed: Vec<&u64> = hidden.iter().filter(|n| !opened.contains(n)).collect();
    let shown = || listing(&untangled, &ended.dir.join("keys"));
    assert!(!hidden.is_empty() && closed.is_empty(), "IKE messages {closed:?} stayed closed:\n{}", shown());
    assert!(count("_ws.malformed").is_empty(), "{}", shown());
}

/// The packets with IKE messages in them, untangled.
fn messages(capture: &Path) -> Vec<(Instant, Vec<u8>)> {
    let (mut reader, mut packet) = (Reader::open(capture).unwrap(), Packet::default());
    let (mut seen, mut exchanges) = (BTreeSet::new(), Vec::new());
    // By the initiator's cookie and the message id, in the order in which they began.
    let mut sorted: Vec<Vec<(Instant, Vec<u8>)>> = Vec::new();
    while reader.read(&mut packet).unwrap() {
        let Some((exchange, message)) = ike(&packet.bytes) else { continue };
        if !seen.insert(message.to_vec()) {
            continue;
        }
        let at = exchanges.iter().position(|e| *e == exchange).unwrap_or_else(|| {
            exchanges.push(exchange);
            sorted.push(Vec::new());
            exchanges.len() - 1
        });
        sorted[at].push((packet.time, packet.bytes.clone()));
    }
    sorted.into_iter().flatten().collect()
}

/// The IKE message in a frame, after the exchange that it is part of.
fn ike(frame: &[u8]) -> Option<((Cookie, u32), &[u8])> {
    let ip = Ipv4::new_checked(frame.get(14..)?).ok().filter(|ip| ip.protocol() == protocol::UDP)?;
    let udp = Udp::new_checked(ip.payload()).ok()?;
    // On port 4500 four zeros tell it from ESP (RFC 3948 section 2.2).
    let message = match udp.dst_port() {
        500 => udp.payload(),
        4500 => udp.payload().strip_prefix(&[0; 4])?,
        _ => return None,
    };
    let (header, _) = Header::read(message).ok()?;
    Some(((header.exchange.initiator, header.exchange.message_id), message))
}

fn write(path: &Path, packets: Vec<(Instant, Vec<u8>)>) {
    let mut writer = Writer::create(path, Format::PcapNanos, "").unwrap();
    let link = writer.interface(&Interface { link: LinkType::ETHERNET, name: None }).unwrap();
    for (time, bytes) in packets {
        writer.packet(link, time, &[&bytes], 0, "").unwrap();
    }
    writer.finish().unwrap();
}

/// What tshark says of each message, for a failure.
fn listing(capture: &Path, keys: &Path) -> String {
    let mut command = std::process::Command::new("tshark");
    let done = command.env("WIRESHARK_CONFIG_DIR", keys).arg("-r").arg(capture).output().unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned()
}
