//! The whole path of a router: parse, policy or SPI look-up, sequence or window, encapsulation, crypto, counters, route,
//! transmission; by one core or by several.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use espalier_dataplane::watch::Unwatched;

use super::{Cell, Refused, Sample};
use crate::drive::pin;
use crate::measure::rig::{Kind, Rig};

/// Rounds that all owners run at the same time.
struct Race {
    start: Barrier,
    end: Barrier,
    over: AtomicBool,
    /// When each owner began and ended this round.
    laps: Mutex<Vec<(Instant, Instant)>>,
}

/// What an owner found out.
#[derive(Default)]
struct Owner {
    packets: u64,
    verified: bool,
    /// Of all owners together; only the first one's counts.
    elapsed: Duration,
}

pub(super) fn look(
    cell: &Cell,
    round: u64,
    each: Duration,
    cores: &[usize],
) -> Result<(Sample, bool), Refused> {
    let owners = cell.layout.owners;
    let race = Race {
        start: Barrier::new(owners),
        end: Barrier::new(owners),
        over: AtomicBool::new(false),
        laps: Mutex::new(Vec::new()),
    };
    let results: Vec<Result<Owner, Refused>> = thread::scope(|scope| {
        let start = |at: usize| {
            let race = &race;
            scope.spawn(move || own(cell, round, each, (at, cores), race))
        };
        let threads: Vec<_> = (0..owners).map(start).collect();
        let ended = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err("a worker panicked".to_owned()))
        };
        threads.into_iter().map(ended).collect()
    });
    let mut sum = Owner { verified: true, ..Owner::default() };
    for (at, owner) in results.into_iter().enumerate() {
        let owner = owner?;
        sum.packets += owner.packets;
        sum.verified &= owner.verified;
        if at == 0 {
            sum.elapsed = owner.elapsed;
        }
    }
    Ok((Sample { elapsed_s: sum.elapsed.as_secs_f64(), packets: sum.packets }, sum.verified))
}

/// One owner with its helpers, on its cores.
fn own(
    cell: &Cell,
    round: u64,
    each: Duration,
    (at, cores): (usize, &[usize]),
    race: &Race,
) -> Result<Owner, Refused> {
    let per = 1 + cell.layout.helpers;
    let mine: Vec<usize> = cores.iter().copied().cycle().skip(at * per).take(per).collect();
    if let Some(core) = mine.first() {
        pin::to_core(*core);
    }
    // Several owners share the SAs.
    let kind = Kind { sas: cell.kind.sas.div_ceil(cell.layout.owners), ..cell.kind.clone() };
    let rig = Rig::new(&kind, cell.set, round * 64 + at as u64);
    let (helpers, mut rig) = match rig {
        Ok(mut rig) => (rig.hire(cell.layout.helpers), Ok(rig)),
        Err(refused) => (Vec::new(), Err(refused)),
    };
    pin::with_helpers(helpers, mine.get(1..).unwrap_or_default(), || {
        let mut owner = Owner { verified: true, ..Owner::default() };
        let mut warm = false;
        // One that failed still comes to every start, or the others would wait for it.
        let mut failed = rig.as_ref().err().cloned();
        while !race.over.load(Ordering::Acquire) {
            let mut able = rig.as_mut().ok().filter(|_| failed.is_none());
            match able.as_mut() {
                Some(rig) => lap(rig, race),
                None => {
                    race.start.wait();
                    race.end.wait();
                }
            }
            let done = |took| warm && owner.elapsed + took >= each;
            let took = race.took(at, done, failed.is_some());
            if let Some(rig) = able {
                match rig.check() {
                    Ok(right) => owner.verified &= right,
                    Err(refused) => failed = Some(refused),
                }
                if warm {
                    owner.elapsed += took;
                    owner.packets += rig.len() as u64;
                }
            }
            warm = true;
        }
        match failed {
            Some(refused) => Err(refused),
            None => Ok(owner),
        }
    })
}

/// One round of one owner, from a start in common.
fn lap(rig: &mut Rig, race: &Race) {
    let mut batches = rig.load();
    race.start.wait();
    let start = Instant::now();
    rig.run(&mut batches, &mut Unwatched);
    let end = Instant::now();
    race.laps.lock().unwrap_or_else(PoisonError::into_inner).push((start, end));
    race.end.wait();
}

impl Race {
    /// How long the round took, from the first start to the last end. The first owner ends the race when `done` says so,
    /// any when it failed.
    fn took(&self, at: usize, done: impl Fn(Duration) -> bool, failed: bool) -> Duration {
        let laps = || self.laps.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, last) = {
            let laps = laps();
            (laps.iter().map(|lap| lap.0).min(), laps.iter().map(|lap| lap.1).max())
        };
        let took = first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first);
        self.start.wait();
        if at == 0 {
            laps().clear();
        }
        if failed || (at == 0 && done(took)) {
            self.over.store(true, Ordering::Release);
        }
        self.end.wait();
        took
    }
}
