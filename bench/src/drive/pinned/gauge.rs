//! What the cores of a run are doing: counted by themselves, read by anybody at any time, never waited for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use espalier_wire::Instant;

/// One core's counts, in cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Gauge {
    core: Option<usize>,
    busy_ns: AtomicU64,
    packets: AtomicU64,
    /// Packets under way to it and back.
    depth: AtomicUsize,
    deepest: AtomicUsize,
    /// Packets lost because its ring was full.
    full: AtomicU64,
}

impl Gauge {
    /// It had work from one moment to another.
    pub(super) fn worked(&self, from: Instant, to: Instant) {
        // One thread alone writes this: no need to lock the line.
        let busy = self.busy_ns.load(Ordering::Relaxed) + (to - from).as_ns();
        self.busy_ns.store(busy, Ordering::Relaxed);
    }

    /// It was given this many packets.
    pub(super) fn took(&self, packets: usize) {
        self.packets.store(self.packets.load(Ordering::Relaxed) + packets as u64, Ordering::Relaxed);
    }

    /// So many packets are under way.
    pub(super) fn deep(&self, depth: usize) {
        self.depth.store(depth, Ordering::Relaxed);
        if depth > self.deepest.load(Ordering::Relaxed) {
            self.deepest.store(depth, Ordering::Relaxed);
        }
    }

    /// This many packets found no room.
    pub(super) fn overflowed(&self, packets: usize) {
        self.full.store(self.full.load(Ordering::Relaxed) + packets as u64, Ordering::Relaxed);
    }
}

/// The counts of all cores of a run; the last is the world's.
#[derive(Debug, Default)]
pub struct Gauges {
    cores: Vec<Gauge>,
    ring: usize,
}

/// What a core has done so far, and what waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CoreStatus {
    /// Its number; absent where threads are not pinned.
    pub core: Option<usize>,
    /// Nanoseconds in which it had work.
    pub busy_ns: u64,
    /// Packets its dataplanes were given.
    pub packets: u64,
    /// Packets under way to it and back …
    pub depth: usize,
    /// … the most there were, and …
    pub deepest: usize,
    /// … how many packets found no room.
    pub ring_full: u64,
}

/// All of them at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// By core; the last is the world's, which has no ring.
    pub cores: Vec<CoreStatus>,
    /// How many may be under way to one of them.
    pub ring: usize,
}

impl Gauges {
    /// For these cores; of none, for the one there is.
    pub(super) fn new(cores: &[usize], ring: usize) -> Self {
        let gauge = |core: Option<usize>| Gauge { core, ..Gauge::default() };
        let mut all: Vec<_> = cores.iter().map(|core| gauge(Some(*core))).collect();
        if all.is_empty() {
            all.push(gauge(None));
        }
        Self { cores: all, ring }
    }

    pub(super) fn core(&self, at: usize) -> Option<&Gauge> {
        self.cores.get(at)
    }

    /// What they show now. Cheap enough for many times a second.
    pub fn snapshot(&self) -> Status {
        let read = |gauge: &Gauge| CoreStatus {
            core: gauge.core,
            busy_ns: gauge.busy_ns.load(Ordering::Relaxed),
            packets: gauge.packets.load(Ordering::Relaxed),
            depth: gauge.depth.load(Ordering::Relaxed),
            deepest: gauge.deepest.load(Ordering::Relaxed),
            ring_full: gauge.full.load(Ordering::Relaxed),
        };
        Status { cores: self.cores.iter().map(read).collect(), ring: self.ring }
    }
}
