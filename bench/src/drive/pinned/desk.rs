//! The dataplanes of another core: who sends them parcels, who works them off, who takes them back.
//!
//! Three lanes: a ring to the core for traffic, where so many packets may be under way and no more; a ring back, which
//! always has room because no more are under way than it holds; and a channel each way for what must not be lost for
//! want of room: commands, routers' own packets, and what a dataplane does when its time has come.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration as Span;

use espalier_dataplane::batch::Batch;
use espalier_dataplane::fate::Dropped;
use espalier_dataplane::mem::Ring;
use espalier_wire::{Cause, Duration, Instant};

use super::gauge::Gauges;
use super::{Clock, Layout, SPINS};
use crate::world::World;
use crate::world::plane::{Dataplane, Job, Line, Parcel};

/// Who had nothing to do for this long sleeps between polls …
const AWAKE: Duration = Duration::from_ms(50);
/// … for this long.
const NAP: Span = Span::from_micros(50);
/// Empty parcels that are kept.
const SPARE: usize = 1024;

/// Under way to a core and back: packets by the ring, parcels by the channel.
#[derive(Debug, Default)]
struct UnderWay {
    packets: Cell<usize>,
    urgent: Cell<usize>,
}

fn more(count: &Cell<usize>, by: usize) {
    count.set(count.get() + by);
}

fn fewer(count: &Cell<usize>, by: usize) {
    count.set(count.get().saturating_sub(by));
}

/// The way to a core.
struct Way {
    ring: Ring<Box<Parcel>>,
    urgent: Sender<Box<Parcel>>,
    under_way: Rc<UnderWay>,
}

/// The ways to all of them, for the world.
struct Lines {
    ways: Vec<Way>,
    /// By router, which of them has its dataplane.
    of: Vec<usize>,
    #[allow(clippy::vec_box, reason = "the boxes themselves are kept")]
    spare: Vec<Box<Parcel>>,
    gauges: Arc<Gauges>,
}

impl Line for Lines {
    fn spare(&mut self) -> Box<Parcel> {
        self.spare.pop().unwrap_or_default()
    }

    fn give(&mut self, mut parcel: Box<Parcel>, urgent: bool, left: &mut Batch) {
        let at = self.of.get(parcel.node).copied().unwrap_or(usize::MAX);
        let (Some(way), Some(gauge)) = (self.ways.get(at), self.gauges.core(at)) else {
            return left.append(&mut parcel.frames);
        };
        parcel.packets = 0;
        if urgent {
            more(&way.under_way.urgent, 1);
            // Nobody is there any more only when that core's thread has failed: the way back says so.
            let _ = way.urgent.send(parcel);
            return;
        }
        let depth = way.under_way.packets.get();
        let room = way.ring.capacity().saturating_sub(depth);
        if parcel.frames.len() > room {
            left.extend(parcel.frames.drain(room..));
            gauge.overflowed(left.len());
        }
        parcel.packets = parcel.frames.len();
        if parcel.frames.is_empty() {
            return self.keep(parcel);
        }
        more(&way.under_way.packets, parcel.packets);
        gauge.deep(way.under_way.packets.get());
        // A parcel holds one packet at least, so there are as many places as there is room.
        let _ = way.ring.push(parcel);
    }

    fn keep(&mut self, parcel: Box<Parcel>) {
        if self.spare.len() < SPARE {
            self.spare.push(parcel);
        }
    }
}

/// The way back from a core.
pub(super) struct Back {
    ring: Ring<Box<Parcel>>,
    channel: Receiver<Box<Parcel>>,
    under_way: Rc<UnderWay>,
    at: usize,
    gauges: Arc<Gauges>,
    /// The core's thread has failed.
    pub(super) is_cut: bool,
}

impl Back {
    /// What is back.
    pub(super) fn take(&mut self) -> Option<Box<Parcel>> {
        let told = self.channel.try_recv();
        self.is_cut = matches!(told, Err(TryRecvError::Disconnected));
        let parcel = told.ok().or_else(|| self.ring.pop())?;
        if parcel.packets > 0 {
            fewer(&self.under_way.packets, parcel.packets);
            if let Some(gauge) = self.gauges.core(self.at) {
                gauge.deep(self.under_way.packets.get());
            }
        } else if parcel.is_asked {
            fewer(&self.under_way.urgent, 1);
        }
        Some(parcel)
    }

    /// Nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        (self.under_way.packets.get(), self.under_way.urgent.get()) == (0, 0)
    }
}

/// A dataplane in one of its lives.
struct Held {
    life: u64,
    plane: Dataplane,
}

