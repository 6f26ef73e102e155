//! The engine alone, on packets at their padded ESP length.

use std::time::{Duration, Instant};

use espalier_dataplane::crypto::{self, EngineId, Job, Key};
use espalier_wire::plane::Direction;
use espalier_wire::random::Random;

use super::{Refused, Sample};
use crate::measure::rig::Kind;

/// A working set in one piece of memory.
struct Set {
    arena: Vec<u8>,
    stride: usize,
    /// Bytes of each packet, and its SA.
    packets: Vec<(usize, usize)>,
}

impl Set {
    fn new(kind: &Kind, set: usize, random: &mut Random) -> Self {
        let sizes = kind.size.packets(set, random);
        let packets: Vec<(usize, usize)> = sizes
            .iter()
            .map(|size| (kind.transform.sealed_len(*size), random.below(kind.sas as u64) as usize))
            .collect();
        // Never a power of two, whose lines would all fall into the same sets of the caches.
        let longest = packets.iter().map(|p| p.0).max().unwrap_or(0);
        let stride = longest.next_multiple_of(2048) + 64;
        let mut arena = vec![0; stride * packets.len()];
        random.fill(&mut arena);
        Self { arena, stride, packets }
    }

    fn jobs<'a>(&'a mut self, keys: &'a [Key]) -> Vec<Job<'a>> {
        let places = self.arena.chunks_exact_mut(self.stride).zip(&self.packets);
        places.map(|(bytes, (len, sa))| Job::new(&keys[*sa], &mut bytes[..*len], 0)).collect()
    }
}

fn keys(kind: &Kind, engine: EngineId, direction: Direction) -> Result<Vec<Key>, Refused> {
    let key = |n| {
        let (key, auth) = kind.secrets(n);
        engine.engine().key(kind.transform, direction, &key, &auth, false).map_err(|e| e.to_string())
    };
    (0..kind.sas).map(key).collect()
}

pub(super) fn look(kind: &Kind, set: usize, round: u64, each: Duration) -> Result<(Sample, bool), Refused> {
    let mut set = Set::new(kind, set, &mut Random::from_seed(round).fork("bench crypto"));
    let verified = verify(kind, &mut set)?;
    let (keys, run): (_, fn(&mut [Job<'_>])) = match kind.direction {
        Direction::Outbound => (keys(kind, kind.engine, Direction::Outbound)?, crypto::seal),
        Direction::Inbound => (keys(kind, kind.engine, Direction::Inbound)?, crypto::open),
    };
    let before = set.arena.clone();
    let (mut elapsed, mut packets, mut warm) = (Duration::ZERO, 0, false);
    while elapsed < each || !warm {
        if kind.direction == Direction::Inbound {
            // What was opened is no packet any more.
            set.arena.copy_from_slice(&before);
        }
        let mut jobs = set.jobs(&keys);
        let start = Instant::now();
        jobs.chunks_mut(kind.burst).for_each(run);
        let took = start.elapsed();
        if !jobs.iter().all(|job| job.verified) {
            return Err(format!("{} by {}: a packet failed", kind.transform, kind.engine));
        }
        if warm {
            elapsed += took;
            packets += jobs.len() as u64;
        }
        warm = true;
    }
    Ok((Sample { elapsed_s: elapsed.as_secs_f64(), packets }, verified))
}

/// Sealed by the engine as by `scalar`, and opened again to what it was. The set is left sealed.
fn verify(kind: &Kind, set: &mut Set) -> Result<bool, Refused> {
    let plain = set.arena.clone();
    let all = |jobs: &[Job<'_>]| jobs.iter().all(|job| job.verified);
    let seal = |set: &mut Set, engine| {
        let keys = keys(kind, engine, Direction::Outbound)?;
        let mut jobs = set.jobs(&keys);
        crypto::seal(&mut jobs);
        Ok::<bool, Refused>(all(&jobs))
    };
    let mut right = seal(set, EngineId::Scalar)?;
    let twin = std::mem::replace(&mut set.arena, plain.clone());
    right &= seal(set, kind.engine)? && set.arena == twin;
    let inbound = keys(kind, kind.engine, Direction::Inbound)?;
    let mut jobs = set.jobs(&inbound);
    crypto::open(&mut jobs);
    right &= all(&jobs);
    drop(jobs);
    let icv = kind.transform.icv_len();
    let texts =
        set.packets.iter().zip(set.arena.chunks_exact(set.stride)).zip(plain.chunks_exact(set.stride));
    right &= texts.clone().all(|(((len, _), now), before)| now[..len - icv] == before[..len - icv]);
    set.arena = twin;
    Ok(right)
}
