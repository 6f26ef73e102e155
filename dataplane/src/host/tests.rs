//! Host mode, end to end: what is sealed by one worker is opened by another.

use std::net::IpAddr;

use espalier_wire::ipv4::Ipv4;
use espalier_wire::plane::{
    Command, DfBit, Direction, Expiry, Fragmentation, Lifetime, Limit, Mode, PolicyId, PortRange, Rule,
    RuleAction, SaSpec, Selector, UdpPorts,
};
use espalier_wire::random::Random;
use espalier_wire::{Duration, Spi, Transform};
use proptest::prelude::*;

use super::*;
use crate::crypto::Choice;
use crate::mem::Pool;
use crate::stage::fragment;
use crate::testing::{self, spec, with_transform};
use crate::worker::Config;

const POLICY: PolicyId = PolicyId(1);

fn everything(action: RuleAction) -> Vec<Rule> {
    ["0.0.0.0/0", "::/0"]
        .map(|any| Rule { selector: Selector::between(any.parse().unwrap(), any.parse().unwrap()), action })
        .to_vec()
}

fn worker() -> Worker {
    Worker::new(Choice::Auto, Random::from_seed(1), Config::default())
}

fn sealer(spec: &SaSpec) -> Worker {
    let mut worker = worker();
    let rules = everything(RuleAction::Protect(POLICY));
    worker.command(Instant::ZERO, Command::Policy { iface: HOST, rules }).unwrap();
    let sa = Box::new(spec.clone());
    worker.command(Instant::ZERO, Command::SwapOutbound { policy: POLICY, sa }).unwrap();
    worker
}

fn opener(spec: &SaSpec) -> Worker {
    let mut worker = worker();
    let sa = Box::new(spec.clone());
    worker.command(Instant::ZERO, Command::InstallInbound { policy: POLICY, sa }).unwrap();
    worker
}

fn batch(worker: &mut Worker, packets: &[Vec<u8>]) -> Batch {
    packets.iter().map(|packet| worker.pool().copy_of(packet).unwrap()).collect()
}

type Fates = Vec<(Vec<u8>, HostFate)>;

fn fates(out: &HostOutput) -> Fates {
    out.packets.iter().map(|(frame, fate)| (frame.bytes().to_vec(), *fate)).collect()
}

fn seal(worker: &mut Worker, packets: &[Vec<u8>]) -> Fates {
    let (mut frames, mut out) = (batch(worker, packets), HostOutput::default());
    worker.seal_ip(Instant::ZERO, &mut frames, &mut out);
    fates(&out)
}

fn open(worker: &mut Worker, packets: &[Vec<u8>]) -> Fates {
    let (mut frames, mut out) = (batch(worker, packets), HostOutput::default());
    worker.open_ip(Instant::ZERO, &mut frames, &mut out);
    fates(&out)
}

fn bytes(fates: &Fates) -> Vec<Vec<u8>> {
    fates.iter().map(|(bytes, _)| bytes.clone()).collect()
}

fn v4(len: usize) -> Vec<u8> {
    testing::udp4([10, 1, 1, 1], [20, 1, 1, 1], 1000, 2000, len)
}

