//! Packets that touch memory which is not there: before their first byte or behind their last a page that can be neither
//! read nor written. An engine that looks or writes beyond a packet does not live to tell.

#![allow(unsafe_code, reason = "pages without access cannot be had otherwise")]

use std::ptr::NonNull;

use super::*;

const PAGE: usize = 4096;
/// Pages of a packet.
const ROOM: usize = 3;

/// Where a packet lies among its pages.
#[derive(Clone, Copy)]
enum At {
    Begin,
    End,
}

/// Pages with one without access on either side.
struct Guarded {
    map: NonNull<u8>,
    at: At,
    len: usize,
}

impl Guarded {
    fn new(at: At, len: usize) -> Self {
        let size = (ROOM + 2) * PAGE;
        assert!(len <= ROOM * PAGE);
        // SAFETY: a new mapping, of which the middle is then opened.
        let map = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let map = libc::mmap(std::ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0);
            assert_ne!(map, libc::MAP_FAILED);
            let middle = map.cast::<u8>().add(PAGE).cast();
            assert_eq!(libc::mprotect(middle, ROOM * PAGE, libc::PROT_READ | libc::PROT_WRITE), 0);
            map
        };
        Self { map: NonNull::new(map.cast()).unwrap(), at, len }
    }

    fn bytes(&mut self) -> &mut [u8] {
        let begin = match self.at {
            At::Begin => PAGE,
            At::End => (ROOM + 1) * PAGE - self.len,
        };
        // SAFETY: within the middle, which is this value's own.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_ptr().add(begin), self.len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`.
        unsafe { libc::munmap(self.map.as_ptr().cast(), (ROOM + 2) * PAGE) };
    }
}

/// One batch: sealed as the twin seals, and opened again.
fn check(engine: &dyn Engine, transform: Transform, payloads: &[usize], random: &mut Bytes) {
    let (key, auth) = (random.vec(transform.key_len()), random.vec(transform.auth_key_len()));
    let esn = random.below(2) == 1;
    let make = |e: &dyn Engine, d| e.key(transform, d, &key, &auth, esn).unwrap();
    let [out, back] = [Direction::Outbound, Direction::Inbound].map(|d| make(engine, d));
    let twin = make(EngineId::Scalar.engine(), Direction::Outbound);
    let mut packets: Vec<Guarded> = payloads
        .iter()
        .enumerate()
        .map(|(n, len)| Guarded::new([At::Begin, At::End][n % 2], transform.sealed_len(*len)))
        .collect();
    let mut expected = Vec::new();
    for packet in &mut packets {
        let bytes = random.vec(packet.len);
        packet.bytes().copy_from_slice(&bytes);
        let mut sealed = packet.bytes().to_vec();
        let plain = sealed.clone();
        assert!(run_one(&twin, &mut sealed, 9));
        expected.push((plain, sealed));
    }
    for (key, sealing) in [(&out, true), (&back, false)] {
        let mut jobs: Vec<Job<'_>> = packets.iter_mut().map(|p| Job::new(key, p.bytes(), 9)).collect();
        match sealing {
            true => seal(&mut jobs),
            false => open(&mut jobs),
        }
        assert!(jobs.iter().all(|job| job.verified), "{} {transform}", engine.id());
        for (packet, (plain, sealed)) in packets.iter_mut().zip(&expected) {
            let text = packet.len - transform.icv_len();
            match sealing {
                true => assert!(packet.bytes() == sealed, "{} {transform}", engine.id()),
                false => assert!(packet.bytes()[..text] == plain[..text], "{} {transform}", engine.id()),
            }
        }
    }
}

/// Every length near those of a register and a block, in batches that go to the kernels of many packets, and alone.
#[test]
fn no_engine_looks_beyond_a_packet() {
    let mut random = Bytes(11);
    for (engine, transform) in covered() {
        for payloads in (0..280).collect::<Vec<usize>>().chunks(35) {
            check(engine, transform, payloads, &mut random);
        }
        for len in [0, 1, 15, 64, 300, 1408, 9000] {
            check(engine, transform, &[len], &mut random);
        }
        check(engine, transform, &[1408, 1408, 1401, 1408, 9000, 64, 1600, 64, 40, 700], &mut random);
    }
}
