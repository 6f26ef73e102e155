//! Engines against the scalar twin: random lengths, offsets, mixed batches, damage, and jobs that are no packets.

use super::*;

/// An SA's two keys by one engine, and the same by the twin.
struct Sa {
    outbound: Key,
    inbound: Key,
    twin_outbound: Key,
}

impl Sa {
    fn random(engine: &dyn Engine, transform: Transform, random: &mut Bytes) -> Self {
        let (key, auth) = (random.vec(transform.key_len()), random.vec(transform.auth_key_len()));
        let esn = random.below(2) == 1;
        let make = |e: &dyn Engine, d| e.key(transform, d, &key, &auth, esn).unwrap();
        Self {
            outbound: make(engine, Direction::Outbound),
            inbound: make(engine, Direction::Inbound),
            twin_outbound: make(EngineId::Scalar.engine(), Direction::Outbound),
        }
    }
}

/// A packet of `payload` bytes at an odd place in a buffer with guards around it.
struct Packet {
    buffer: Vec<u8>,
    at: usize,
    len: usize,
    seq_hi: u32,
}

const GUARD: usize = 96;

impl Packet {
    fn random(transform: Transform, payload: usize, random: &mut Bytes) -> Self {
        let len = transform.sealed_len(payload) + odd(transform, random);
        Self::of_len(len, random)
    }

    fn of_len(len: usize, random: &mut Bytes) -> Self {
        let at = GUARD + random.below(64);
        Self { buffer: random.vec(at + len + GUARD), at, len, seq_hi: random.number() as u32 }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.buffer[self.at..self.at + self.len]
    }

    /// Where the ICV begins in the buffer.
    fn icv_at(&self, transform: Transform) -> usize {
        self.at + self.len - transform.icv_len()
    }
}

/// Bytes more than a sender aligns the text to: a cipher without blocks takes any length.
fn odd(transform: Transform, random: &mut Bytes) -> usize {
    if transform.cipher().block_len() == 4 { random.below(4) } else { 0 }
}

fn jobs<'a>(sas: &'a [Sa], packets: &'a mut [Packet], key: impl Fn(&'a Sa) -> &'a Key) -> Vec<Job<'a>> {
    packets
        .iter_mut()
        .enumerate()
        .map(|(i, p)| Job {
            verified: true,
            ..Job::new(key(&sas[i % sas.len()]), &mut p.buffer[p.at..p.at + p.len], p.seq_hi)
        })
        .collect()
}

/// Sealed by the engine and by the twin, the buffers are equal to the last guard byte; opened again they are as
/// before, but for the packets damaged under way: those alone fail.
fn check(sas: &[Sa], mut packets: Vec<Packet>, random: &mut Bytes) {
    let plain: Vec<Vec<u8>> = packets.iter().map(|p| p.buffer.clone()).collect();
    seal(&mut jobs(sas, &mut packets, |sa| &sa.outbound));
    for (i, packet) in packets.iter().enumerate() {
        let key = &sas[i % sas.len()].twin_outbound;
        let mut twin = plain[i].clone();
        assert!(run_one(key, &mut twin[packet.at..packet.at + packet.len], packet.seq_hi));
        assert!(
            twin == packet.buffer,
            "{} packet {i}, {} bytes, differs from the twin's",
            key.transform,
            packet.len
        );
    }
    let damaged: Vec<bool> = (0..packets.len()).map(|_| random.below(4) == 0).collect();
    for (packet, _) in packets.iter_mut().zip(&damaged).filter(|(_, d)| **d) {
        let bit = random.below(packet.len * 8);
        packet.bytes()[bit / 8] ^= 1 << (bit % 8);
    }
    let mut batch = jobs(sas, &mut packets, |sa| &sa.inbound);
    open(&mut batch);
    let verified: Vec<bool> = batch.iter().map(|job| job.verified).collect();
    for (i, packet) in packets.iter().enumerate() {
        let transform = sas[i % sas.len()].inbound.transform;
        assert_eq!(verified[i], !damaged[i], "{transform} packet {i}, {} bytes", packet.len);
        let icv_at = packet.icv_at(transform);
        let (before, after) = (&packet.buffer[..packet.at], &packet.buffer[packet.at + packet.len..]);
        assert!(before == &plain[i][..packet.at] && after == &plain[i][packet.at + packet.len..]);
        assert!(damaged[i] || packet.buffer[..icv_at] == plain[i][..icv_at], "{transform} packet {i}");
    }
}

#[test]
fn each_transform_alone() {
    let mut random = Bytes(1);
    for (engine, transform) in covered() {
        for round in 0..12 {
            let sas: Vec<Sa> =
                (0..[1, 1, 3, 40][round % 4]).map(|_| Sa::random(engine, transform, &mut random)).collect();
            let below = [120, 1500, 9000][round % 3];
            let packets =
                (0..random.below(70)).map(|_| Packet::random(transform, random.below(below), &mut random));
            let packets: Vec<Packet> = packets.collect();
            check(&sas, packets, &mut random);
        }
    }
}