fn any_spec() -> impl Strategy<Value = SaSpec> {
    let v6 = |n: u128| IpAddr::from(std::net::Ipv6Addr::from_bits(0xfd00 << 112 | n));
    let udp = proptest::option::of(Just(UdpPorts { src: 4500, dst: 4500 }));
    (proptest::sample::select(Transform::ALL), any::<bool>(), any::<bool>(), udp, any::<bool>()).prop_map(
        move |(transform, esn, transport, udp_encap, outer_v6)| {
            let mut spec = with_transform(&spec(0x1234), transform);
            if outer_v6 {
                (spec.src, spec.dst) = (v6(1), v6(2));
            }
            let mode = if transport { Mode::Transport } else { Mode::Tunnel };
            SaSpec { esn, mode, udp_encap, ..spec }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Every transform, mode, family and length; transport mode keeps the packet's addresses, so the SA has them.
    #[test]
    fn what_is_sealed_opens_to_the_same_bytes(spec in any_spec(), lens in proptest::collection::vec(0usize..3000, 1..6), inner_v6: bool) {
        let packets: Vec<_> = lens.iter().map(|len| if inner_v6 { testing::udp6(5, 6, *len) } else { v4(*len) }).collect();
        let mut spec = spec;
        if spec.mode == Mode::Transport {
            let flow = Headers::read(&packets[0]).unwrap().flow;
            (spec.src, spec.dst) = (flow.src(), flow.dst());
        }
        let (mut a, mut b) = (sealer(&spec), opener(&spec));
        let sealed = seal(&mut a, &packets);
        prop_assert!(sealed.iter().all(|(_, fate)| *fate == HostFate::Passed));
        for (outer, _) in &sealed {
            let headers = Headers::read(outer).unwrap();
            prop_assert_eq!(headers.len as usize, outer.len());
            if let Ok(v) = Ipv4::new_checked(outer) {
                prop_assert!(v.checksum_ok());
            }
        }
        let opened = open(&mut b, &bytes(&sealed));
        prop_assert_eq!(bytes(&opened), packets);
        let again = open(&mut b, &bytes(&sealed));
        prop_assert!(again.iter().all(|(_, fate)| *fate == HostFate::Drop(Cause::Replay)));
    }

    /// Any bytes, and any change to a good packet: a fate each, never a panic, and never a wrong packet let through.
    #[test]
    fn any_bytes(spec in any_spec(), noise in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..120, flip in 1u8..) {
        let (mut a, mut b) = (sealer(&spec), opener(&spec));
        let mut changed = bytes(&seal(&mut a, &[v4(60)])).remove(0);
        let at = at % changed.len();
        changed[at] ^= flip;
        for packets in [vec![noise.clone(), changed], vec![noise]] {
            prop_assert_eq!(seal(&mut a, &packets).len(), packets.len());
            prop_assert!(open(&mut b, &packets).len() <= packets.len());
        }
    }
}

#[test]
fn bypassed_discarded_malformed_and_sealed_keep_their_order() {
    let mut a = sealer(&spec(7));
    let rule = |dst: &str, action| Rule {
        selector: Selector::between("0.0.0.0/0".parse().unwrap(), dst.parse().unwrap()),
        action,
    };
    let mut rules = vec![
        rule("20.1.1.1/32", RuleAction::Bypass),
        rule("20.1.1.2/32", RuleAction::Discard),
        rule("20.1.1.0/24", RuleAction::Protect(POLICY)),
    ];
    rules[0].selector.dst_ports = PortRange::one(53);
    a.command(Instant::ZERO, Command::Policy { iface: HOST, rules }).unwrap();
    let to = |host, port| testing::udp4([10, 1, 1, 1], [20, 1, 1, host], 9, port, 4);
    let packets = [to(1, 53), to(1, 54), to(2, 1), vec![0x45, 0], to(3, 1), testing::udp6(1, 2, 3)];
    let found: Vec<_> = seal(&mut a, &packets).iter().map(|(_, fate)| *fate).collect();
    use HostFate::{Bypassed, Drop, Passed};
    let discarded = Drop(Cause::PolicyDiscard);
    assert_eq!(found, [Bypassed, Passed, discarded, Drop(Cause::Malformed), Passed, Bypassed]);
    assert_eq!(a.counters().dropped.total(), 2);
}

#[test]
fn integrity_unknown_spi_selector_and_ecn_are_told_apart() {
    let mut packet = v4(50);
    let mut a = sealer(&spec(7));
    let good = bytes(&seal(&mut a, &[packet.clone(), packet.clone(), packet.clone()]));
    let mut forged = good[0].clone();
    *forged.last_mut().unwrap() ^= 1;
    let mut stranger = good[0].clone();
    stranger[23] ^= 1;
    let mut marked = good[2].clone();
    marked[1] |= 3;
    testing::fix_checksum(&mut marked);
    let mut b = opener(&spec(7));
    let found = open(&mut b, &[forged, stranger, good[0].clone(), marked]);
    let causes: Vec<_> = found.iter().map(|(_, fate)| *fate).collect();
    let drop = HostFate::Drop;
    assert_eq!(causes, [drop(Cause::Integrity), drop(Cause::UnknownSpi), HostFate::Passed, drop(Cause::Ecn)]);
    let net = |text: &str| text.parse().unwrap();
    let narrow =
        SaSpec { selector: Some(Selector::between(net("10.1.1.0/24"), net("20.1.2.0/24"))), ..spec(7) };
    assert_eq!(open(&mut opener(&narrow), &good[..1])[0].1, drop(Cause::PolicyMismatch));
    let counted = b.counters().sas[0].2;
    assert_eq!((counted.packets, counted.bytes, counted.integrity, counted.other), (1, 78, 1, 1));
    packet.push(0);
    assert_eq!(seal(&mut a, &[packet])[0].0.len(), good[0].len(), "padding behind the packet is cut off");
}

#[test]
fn the_outer_header_is_what_rfc_4301_says() {
    let mut packet = v4(100);
    packet[1] = 0xb8 | 2;
    packet[6] = 0x40;
    testing::fix_checksum(&mut packet);
    for (df_bit, expected) in [(DfBit::Copy, true), (DfBit::Clear, false), (DfBit::Set, true)] {
        let sealed = seal(&mut sealer(&SaSpec { df_bit, ..spec(7) }), &[packet.clone()]);
        let outer = Ipv4::new_checked(&sealed[0].0).unwrap();
        assert_eq!(
            (outer.df(), outer.traffic_class(), outer.ttl(), outer.protocol()),
            (expected, 0xba, 64, 50)
        );
    }
}

#[test]
fn the_longest_packets_go_through_and_longer_ones_have_no_room() {
    let gcm = with_transform(&spec(7), Transform::Aes128Gcm);
    let (mut a, mut b) = (sealer(&gcm), opener(&gcm));
    let room = 65_535 - 20 - 8 - 8 - 2 - 16;
    let packets = [v4(room - 28 - 3), v4(room - 28 + 1)];
    let sealed = seal(&mut a, &packets);
    assert_eq!((sealed[0].1, sealed[1].1), (HostFate::Passed, HostFate::Drop(Cause::NoRoom)));
    assert_eq!(open(&mut b, &[sealed[0].0.clone()])[0].0, packets[0]);
}

#[test]
fn a_packet_too_long_for_the_path_is_cut_before_or_after_or_refused() {
    let narrow = SaSpec { mtu: Some(600), ..spec(7) };
    let before = seal(&mut sealer(&narrow), &[v4(1400)]);
    assert!(before.len() == 3 && before.iter().all(|(bytes, _)| bytes.len() <= 600));
    let inner = open(&mut opener(&narrow), &bytes(&before));
    assert!(
        inner
            .iter()
            .all(|(packet, fate)| *fate == HostFate::Passed
                && Ipv4::new_checked(packet).unwrap().is_fragment())
    );
    let after = SaSpec { fragmentation: Fragmentation::AfterEncryption, ..narrow.clone() };
    let sealed = seal(&mut sealer(&after), &[v4(1400)]);
    assert!(sealed.len() == 3 && Ipv4::new_checked(&sealed[2].0).unwrap().is_fragment());
    let (mut late, mut opened) = (opener(&after), HostOutput::default());
    let mut pieces = bytes(&sealed);
    pieces.rotate_left(1);
    let mut first = batch(&mut late, &pieces);
    let mut rest = first.split_off(2);
    late.open_ip(Instant::ZERO, &mut first, &mut opened);
    assert!(opened.packets.is_empty(), "held");
    late.open_ip(Instant::ZERO, &mut rest, &mut opened);
    assert_eq!(fates(&opened), [(v4(1400), HostFate::Passed)]);
    let mut lone = batch(&mut late, &pieces[..1]);
    opened.packets.clear();
    late.open_ip(Instant::ZERO, &mut lone, &mut opened);
    late.flush_ip(&mut opened);
    assert_eq!(opened.packets[0].1, HostFate::Drop(Cause::ReassemblyTimeout));
    let mut df = v4(1400);
    df[6] = 0x40;
    assert_eq!(seal(&mut sealer(&narrow), &[df])[0].1, HostFate::Drop(Cause::TooBig));
}

#[test]
fn lifetimes_and_sequence_numbers_end() {
    let bytes = |n| Limit { time: None, bytes: Some(n) };
    let lifetime = Lifetime { soft: bytes(100), hard: bytes(200) };
    let mut a = sealer(&SaSpec { lifetime, ..spec(7) });
    let mut out = HostOutput::default();
    let mut frames = batch(&mut a, &vec![v4(50); 5]);
    a.seal_ip(Instant::ZERO, &mut frames, &mut out);
    let lost = |fates: &Fates| fates.iter().filter(|(_, fate)| *fate != HostFate::Passed).count();
    assert_eq!(lost(&fates(&out)), 2, "78 bytes each: the fourth finds 234 used");
    let told: Vec<_> = out
        .notices
        .iter()
        .map(|notice| match notice {
            Notice::Expiry { expiry, spi: Spi(7), direction: Direction::Outbound, .. } => Some(*expiry),
            _ => None,
        })
        .collect();
    assert_eq!(told, [Some(Expiry::Soft), Some(Expiry::Hard)]);
    assert_eq!(seal(&mut a, &[v4(1)])[0].1, HostFate::Drop(Cause::NoSa));
    let mut b = sealer(&spec(7));
    b.resume_outbound(POLICY, Spi(7), u64::from(u32::MAX));
    let ends = seal(&mut b, &[v4(1), v4(1)]);
    assert_eq!((ends[0].1, ends[1].1), (HostFate::Passed, HostFate::Drop(Cause::SequenceExhausted)));
    let timed =
        Lifetime { soft: Limit::default(), hard: Limit { time: Some(Duration::from_s(9)), bytes: None } };
    let mut c = opener(&SaSpec { lifetime: timed, ..spec(7) });
    let mut notices = Vec::new();
    c.expire(Instant::ZERO + Duration::from_s(9), &mut notices);
    assert!(notices.len() == 1 && c.counters().sas.is_empty());
}

#[test]
fn extended_sequence_numbers_cross_2_32() {
    let extended = SaSpec { esn: true, ..spec(7) };
    let (mut a, mut b) = (sealer(&extended), opener(&extended));
    let near = u64::from(u32::MAX) - 20;
    for base in [near / 2, near] {
        a.resume_outbound(POLICY, Spi(7), base);
        let sealed = seal(&mut a, &vec![v4(9); 50]);
        let opened = open(&mut b, &bytes(&sealed));
        assert!(opened.iter().all(|(_, fate)| *fate == HostFate::Passed), "{base}");
    }
}

#[test]
fn fragments_of_datagrams_that_are_not_for_an_sa_pass_as_they_came() {
    let udp_encap = Some(UdpPorts { src: 4500, dst: 4500 });
    let spec = SaSpec { udp_encap, ..spec(0x1234) };
    let datagram = testing::udp4([10, 0, 0, 1], [10, 0, 0, 2], 5060, 5061, 1000);
    let (mut pool, mut cut) = (Pool::new(8), Vec::new());
    let frame = pool.copy_of(&datagram).unwrap();
    fragment::cut(frame, &Headers::read(&datagram).unwrap(), 300, 7, &mut pool, &mut cut).unwrap();
    let pieces: Vec<Vec<u8>> = cut.iter().map(|piece| piece.bytes().to_vec()).collect();
    assert!(pieces.len() > 3);
    let in_order = open(&mut opener(&spec), &pieces);
    assert_eq!(bytes(&in_order), pieces);
    assert!(in_order.iter().all(|(_, fate)| *fate == HostFate::Bypassed));
    // The second before the first: held until the first tells whose it is.
    let mut swapped = pieces.clone();
    swapped.swap(0, 1);
    let late = open(&mut opener(&spec), &swapped);
    let mut came = bytes(&late);
    came.sort();
    swapped.sort();
    assert_eq!(came, swapped);
    assert!(late.iter().all(|(_, fate)| *fate == HostFate::Bypassed));
}

/// A first fragment that is no datagram tells nothing of an SA in UDP, and nothing is remembered of it.
#[test]
fn fragments_of_other_protocols_leave_nothing_behind() {
    let udp_encap = Some(UdpPorts { src: 4500, dst: 4500 });
    let mut worker = opener(&SaSpec { udp_encap, ..spec(0x1234) });
    let mut first = v4(600);
    first[9] = 1;
    first[6] = 0x20;
    testing::fix_checksum(&mut first);
    assert_eq!(open(&mut worker, &[first.clone()]), [(first, HostFate::Bypassed)]);
    assert_eq!(worker.next_deadline(), None);
}
