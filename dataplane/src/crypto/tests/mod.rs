//! Every engine against published vectors and against the scalar twin. All of it runs over `Engines::all()`: an engine
//! added later is covered as it is.

use super::*;

mod twins;

/// Bytes that look random and are the same in every run.
struct Bytes(u64);

impl Bytes {
    fn number(&mut self) -> u64 {
        // xorshift64* of Vigna, good enough to fill packets.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.number() % n as u64) as usize
    }

    fn vec(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.number() as u8).collect()
    }
}

/// Every engine with every transform it covers.
fn covered() -> impl Iterator<Item = (&'static dyn Engine, Transform)> {
    Engines::all().flat_map(|e| Transform::ALL.iter().filter(move |t| e.covers(**t)).map(move |t| (e, *t)))
}

/// One packet, one job.
fn run_one(key: &Key, bytes: &mut [u8], seq_hi: u32) -> bool {
    let mut jobs = [Job::new(key, bytes, seq_hi)];
    match key.direction {
        Direction::Outbound => seal(&mut jobs),
        Direction::Inbound => open(&mut jobs),
    }
    jobs[0].verified
}
