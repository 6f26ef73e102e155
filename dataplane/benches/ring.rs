//! What a packet's way to another core and back costs in batches of 32, two batches under way: by the ring that parcels
//! take (`spsc`), and by what it was chosen over.
//!
//! Where batches move as boxes only the box does; where packets move each takes a slot. Every packet is touched at both
//! ends. Both poll, on the first two cores; on one core alone it says so and measures nothing.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam::queue::ArrayQueue;
use espalier_dataplane::mem::{Receiver, Sender, spsc};

const BATCH: usize = 32;
/// Batches under way.
const DEPTH: usize = 2;

/// As large as what a frame moves as.
type Packet = [usize; 2];
type Parcel = Box<Vec<Packet>>;

/// What puts packets in keeps the emptied parcel, …
trait Put: Send {
    fn put(&mut self, parcel: Parcel, spare: &mut Vec<Parcel>) -> Result<(), Parcel>;
}

/// … and what takes them out wants one.
trait Take: Send {
    fn take(&mut self, spare: &mut Vec<Parcel>) -> Option<Parcel>;
}

impl Put for Sender<Vec<Packet>> {
    fn put(&mut self, parcel: Parcel, _: &mut Vec<Parcel>) -> Result<(), Parcel> {
        self.push(parcel)
    }
}

impl Take for Receiver<Vec<Packet>> {
    fn take(&mut self, _: &mut Vec<Parcel>) -> Option<Parcel> {
        self.pop()
    }
}

impl Put for Arc<ArrayQueue<Parcel>> {
    fn put(&mut self, parcel: Parcel, _: &mut Vec<Parcel>) -> Result<(), Parcel> {
        self.push(parcel)
    }
}

impl Take for Arc<ArrayQueue<Parcel>> {
    fn take(&mut self, _: &mut Vec<Parcel>) -> Option<Parcel> {
        self.pop()
    }
}

impl Put for rtrb::Producer<Parcel> {
    fn put(&mut self, parcel: Parcel, _: &mut Vec<Parcel>) -> Result<(), Parcel> {
        self.push(parcel).map_err(|rtrb::PushError::Full(parcel)| parcel)
    }
}

impl Take for rtrb::Consumer<Parcel> {
    fn take(&mut self, _: &mut Vec<Parcel>) -> Option<Parcel> {
        self.pop().ok()
    }
}

/// Packets by chunks of a batch.
struct Chunks<T>(T);

impl Put for Chunks<rtrb::Producer<Packet>> {
    fn put(&mut self, mut parcel: Parcel, spare: &mut Vec<Parcel>) -> Result<(), Parcel> {
        match self.0.write_chunk_uninit(BATCH) {
            Ok(chunk) => {
                chunk.fill_from_iter(parcel.drain(..));
                spare.push(parcel);
                Ok(())
            }
            Err(_) => Err(parcel),
        }
    }
}

impl Take for Chunks<rtrb::Consumer<Packet>> {
    fn take(&mut self, spare: &mut Vec<Parcel>) -> Option<Parcel> {
        let chunk = self.0.read_chunk(BATCH).ok()?;
        let mut parcel = spare.pop().unwrap_or_default();
        parcel.extend(chunk);
        Some(parcel)
    }
}

/// Packets one by one, through a queue that many may use.
struct Singly(Arc<ArrayQueue<Packet>>);

impl Put for Singly {
    fn put(&mut self, mut parcel: Parcel, spare: &mut Vec<Parcel>) -> Result<(), Parcel> {
        if self.0.len() + parcel.len() > self.0.capacity() {
            return Err(parcel);
        }
        for packet in parcel.drain(..) {
            let _ = self.0.push(packet);
        }
        spare.push(parcel);
        Ok(())
    }
}