/// More packets in one call than any queue or window holds.
#[test]
fn a_long_batch() {
    let mut random = Bytes(7);
    for (engine, transform) in covered().filter(|(engine, _)| engine.id() != EngineId::Scalar) {
        let sas = [Sa::random(engine, transform, &mut random)];
        let packets = (0..601).map(|i| Packet::random(transform, i * 7 % 150, &mut random)).collect();
        check(&sas, packets, &mut random);
    }
}

/// Packets that are all of one length, and with one key or some, which kernels have shorter ways for.
#[test]
fn batches_of_one_length() {
    let mut random = Bytes(8);
    for (engine, transform) in covered().filter(|(engine, _)| engine.id() != EngineId::Scalar) {
        for (n, payload) in [0, 14, 30, 44, 46, 60, 62, 64, 76, 78, 94, 110, 125].into_iter().enumerate() {
            let len = transform.sealed_len(payload);
            for (keys, len) in [([1, 3][n % 2], len), ([3, 1][n % 2], len + odd(transform, &mut random))] {
                let sas: Vec<Sa> = (0..keys).map(|_| Sa::random(engine, transform, &mut random)).collect();
                let count = [3, 8, 16, 67][random.below(4)];
                let packets = (0..count).map(|_| Packet::of_len(len, &mut random)).collect();
                check(&sas, packets, &mut random);
            }
        }
    }
}

/// Whichever lane of a full register a damaged packet lies in, it fails alone, and its neighbours open to their texts. Its own
/// is not decrypted (RFC 4303 section 3.4.4) where `simd` looks at the ICV first: with an HMAC, and by its ChaCha20-Poly1305,
/// which has short packets in such numbers.
#[test]
fn a_wrong_tag_fails_its_lane_alone() {
    const LANES: usize = 67;
    let mut random = Bytes(6);
    for (engine, transform) in covered().filter(|(engine, _)| engine.id() != EngineId::Scalar) {
        let sas = [Sa::random(engine, transform, &mut random)];
        let icv_first = transform.auth_key_len() > 0 || transform.cipher() == Cipher::ChaCha20Poly1305;
        let mut sealed: Vec<Packet> =
            (0..LANES).map(|i| Packet::random(transform, 1 + i % 19, &mut random)).collect();
        let plain: Vec<Vec<u8>> = sealed.iter().map(|p| p.buffer.clone()).collect();
        seal(&mut jobs(&sas, &mut sealed, |sa| &sa.outbound));
        for damaged in 0..LANES {
            let mut packets: Vec<Packet> =
                sealed.iter().map(|p| Packet { buffer: p.buffer.clone(), ..*p }).collect();
            let last = packets[damaged].len - 1 - random.below(transform.icv_len());
            packets[damaged].bytes()[last] ^= 1 << random.below(8);
            let mut batch = jobs(&sas, &mut packets, |sa| &sa.inbound);
            open(&mut batch);
            let failed: Vec<usize> = (0..LANES).filter(|i| !batch[*i].verified).collect();
            assert_eq!(failed, [damaged], "{} {transform}", engine.id());
            for (i, packet) in packets.iter().enumerate() {
                let icv_at = packet.icv_at(transform);
                if i == damaged {
                    let as_given = packet.buffer[..icv_at] == sealed[i].buffer[..icv_at];
                    assert!(
                        as_given || engine.id() != EngineId::Simd || !icv_first,
                        "{transform} packet {i}"
                    );
                    continue;
                }
                assert!(packet.buffer[..icv_at] == plain[i][..icv_at], "{transform} packet {i}");
            }
        }
    }
}

/// Batches where every job has another SA, another transform and another engine.
#[test]
fn everything_mixed() {
    let mut random = Bytes(2);
    let all: Vec<_> = covered().collect();
    for _ in 0..30 {
        let sas: Vec<Sa> = (0..1 + random.below(60))
            .map(|_| {
                let (engine, transform) = all[random.below(all.len())];
                Sa::random(engine, transform, &mut random)
            })
            .collect();
        let packets = (0..random.below(200))
            .map(|i| Packet::random(sas[i % sas.len()].inbound.transform, random.below(600), &mut random))
            .collect();
        check(&sas, packets, &mut random);
    }
}

