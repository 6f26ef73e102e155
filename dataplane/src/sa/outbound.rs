//! An outbound SA: its next sequence number, its outer header, what it counts.

use std::sync::Arc;

use espalier_wire::plane::{DfBit, Direction, Expiry, Fragmentation, Mode, PolicyId, SaCounters, SaSpec};
use espalier_wire::{Cause, Instant, Spi, Transform};

use super::{Life, Reached, SaError, Shape, Template};
use crate::crypto::{Choice, Key};

/// What seals a policy's packets.
pub struct Outbound {
    /// The peer's SPI.
    pub spi: Spi,
    /// The policy it serves.
    pub policy: PolicyId,
    /// The engine's key.
    pub key: Arc<Key>,
    /// Cipher and integrity, with every length.
    pub transform: Transform,
    /// What the transform asks of a packet's lengths.
    pub shape: Shape,
    /// Tunnel or transport.
    pub mode: Mode,
    /// The outer headers; transport mode uses only the UDP part.
    pub template: Template,
    /// What the outer DF bit becomes.
    pub df_bit: DfBit,
    /// Fragment before or after encryption.
    pub fragmentation: Fragmentation,
    /// Bytes of outer packet that the path takes.
    pub mtu: Option<u16>,
    /// What it did.
    pub counters: SaCounters,
    /// Its limits.
    pub life: Life,
    /// When it last sent something.
    pub last_sent: Instant,
    /// Its end was told.
    pub told_over: bool,
    next_seq: u64,
    last_seq: u64,
    /// When to tell that nine tenths are used; past the last once told.
    warn_seq: u64,
}

/// A sequence number, and what taking it made known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// The number.
    pub seq: u64,
    /// Something the control plane should hear.
    pub expiry: Option<Expiry>,
}

impl Outbound {
    /// An SA from what the control plane says, installed at `now`, its key made by `engine`.
    ///
    /// # Errors
    /// [`SaError`].
    pub fn new(
        now: Instant,
        policy: PolicyId,
        spec: &SaSpec,
        engine: Choice,
        ttl: u8,
    ) -> Result<Self, SaError> {
        if spec.spi.0 == 0 {
            return Err(SaError::ZeroSpi);
        }
        let template =
            Template::new(spec.src, spec.dst, spec.udp_encap, ttl).ok_or(SaError::Family(spec.spi))?;
        let (key, auth_key) = (spec.key.bytes(), spec.auth_key.bytes());
        let key = engine.key(spec.transform, Direction::Outbound, key, auth_key, spec.esn)?;
        let last_seq = if spec.esn { u64::MAX } else { u64::from(u32::MAX) };
        Ok(Self {
            spi: spec.spi,
            policy,
            key: Arc::new(key),
            transform: spec.transform,
            shape: Shape::of(spec.transform),
            mode: spec.mode,
            template,
            df_bit: spec.df_bit,
            fragmentation: spec.fragmentation,
            mtu: spec.mtu,
            counters: SaCounters::default(),
            life: Life::new(now, spec.lifetime),
            last_sent: now,
            told_over: false,
            next_seq: 1,
            last_seq,
            warn_seq: last_seq / 10 * 9,
        })
    }

    /// Take the next sequence number. They never cycle (RFC 4303 section 3.3.3).
    ///
    /// # Errors
    /// [`Cause::SequenceExhausted`].
    pub fn number(&mut self) -> Result<Numbered, Cause> {
        let seq = self.next_seq;
        if seq > self.last_seq || seq == u64::MAX {
            return Err(Cause::SequenceExhausted);
        }
        self.next_seq = seq + 1;
        let warn = seq >= self.warn_seq;
        if warn {
            self.warn_seq = u64::MAX;
        }
        Ok(Numbered { seq, expiry: warn.then_some(Expiry::Sequence) })
    }

    /// Whether a packet at `now` would take its number with nothing to tell.
    #[inline]
    pub fn is_quiet(&self, now: Instant) -> bool {
        self.life.is_quiet(now, self.counters.bytes) && self.next_seq < self.warn_seq.min(self.last_seq)
    }

    /// Take the next sequence number of an SA that [is quiet](Self::is_quiet).
    #[inline]
    pub(crate) fn take_quiet_number(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq = seq.saturating_add(1);
        seq
    }

    /// Look at the lifetime before a packet.
    pub fn look(&mut self, now: Instant) -> Reached {
        self.life.look(now, self.counters.bytes)
    }

    /// Bytes of outer packet that `payload` bytes become, headers of the tunnel included (transport mode: without the
    /// packet's own IP header).
    pub fn sealed_len(&self, payload: usize) -> usize {
        let before = match self.mode {
            Mode::Tunnel => self.template.before_spi(),
            Mode::Transport => self.template.udp_len(),
        };
        before + self.transform.sealed_len(payload)
    }

    /// The most payload whose outer packet has at most `outer` bytes: the inverse of [`Outbound::sealed_len`].
    pub fn payload_within(&self, outer: usize) -> usize {
        let fixed = self.sealed_len(0) - self.transform.cipher().block_len().max(4);
        let room = outer.saturating_sub(fixed);
        // The block is 4, 8 or 16: rounding down needs no division.
        (room & !(self.transform.cipher().block_len() - 1)).saturating_sub(2)
    }

    /// Go on from `seq`: a replacement continues where another node stopped, or a test shortens four billion packets.
    pub fn resume_at(&mut self, seq: u64) {
        self.next_seq = seq.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn numbers_end_and_warn_once() {
        let mut sa = testing::outbound(&testing::spec(1));
        sa.resume_at(u64::from(u32::MAX) / 10 * 9);
        assert_eq!(sa.number().map(|n| n.expiry), Ok(Some(Expiry::Sequence)));
        assert_eq!(sa.number().map(|n| n.expiry), Ok(None));
        sa.resume_at(u64::from(u32::MAX));
        assert_eq!(sa.number().map(|n| n.seq), Ok(u64::from(u32::MAX)));
        assert_eq!(sa.number(), Err(Cause::SequenceExhausted));
        let mut extended = testing::outbound(&SaSpec { esn: true, ..testing::spec(1) });
        extended.resume_at(u64::from(u32::MAX) + 1);
        assert_eq!(extended.number().map(|n| n.seq), Ok(1 << 32));
    }

    #[test]
    fn payload_within_is_the_inverse_of_sealed_len() {
        for transform in Transform::ALL {
            let sa = testing::outbound(&SaSpec { transform: *transform, ..testing::spec(1) });
            for mtu in 100..400 {
                let fits = sa.payload_within(mtu);
                assert!(
                    sa.sealed_len(fits) <= mtu && sa.sealed_len(fits + 1) > mtu,
                    "{transform} {mtu} {fits}"
                );
            }
        }
    }
}
