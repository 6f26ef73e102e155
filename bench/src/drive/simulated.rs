//! Virtual time: an event heap and a seed on one thread. The same seed gives the same bytes.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::path::Path;

use espalier_control::ios::Exec;
use espalier_wire::random::Random;
use espalier_wire::{Duration, Instant};

use crate::live::Feed;
use crate::measure::recording::{Recording, Schedule};
use crate::scenario::Scenario;
use crate::world::segment::FIRST_BOOTS;
use crate::world::{Error, Later, World};

/// What a run is asked for besides the scenario.
#[derive(Debug, Default)]
pub struct Options<'a> {
    /// When, which router, and the `show` command as typed and as understood.
    pub shows: Vec<(Instant, String, String, Exec)>,
    /// Where `SEGMENT.pcapng` of each segment goes.
    pub out: Option<&'a Path>,
    /// Whoever looks on.
    pub feed: Option<Feed>,
}

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
enum Next {
    Fault(usize),
    Heap,
    Timer(usize),
    Traffic(usize),
    Show(usize),
}

/// How one thing after another is reached.
pub(super) trait Pace {
    /// `virtual` or `real`.
    fn clock(&self) -> &'static str;

    /// Wait until something is due: what time it then is, not before `due`.
    fn reach(&mut self, due: Instant) -> Instant;

    /// A packet that was due is offered now.
    fn offered(&mut self, _due: Instant, _now: Instant) {}

    /// How the traffic kept its times, where that is a question.
    fn schedule(&self) -> Option<Schedule> {
        None
    }
}

/// Nobody waits: it is always the time that something is due at.
struct Virtual;

impl Pace for Virtual {
    fn clock(&self) -> &'static str {
        "virtual"
    }

    fn reach(&mut self, due: Instant) -> Instant {
        due
    }
}

struct Run<'a> {
    scenario: &'a Scenario,
    world: World,
    heap: BinaryHeap<Entry>,
    order: u64,
    fault: usize,
    shows: Vec<(Instant, String, String, Exec)>,
    show: usize,
    /// When each traffic's next packet is due.
    due: Vec<Option<Instant>>,
}

/// Run a scenario from its first to its last virtual instant.
///
/// # Errors
/// What is wrong with the scenario or a configuration, and where; captures that cannot be written. Nothing is left
/// behind then.
pub fn run(scenario: &Scenario, options: Options<'_>) -> Result<Recording, Error> {
    run_paced(scenario, options, &mut Virtual)
}

/// Run a scenario at a pace.
///
/// # Errors
/// As [`run`].
pub(super) fn run_paced(
    scenario: &Scenario,
    options: Options<'_>,
    pace: &mut impl Pace,
) -> Result<Recording, Error> {
    let world = World::new(scenario, options.out)?;
    let mut feed = options.feed;
    let mut shows = options.shows;
    shows.sort_by_key(|show| show.0);
    let due = world.sources.iter().map(crate::world::traffic::Source::next).collect();
    let heap = BinaryHeap::new();
    let mut run = Run { scenario, world, heap, order: 0, fault: 0, shows, show: 0, due };
    run.first_boots();
    let end = Instant::ZERO + scenario.duration;
    while let Some((due, next)) = run.next().filter(|(due, _)| *due <= end) {
        let now = pace.reach(due);
        if matches!(next, Next::Traffic(_)) {
            pace.offered(due, now);
        }
        run.step((due, now), next);
        run.collect();
        if let Some(feed) = &mut feed {
            feed.look(now, &run.world);
        }
        if let Some(diagnostics) = run.world.refused.take() {
            return Err(Error::Configuration(diagnostics));
        }
    }
    if let Some(feed) = feed {
        feed.close(end, &run.world);
    }
    run.end(pace)
}

impl Run<'_> {
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

    fn next(&self) -> Option<(Instant, Next)> {
        let fault = self.scenario.faults.get(self.fault).map(|f| (f.at, Next::Fault(self.fault)));
        let heap = self.heap.peek().map(|e| (e.at, Next::Heap));
        let timer = self.world.next_timer().map(|(at, node)| (at, Next::Timer(node)));
        let source = |(i, at): (usize, &Option<Instant>)| at.map(|at| (at, Next::Traffic(i)));
        let traffic = self.due.iter().enumerate().filter_map(source).min();
        let show = self.shows.get(self.show).map(|s| (s.0, Next::Show(self.show)));
        [fault, heap, timer, traffic, show].into_iter().flatten().min()
    }

    fn step(&mut self, (due, now): (Instant, Instant), next: Next) {
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
                self.world.offer((due, now), source);
                let next = self.world.sources.get(source).and_then(crate::world::traffic::Source::next);
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
    }

    fn end(mut self, pace: &impl Pace) -> Result<Recording, Error> {
        let digest = self.world.finish(self.heap.into_iter().map(|e| e.what))?;
        let world = self.world;
        Ok(Recording {
            scenario: self.scenario.name.clone(),
            about: self.scenario.about.clone(),
            seed: self.scenario.seed,
            duration: self.scenario.duration,
            clock: pace.clock(),
            schedule: pace.schedule(),
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
            digest: Some(digest),
            violations: world.violations,
        })
    }
}
