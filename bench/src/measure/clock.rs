//! The core's real frequency, so that cycles are core cycles and not those of a time stamp counter that ticks at its own.

use std::hint::black_box;
use std::time::Instant;

/// A multiplication that waits for the one before: three cycles on every x86-64 and aarch64 core in use.
const MULTIPLY_CYCLES: f64 = 3.0;
const MULTIPLIES: u64 = 200_000;

/// Cycles a second of the core this runs on, the fastest of several short looks (an interruption only slows one).
pub fn core_hz() -> f64 {
    (0..7).map(|_| look()).fold(0.0, f64::max)
}

fn look() -> f64 {
    let start = Instant::now();
    // Squares: a chain of factors that stay the same would be multiplied together beforehand.
    let mut x = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..MULTIPLIES / 8 {
        for _ in 0..8 {
            x = x.wrapping_mul(x);
        }
        x = black_box(x) | 1;
    }
    black_box(x);
    MULTIPLIES as f64 * MULTIPLY_CYCLES / start.elapsed().as_secs_f64()
}
