//! The lanes between cores without cores: one thread takes everybody's turn, time stands still in between, so that what
//! finds its ring full is the same every time.

use std::sync::Arc;
use std::time::Instant as Wall;

use espalier_wire::{Cause, Duration, Instant};

use super::desk::{self, Back};
use super::gauge::Gauges;
use super::{Clock, Layout, Run, places};
use crate::drive::simulated::Options;
use crate::measure::figures::Figures;
use crate::scenario::{Changes, Scenario};
use crate::world::carry::RUN_MAX;

/// How far time goes at once.
const TICK: Duration = Duration::from_ms(1);

/// Three seconds of traffic through the reference network, whose gateways another core would have: in every millisecond it
/// gets so many turns. The figures, and how many packets the lanes say found no room.
fn play(ring: usize, turns: usize) -> (Figures, u64) {
    let set = ["inside-to-remote", "remote-to-inside"].map(|name| format!("traffic.{name}.rate=10kpps"));
    let changes = Changes { set: set.to_vec(), ..Changes::default() };
    let mut scenario = Scenario::load("../tests/interop/seconds/scenario.toml", &changes).unwrap();
    scenario.faults.clear();
    scenario.duration = Duration::from_s(25);
    let mut run = Run::new(&scenario, Options::default()).unwrap();
    run.world.in_runs();
    let layout = Layout { cores: vec![1, 0], ring, gauges: Arc::new(Gauges::new(&[1, 0], ring)) };
    let places = places(&run.world, 1);
    assert_eq!(places.concat().len(), 3, "both gateways and their peer are elsewhere");
    let clock = Clock { start: Wall::now() };
    let (mut backs, mut desks) = desk::set_up(&mut run.world, &places, &layout, clock);
    let mut now = Instant::ZERO;
    while now < Instant::ZERO + scenario.duration {
        now += TICK;
        while let Some((_, next)) = run.next().filter(|(due, _)| *due <= now) {
            run.step(now, next, RUN_MAX, |_| {}).unwrap();
        }
        for _ in 0..turns {
            for desk in &mut desks {
                desk.turn(now);
            }
            while let Some(parcel) = backs.iter_mut().find_map(Back::take) {
                run.world.returned(now, parcel);
                run.happened().unwrap();
            }
        }
    }
    let full = layout.gauges.snapshot().cores.iter().map(|core| core.ring_full).sum();
    (Figures::of(&run.end("real", None).unwrap()), full)
}

fn lost_to(figures: &Figures, cause: Cause) -> u64 {
    figures.losses.iter().filter(|l| l.cause == cause.name()).map(|l| l.lost).sum()
}

#[test]
fn a_ring_with_room_loses_nothing() {
    let (figures, full) = play(4096, 8);
    figures.check().unwrap();
    assert_eq!((full, lost_to(&figures, Cause::RingFull)), (0, 0));
    for flow in figures.flows.iter().filter(|f| !f.name.starts_with("ping")) {
        assert_eq!(flow.offered, 30_000, "{}", flow.name);
        // The first packets meet routes that are being learned and an SA that is being made.
        assert!(flow.delivered > 20_000, "{}: {} lost", flow.name, flow.lost);
    }
}

#[test]
fn what_finds_a_ring_full_is_lost_by_that_name_and_counted_once() {
    let (figures, full) = play(16, 1);
    figures.check().unwrap();
    assert!(full > 1000, "{full}");
    assert_eq!(lost_to(&figures, Cause::RingFull), full);
    // The routers' own packets went first: both directions still arrive.
    assert!(figures.flows.iter().filter(|f| !f.name.starts_with("ping")).all(|f| f.delivered > 0));
}
