//! What each engine takes for each transform, direction and size, nothing around it: bursts of 64 jobs of one SA over a
//! working set of 256 buffers. A benchmark's name is `engine/transform/direction/size`, size in bytes of the inner
//! packet; what is timed is its padded ESP. Throughput counts inner bytes.
//!
//! `cargo bench -p espalier-dataplane --bench crypto -- 'library/aes128-gcm'`

#![allow(clippy::expect_used, reason = "a bench that cannot start has nothing to say")]

use criterion::measurement::{Measurement, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use espalier_dataplane::crypto::{self, Engine, Engines, Job, Key};
use espalier_wire::Transform;
use espalier_wire::plane::Direction;

const BUFFERS: usize = 256;
const BURST: usize = 64;
/// Not a power of two, whose lines would all fall into the same sets of the cache.
const STRIDE: usize = 2048 + 64;

/// The buffers as they are before a run: sealed for the inbound key, plain for the outbound one.
fn working_set(
    engine: &dyn Engine,
    transform: Transform,
    direction: Direction,
    len: usize,
) -> (Key, Vec<u8>) {
    let secret: Vec<u8> = (1..=100).collect();
    let (cipher, auth) = (&secret[..transform.key_len()], &secret[..transform.auth_key_len()]);
    let make = |d| engine.key(transform, d, cipher, auth, false).expect("covered, and of its lengths");
    let mut arena: Vec<u8> = (0..BUFFERS * STRIDE).map(|i| (i * 31 + i / 257) as u8).collect();
    if direction == Direction::Inbound {
        let key = make(Direction::Outbound);
        let mut jobs = jobs(&key, &mut arena, len);
        crypto::seal(&mut jobs);
        assert!(jobs.iter().all(|job| job.verified));
    }
    (make(direction), arena)
}

fn jobs<'a>(key: &'a Key, arena: &'a mut [u8], len: usize) -> Vec<Job<'a>> {
    arena.chunks_exact_mut(STRIDE).map(|buffer| Job::new(key, &mut buffer[..len], 0)).collect()
}

fn bench(c: &mut Criterion, engine: &dyn Engine, transform: Transform, direction: Direction, size: usize) {
    let len = transform.sealed_len(size);
    let (name, run): (_, fn(&mut [Job<'_>])) = match direction {
        Direction::Outbound => ("seal", crypto::seal),
        Direction::Inbound => ("open", crypto::open),
    };
    let (key, before) = working_set(engine, transform, direction, len);
    let mut arena = before.clone();
    let mut group = c.benchmark_group(format!("{}/{transform}/{name}", engine.id()));
    group.throughput(Throughput::Bytes((BURST * size) as u64));
    group.bench_function(size.to_string(), |b| {
        b.iter_custom(|bursts| {
            let mut total = WallTime.zero();
            let mut left = bursts as usize;
            while left > 0 {
                let now = left.min(BUFFERS / BURST);
                left -= now;
                arena.copy_from_slice(&before);
                let mut jobs = jobs(&key, &mut arena, len);
                let start = WallTime.start();
                jobs.chunks_exact_mut(BURST).take(now).for_each(run);
                total = WallTime.add(&total, &WallTime.end(start));
                assert!(jobs.iter().take(now * BURST).all(|job| job.verified));
            }
            total
        });
    });
    group.finish();
}

fn all(c: &mut Criterion) {
    for engine in Engines::all() {
        for transform in Transform::ALL.iter().filter(|t| engine.covers(**t)) {
            for direction in [Direction::Outbound, Direction::Inbound] {
                for size in [64, 512, 1408] {
                    bench(c, engine, *transform, direction, size);
                }
            }
        }
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
