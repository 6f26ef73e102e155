//! A scenario under way: the world, and what is due in it. Whoever drives it decides what time it is and in which order
//! things happen.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use espalier_control::ios::Exec;
use espalier_wire::random::Random;
use espalier_wire::{Duration, Instant};

use super::simulated::Options;
use crate::measure::recording::{Recording, Schedule};
use crate::scenario::Scenario;
use crate::world::segment::FIRST_BOOTS;
use crate::world::traffic::Source;
use crate::world::{Error, Later, World};

/// In the heap: the earliest first, and of equals the one that was put in first.
struct Entry {
    at: Instant,
    order: u64,
    what: Later,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// What happens next, in the order in which things of one instant happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Next {
    Fault(usize),
    Heap,
    Timer(usize),
    Traffic(usize),
    Show(usize),
}

/// A scenario under way.
pub(super) struct Run<'a> {
    scenario: &'a Scenario,
    pub(super) world: World,
    heap: BinaryHeap<Entry>,
    order: u64,
    fault: usize,
    shows: Vec<(Instant, String, String, Exec)>,
    show: usize,
    /// When each traffic's next packet is due.
    due: Vec<Option<Instant>>,
}

impl<'a> Run<'a> {
    /// At its beginning.
    pub(super) fn new(scenario: &'a Scenario, options: Options<'_>) -> Result<Self, Error> {
        let world = World::new(scenario, options.out)?;
        let mut shows = options.shows;
        shows.sort_by_key(|show| show.0);
        let due = world.sources.iter().map(Source::next).collect();
        let heap = BinaryHeap::new();
        let mut run = Self { scenario, world, heap, order: 0, fault: 0, shows, show: 0, due };
        run.first_boots();
        Ok(run)
    }

    /// Every router on, before anything else happens.
    fn first_boots(&mut self) {
        let traffic = self.due.iter().flatten().copied();
        let first = traffic.chain(self.scenario.faults.iter().map(|f| f.at)).min();
        let window = first.map_or(FIRST_BOOTS, |first| FIRST_BOOTS.min(first - Instant::ZERO));
        let mut random = Random::from_seed(self.scenario.seed).fork("first boots");
        for node in 0..self.world.routers() {
            let at = Instant::ZERO + random.between(Duration::ZERO, window);
            self.world.later.push((at, Later::FirstBoot(node)));
        }
        self.collect();
    }

    fn collect(&mut self) {
        for (at, what) in self.world.later.drain(..) {
            self.order += 1;
            self.heap.push(Entry { at, order: self.order, what });
        }
    }

    /// What is next of everything but the traffic and what is on its way.
    pub(super) fn next_of_control(&self) -> Option<(Instant, Next)> {
        let fault = self.scenario.faults.get(self.fault).map(|f| (f.at, Next::Fault(self.fault)));
        let timer = self.world.next_timer().map(|(at, node)| (at, Next::Timer(node)));
        let show = self.shows.get(self.show).map(|s| (s.0, Next::Show(self.show)));
        [fault, timer, show].into_iter().flatten().min()
    }

    /// What is next of what is on its way.
    pub(super) fn next_of_heap(&self) -> Option<(Instant, Next)> {
        self.heap.peek().map(|e| (e.at, Next::Heap))
    }

    /// What is next of the traffic.
    pub(super) fn next_of_traffic(&self) -> Option<(Instant, Next)> {
        let source = |(i, at): (usize, &Option<Instant>)| at.map(|at| (at, Next::Traffic(i)));
        self.due.iter().enumerate().filter_map(source).min()
    }

    /// What is next of all.
    pub(super) fn next(&self) -> Option<(Instant, Next)> {
        let all = [self.next_of_control(), self.next_of_heap(), self.next_of_traffic()];
        all.into_iter().flatten().min()
    }

    /// Let it happen now; of a traffic `most` packets that are due, of each of which `told` is told when it was.
    pub(super) fn step(
        &mut self,
        now: Instant,
        next: Next,
        most: usize,
        told: impl FnMut(Instant),
    ) -> Result<(), Error> {
        match next {
            Next::Fault(n) => {
                self.fault += 1;
                if let Some(fault) = self.scenario.faults.get(n) {
                    self.world.strike(now, fault);
                }
            }
            Next::Heap => {
                if let Some(entry) = self.heap.pop() {
                    self.world.happen(now, entry.what);
                }
            }
            Next::Timer(node) => self.world.timers(now, node),
            Next::Traffic(source) => {
                self.world.offer(now, source, most, told);
                let next = self.world.sources.get(source).and_then(Source::next);
                if let Some(due) = self.due.get_mut(source) {
                    *due = next;
                }
            }
            Next::Show(n) => {
                self.show += 1;
                if let Some((_, router, command, exec)) = self.shows.get(n)
                    && let Some(node) = self.world.find(router)
                {
                    self.world.show(now, node, command, exec);
                }
            }
        }
        self.happened()
    }

    /// Something happened in the world: keep what it leads to.
    ///
    /// # Errors
    /// A router refused lines of its configuration: the run cannot go on.
    pub(super) fn happened(&mut self) -> Result<(), Error> {
        self.collect();
        self.world.refused.take().map_or(Ok(()), |diagnostics| Err(Error::Configuration(diagnostics)))
    }

    /// It is over.
    pub(super) fn end(mut self, clock: &'static str, schedule: Option<Schedule>) -> Result<Recording, Error> {
        let digest = self.world.finish(self.heap.into_iter().map(|e| e.what))?;
        let world = self.world;
        Ok(Recording {
            scenario: self.scenario.name.clone(),
            about: self.scenario.about.clone(),
            seed: self.scenario.seed,
            duration: self.scenario.duration,
            clock,
            schedule,
            nodes: world.names(),
            routers: world.routers(),
            attached: world.attached(),
            interfaces: world.interfaces(),
            paths: crate::world::paths(self.scenario),
            destinations: crate::world::destinations(self.scenario, &world.sources),
            skipped: world.sources.iter().map(|s| s.skipped).sum(),
            ledger: world.ledger,
            faults: world.struck,
            events: world.events,
            shows: world.shown,
            sas: world.sas,
            ike_keys: world.ike_keys,
            digest,
            violations: world.violations,
        })
    }
}
