//! Initialisation vectors that no observer can predict, for CBC (RFC 3602 section 3).

use espalier_wire::random::Random;

const BLOCK: usize = 1024;

/// A worker's own stream of random bytes, drawn in blocks so that ChaCha20 runs at full width.
pub struct IvSource {
    random: Random,
    block: Box<[u8; BLOCK]>,
    used: usize,
}

impl IvSource {
    /// IVs from `random`, which must be worth a secret where the traffic is.
    pub fn new(random: Random) -> Self {
        Self { random, block: Box::new([0; BLOCK]), used: BLOCK }
    }

    /// Fill `iv`, at most 16 bytes of it.
    pub fn fill(&mut self, iv: &mut [u8]) {
        let len = iv.len().min(16);
        if self.used + len > BLOCK {
            self.random.fill(&mut self.block[..]);
            self.used = 0;
        }
        let fresh = &mut self.block[self.used..self.used + len];
        iv[..len].copy_from_slice(fresh);
        // What was sent must not be found again in memory next to what is still to come.
        fresh.fill(0);
        self.used += len;
    }
}

impl std::fmt::Debug for IvSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IvSource")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_iv_comes_twice() {
        let mut source = IvSource::new(Random::from_seed(1));
        let mut seen = BTreeSet::new();
        for n in 0..1000 {
            let mut iv = [0; 16];
            source.fill(&mut iv[..if n % 3 == 0 { 8 } else { 16 }]);
            assert!(seen.insert(iv));
        }
    }
}