/// Whatever the bytes are, no engine panics, writes beyond them, or calls them sealed or verified when they are too
/// short or not whole blocks; nor does a key do the other direction's work.
#[test]
fn what_is_no_packet_fails_alone() {
    let mut random = Bytes(3);
    for (engine, transform) in covered() {
        let sa = Sa::random(engine, transform, &mut random);
        for len in 0..transform.overhead_max() + 40 {
            let before = random.vec(len + 2 * GUARD);
            let fits = len.checked_sub(8 + transform.iv_len() + transform.icv_len()).is_some_and(|text| {
                text.is_multiple_of(match transform.cipher().block_len() {
                    4 => 1,
                    block => block,
                })
            });
            for (key, expected) in [(&sa.outbound, fits), (&sa.inbound, false)] {
                let mut buffer = before.clone();
                let mut jobs = [Job::new(key, &mut buffer[GUARD..GUARD + len], 7)];
                match key.direction {
                    Direction::Outbound => seal(&mut jobs),
                    Direction::Inbound => open(&mut jobs),
                }
                assert_eq!(jobs[0].verified, expected, "{} {transform} {len}", engine.id());
                assert!(buffer[..GUARD] == before[..GUARD] && buffer[GUARD + len..] == before[GUARD + len..]);
            }
            let mut buffer = before.clone();
            let mut crossed = [Job { verified: true, ..Job::new(&sa.outbound, &mut buffer, 7) }];
            open(&mut crossed);
            assert!(!crossed[0].verified);
            let mut crossed = [Job { verified: true, ..Job::new(&sa.inbound, &mut buffer, 7) }];
            seal(&mut crossed);
            assert!(!crossed[0].verified);
        }
    }
}

/// An engine given a mixed batch by itself does its own jobs and leaves the others as they are.
#[test]
fn an_engine_leaves_others_jobs_alone() {
    let mut random = Bytes(4);
    let some = |engine: &dyn Engine| *Transform::ALL.iter().find(|t| engine.covers(**t)).unwrap();
    let sas: Vec<Sa> = Engines::all().map(|engine| Sa::random(engine, some(engine), &mut random)).collect();
    for engine in Engines::all() {
        let mut packets: Vec<Packet> =
            sas.iter().map(|sa| Packet::random(sa.outbound.transform, 100, &mut random)).collect();
        let before: Vec<Vec<u8>> = packets.iter().map(|p| p.buffer.clone()).collect();
        engine.seal(&mut jobs(&sas, &mut packets, |sa| &sa.outbound));
        for ((sa, packet), before) in sas.iter().zip(&packets).zip(before) {
            assert_eq!(packet.buffer != before, sa.outbound.engine() == engine.id());
        }
    }
}

/// The high half of the sequence number counts with ESN, and only then.
#[test]
fn esn_is_authenticated() {
    let mut random = Bytes(5);
    for (engine, transform) in covered() {
        let (key, auth) = (random.vec(transform.key_len()), random.vec(transform.auth_key_len()));
        for esn in [false, true] {
            let make = |d| engine.key(transform, d, &key, &auth, esn).unwrap();
            let mut packet = Packet::random(transform, 80, &mut random);
            assert!(run_one(&make(Direction::Outbound), packet.bytes(), 1));
            assert_eq!(run_one(&make(Direction::Inbound), packet.bytes(), 2), !esn, "{transform}");
        }
    }
}

#[test]
fn keys_of_wrong_lengths_are_refused() {
    for (engine, transform) in covered() {
        let key = vec![1; transform.key_len() + 1];
        let auth = vec![1; transform.auth_key_len() + 1];
        let of = |key: &[u8], auth: &[u8]| engine.key(transform, Direction::Inbound, key, auth, false).err();
        let length = |what, have: usize| Some(KeyError::Length { transform, what, need: have - 1, have });
        assert_eq!(of(&key, &auth[1..]), length("key", key.len()));
        assert_eq!(of(&key[1..], &auth), length("auth key", auth.len()));
        assert_eq!(of(&key[1..], &auth[1..]), None);
    }
}

#[test]
fn engines_are_chosen_by_name() {
    for name in ["auto", "scalar", "library", "simd"] {
        assert_eq!(name.parse::<Choice>().unwrap().to_string(), name);
    }
    let refused = |name: &str| name.parse::<Choice>().unwrap_err().to_string();
    let more = if cfg!(feature = "ipsec-mb") { " ipsec-mb" } else { "" };
    assert_eq!(refused("fast"), format!("\"fast\" is no engine (one of auto scalar library simd{more})"));
    if !cfg!(feature = "ipsec-mb") {
        assert_eq!(
            refused("ipsec-mb"),
            "this build has no engine ipsec-mb: build it with --features ipsec-mb, which needs Debian's libipsec-mb-dev"
        );
    }
    for transform in Transform::ALL {
        assert!(Choice::Auto.engine(*transform).is_some());
        for engine in Engines::all() {
            let key = Choice::Only(engine.id()).key(
                *transform,
                Direction::Inbound,
                &vec![1; transform.key_len()],
                &vec![1; transform.auth_key_len()],
                false,
            );
            let not_covered = KeyError::NotCovered { engine: engine.id(), transform: *transform };
            assert_eq!(
                key.map(|k| k.engine()),
                if engine.covers(*transform) { Ok(engine.id()) } else { Err(not_covered) }
            );
        }
    }
}