impl Take for Singly {
    fn take(&mut self, spare: &mut Vec<Parcel>) -> Option<Parcel> {
        if self.0.len() < BATCH {
            return None;
        }
        let mut parcel = spare.pop().unwrap_or_default();
        parcel.extend(std::iter::from_fn(|| self.0.pop()).take(BATCH));
        Some(parcel)
    }
}

fn touch(parcel: &mut Parcel) {
    parcel.iter_mut().for_each(|packet| packet[0] += 1);
}

fn pin(core: usize) {
    core_affinity::set_for_current(core_affinity::CoreId { id: core });
}

fn hop(
    c: &mut Criterion,
    (here, other): (usize, usize),
    name: &str,
    (mut to, mut there): (impl Put, impl Take),
    (mut back, mut from): (impl Put, impl Take),
) {
    let (ready, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(other);
            ready.store(true, Ordering::Release);
            let (mut spare, mut done) = (Vec::new(), VecDeque::new());
            while !stop.load(Ordering::Acquire) {
                if let Some(mut parcel) = there.take(&mut spare) {
                    touch(&mut parcel);
                    done.push_back(parcel);
                }
                if let Some(parcel) = done.pop_front()
                    && let Err(parcel) = back.put(parcel, &mut spare)
                {
                    done.push_front(parcel);
                }
            }
        });
        pin(here);
        // It begins where this thread is, and must get away before this one polls.
        while !ready.load(Ordering::Acquire) {
            thread::yield_now();
        }
        let mut group = c.benchmark_group("ring");
        group.throughput(Throughput::Elements(BATCH as u64)).measurement_time(Duration::from_secs(1));
        group.warm_up_time(Duration::from_millis(200)).sample_size(20);
        let mut spare: Vec<Parcel> = (0..DEPTH).map(|_| Box::new(vec![[0; 2]; BATCH])).collect();
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                let (start, mut came, mut under_way) = (Instant::now(), 0, 0);
                while came < rounds {
                    if under_way < DEPTH {
                        let mut parcel = spare.pop().unwrap_or_else(|| Box::new(vec![[0; 2]; BATCH]));
                        parcel.resize(BATCH, [0; 2]);
                        match to.put(parcel, &mut spare) {
                            Ok(()) => under_way += 1,
                            Err(parcel) => spare.push(parcel),
                        }
                    }
                    if let Some(mut parcel) = from.take(&mut spare) {
                        touch(&mut parcel);
                        spare.push(parcel);
                        (came, under_way) = (came + 1, under_way - 1);
                    }
                }
                let took = start.elapsed();
                while under_way > 0 {
                    if let Some(parcel) = from.take(&mut spare) {
                        spare.push(parcel);
                        under_way -= 1;
                    }
                }
                took
            });
        });
        group.finish();
        stop.store(true, Ordering::Release);
    });
}

fn hops(c: &mut Criterion) {
    // Asked once: a pinned thread sees one core.
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let [here, other, ..] = cores[..] else { return println!("ring: needs two cores") };
    let cores = (here.id, other.id);
    hop(c, cores, "spsc", spsc(DEPTH), spsc(DEPTH));
    let queue = || {
        let queue = Arc::new(ArrayQueue::<Parcel>::new(DEPTH));
        (Arc::clone(&queue), queue)
    };
    hop(c, cores, "array-queue", queue(), queue());
    hop(c, cores, "rtrb", rtrb::RingBuffer::<Parcel>::new(DEPTH), rtrb::RingBuffer::<Parcel>::new(DEPTH));
    let chunks = || {
        let (to, from) = rtrb::RingBuffer::<Packet>::new(DEPTH * BATCH);
        (Chunks(to), Chunks(from))
    };
    hop(c, cores, "rtrb-chunks", chunks(), chunks());
    let singly = || {
        let queue = Arc::new(ArrayQueue::<Packet>::new(DEPTH * BATCH));
        (Singly(Arc::clone(&queue)), Singly(queue))
    };
    hop(c, cores, "array-queue-singly", singly(), singly());
}

criterion_group!(benches, hops);
criterion_main!(benches);