/// What runs on another core.
pub(super) struct Desk {
    planes: Vec<Option<Held>>,
    ring: Ring<Box<Parcel>>,
    back: Ring<Box<Parcel>>,
    orders: Receiver<Box<Parcel>>,
    answers: Sender<Box<Parcel>>,
    clock: Clock,
    at: usize,
    gauges: Arc<Gauges>,
}

impl Desk {
    /// Until it is told to stop.
    pub(super) fn work(mut self, stop: &AtomicBool) {
        let (mut idle, mut since) = (0, self.clock.now());
        while !stop.load(Ordering::Acquire) {
            let now = self.clock.now();
            if self.turn(now) {
                (idle, since) = (0, self.clock.now());
                if let Some(gauge) = self.gauges.core(self.at) {
                    gauge.worked(now, since);
                }
            } else if idle < SPINS {
                idle += 1;
                std::hint::spin_loop();
            } else if now - since < AWAKE {
                thread::yield_now();
            } else {
                thread::sleep(NAP);
            }
        }
    }

    /// Whether there was anything to do.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        // A command that was given before a parcel is seen before it: so the parcel is taken out first.
        let parcel = self.ring.pop();
        let mut worked = parcel.is_some();
        while let Ok(mut order) = self.orders.try_recv() {
            worked = true;
            self.perform(now, &mut order);
            // Who is not there any more needs no answer.
            let _ = self.answers.send(order);
        }
        if let Some(mut parcel) = parcel {
            self.perform(now, &mut parcel);
            // There is room for all that are under way; if there were not, the other way has it.
            if let Err(parcel) = self.back.push(parcel) {
                let _ = self.answers.send(parcel);
            }
        }
        self.ticks(now) || worked
    }

    fn perform(&mut self, now: Instant, parcel: &mut Parcel) {
        let Parcel { node, life, job, frames, said, .. } = parcel;
        let Some(held) = self.planes.get_mut(*node) else { return };
        if let Some(gauge) = self.gauges.core(self.at) {
            gauge.took(frames.len());
        }
        match (mem::replace(job, Job::Tick), held) {
            (Job::Replace(plane), held) => *held = Some(Held { life: *life, plane: *plane }),
            (job, Some(held)) if held.life == *life => {
                held.plane.perform(now, job, frames, said);
            }
            // The router lost its power after these frames had come.
            _ => {
                let cause = Cause::NodeDown;
                said.out.drops.extend(frames.drain(..).map(|frame| Dropped { frame, cause }));
            }
        }
    }

    /// What is due by itself.
    fn ticks(&mut self, now: Instant) -> bool {
        let mut worked = false;
        for (node, held) in self.planes.iter_mut().enumerate() {
            let Some(held) = held else { continue };
            if held.plane.next_deadline().is_some_and(|at| at <= now) {
                worked = true;
                let mut parcel = Box::new(Parcel { node, life: held.life, ..Parcel::default() });
                held.plane.perform(now, Job::Tick, &mut parcel.frames, &mut parcel.said);
                let _ = self.answers.send(parcel);
            }
        }
        worked
    }
}

/// Take the dataplanes of these routers to cores of their own.
pub(super) fn set_up(
    world: &mut World,
    places: &[Vec<usize>],
    layout: &Layout,
    clock: Clock,
) -> (Vec<Back>, Vec<Desk>) {
    let (mut ways, mut backs, mut desks) = (Vec::new(), Vec::new(), Vec::new());
    let mut of = vec![usize::MAX; world.routers()];
    for (at, nodes) in places.iter().enumerate() {
        let (ring, back) = (Ring::new(layout.ring), Ring::new(layout.ring));
        let ((urgent, orders), (answers, channel)) = (channel(), channel());
        let (under_way, gauges) = (Rc::new(UnderWay::default()), &layout.gauges);
        for node in nodes {
            of[*node] = at;
        }
        ways.push(Way { ring: ring.clone(), urgent, under_way: Rc::clone(&under_way) });
        backs.push(Back {
            ring: back.clone(),
            channel,
            under_way,
            at,
            gauges: Arc::clone(gauges),
            is_cut: false,
        });
        let planes = of.iter().map(|_| None).collect();
        desks.push(Desk { planes, ring, back, orders, answers, clock, at, gauges: Arc::clone(gauges) });
    }
    let away: Vec<usize> = places.concat();
    if !away.is_empty() {
        let gauges = Arc::clone(&layout.gauges);
        world.send_away(&away, Box::new(Lines { ways, of, spare: Vec::new(), gauges }));
    }
    (backs, desks)
}
