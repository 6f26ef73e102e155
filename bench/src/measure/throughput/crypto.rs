//! The engine alone, on packets at their padded ESP length.

use std::time::{Duration, Instant};

use espalier_dataplane::crypto::{self, EngineId, Job, Key};
use espalier_wire::plane::Direction;
use espalier_wire::random::Random;

use super::{Refused, Sample};
use crate::measure::rig::{Kind, shuffled, turns};

/// A working set in one piece of memory. Rounds take turns with its SAs, so that all are met, and with none of the memory of
/// its packets.
struct Set {
    arena: Vec<u8>,
    stride: usize,
    /// Bytes of each packet.
    lens: Vec<usize>,
    /// The SAs in random order, as often as it takes.
    order: Vec<usize>,
}

impl Set {
    fn new(kind: &Kind, set: usize, random: &mut Random) -> Self {
        let lens: Vec<usize> =
            kind.size.packets(set, random).iter().map(|size| kind.transform.sealed_len(*size)).collect();
        // Never a power of two, whose lines would all fall into the same sets of the caches.
        let longest = lens.iter().copied().max().unwrap_or(0);
        let stride = longest.next_multiple_of(2048) + 64;
        let mut arena = vec![0; stride * lens.len()];
        random.fill(&mut arena);
        let turns = turns(kind.sas, lens.len());
        let order = shuffled(kind.sas, random).into_iter().cycle().take(turns * lens.len()).collect();
        Self { arena, stride, lens, order }
    }

    fn turns(&self) -> usize {
        self.order.len() / self.lens.len().max(1)
    }

    fn jobs<'a>(&'a mut self, keys: &'a [Key], turn: usize) -> Vec<Job<'a>> {
        let sas = self.order.get(turn * self.lens.len()..).unwrap_or_default();
        let places = self.arena.chunks_exact_mut(self.stride).zip(self.lens.iter().zip(sas));
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
    let (sealed, verified) = verify(kind, &mut set)?;
    let (keys, run): (_, fn(&mut [Job<'_>])) = match kind.direction {
        Direction::Outbound => (keys(kind, kind.engine, Direction::Outbound)?, crypto::seal),
        Direction::Inbound => (keys(kind, kind.engine, Direction::Inbound)?, crypto::open),
    };
    let (mut elapsed, mut packets) = (Duration::ZERO, 0);
    let mut turns = sealed.iter().enumerate().cycle();
    let mut cold = sealed.len();
    while (elapsed < each || cold > 0)
        && let Some((turn, before)) = turns.next()
    {
        if kind.direction == Direction::Inbound {
            // What was opened is no packet any more.
            set.arena.copy_from_slice(before);
        }
        let mut jobs = set.jobs(&keys, turn);
        let start = Instant::now();
        jobs.chunks_mut(kind.burst).for_each(run);
        let took = start.elapsed();
        if !jobs.iter().all(|job| job.verified) {
            return Err(format!("{} by {}: a packet failed", kind.transform, kind.engine));
        }
        if cold == 0 {
            elapsed += took;
            packets += jobs.len() as u64;
        }
        cold = cold.saturating_sub(1);
    }
    Ok((Sample { elapsed_s: elapsed.as_secs_f64(), packets }, verified))
}

/// Sealed by the engine as by `scalar`, and opened again to what it was: each turn as it was sealed, and whether all were.
/// A million keys are large, so only those of one kind are there at a time.
fn verify(kind: &Kind, set: &mut Set) -> Result<(Vec<Vec<u8>>, bool), Refused> {
    let (plain, icv) = (set.arena.clone(), kind.transform.icv_len());
    let (mut sealed, mut right) = (Vec::new(), true);
    let mut run = |set: &mut Set, keys: &[Key], turn, engine: fn(&mut [Job<'_>])| {
        let mut jobs = set.jobs(keys, turn);
        engine(&mut jobs);
        right &= jobs.iter().all(|job| job.verified);
    };
    let scalar = keys(kind, EngineId::Scalar, Direction::Outbound)?;
    for turn in 0..set.turns() {
        set.arena.copy_from_slice(&plain);
        run(set, &scalar, turn, crypto::seal);
        sealed.push(set.arena.clone());
    }
    drop(scalar);
    let mut same = true;
    let outbound = keys(kind, kind.engine, Direction::Outbound)?;
    for (turn, twin) in sealed.iter().enumerate() {
        set.arena.copy_from_slice(&plain);
        run(set, &outbound, turn, crypto::seal);
        same &= set.arena == *twin;
    }
    drop(outbound);
    let inbound = keys(kind, kind.engine, Direction::Inbound)?;
    for (turn, twin) in sealed.iter().enumerate() {
        set.arena.copy_from_slice(twin);
        run(set, &inbound, turn, crypto::open);
        let texts = set.arena.chunks_exact(set.stride).zip(plain.chunks_exact(set.stride));
        same &=
            set.lens.iter().zip(texts).all(|(len, (now, before))| now[..len - icv] == before[..len - icv]);
    }
    Ok((sealed, right && same))
}
