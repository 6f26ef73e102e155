//! Randomness as a value: given to whoever needs it, never taken from the system here.
//!
//! A simulated run seeds it with a number, so that the same seed gives the same bytes; a run on real interfaces seeds
//! it from the operating system. It is ChaCha20, so what it gives is fit for keys, cookies and IVs.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use crate::Duration;

/// A stream of random bytes. [`Random::fork`] gives each user a stream of its own, so that one more draw in one place
/// does not move every draw elsewhere.
pub struct Random(ChaCha20Rng);

impl Random {
    /// From 32 bytes of entropy.
    pub fn from_entropy(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// From a run's seed: reproducible, and worth no secret.
    pub fn from_seed(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self::from_entropy(bytes)
    }

    /// A stream of its own for the user named `label`: the same parent and label give the same stream.
    pub fn fork(&self, label: &str) -> Self {
        let mut seed = self.0.get_seed();
        // FNV-1a, to spread the label over the seed; the secrecy is in the parent's seed and ChaCha20.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in label.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        for (byte, mix) in seed[16..24].iter_mut().zip(hash.to_le_bytes()) {
            *byte ^= mix;
        }
        seed[24] = seed[24].wrapping_add(1);
        let mut child = [0; 32];
        ChaCha20Rng::from_seed(seed).fill_bytes(&mut child);
        Self::from_entropy(child)
    }

    /// Any 32 bits.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Any 64 bits.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Fill `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// Uniform below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let product = u128::from(self.u64()) * u128::from(n);
        (product >> 64) as u64
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform between `low` and `high`.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = high.saturating_sub(low).as_ns();
        low + Duration::from_ns(self.below(span.saturating_add(1)))
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_depends_on_its_label_and_seed_alone() {
        let draw = |seed, label| Random::from_seed(seed).fork(label).u64();
        assert_eq!(draw(1, "iv"), draw(1, "iv"));
        assert_ne!(draw(1, "iv"), draw(1, "ike"));
        assert_ne!(draw(1, "iv"), draw(2, "iv"));
        let mut parent = Random::from_seed(1);
        parent.u64();
        assert_eq!(parent.fork("iv").u64(), draw(1, "iv"), "draws of the parent do not move the child");
    }

    #[test]
    fn bounds_hold() {
        let mut r = Random::from_seed(7);
        for _ in 0..1000 {
            assert!(r.below(10) < 10);
            assert!((0.0..1.0).contains(&r.unit()));
            let d = r.between(Duration::from_ms(950), Duration::from_ms(1000));
            assert!((950_000_000..=1_000_000_000).contains(&d.as_ns()));
        }
        assert_eq!(r.below(0), 0);
    }
}
