//! An outbound SA: its next sequence number, its outer header, what it counts.
//!
//! What sealing a packet touches stands in its first two cache lines.

use std::sync::Arc;

use espalier_wire::plane::{DfBit, Direction, Expiry, Fragmentation, Mode, PolicyId, SaCounters, SaSpec};
use espalier_wire::{Cause, Instant, Spi, Transform};

use super::{Life, Meter, Reached, SaError, Shape, Template};
use crate::crypto::{Choice, Key};

/// What seals a policy's packets.
#[repr(C, align(64))]
pub struct Outbound {
    /// The outer headers; transport mode uses only the UDP part.
    pub template: Template,
    /// Bytes of outer packet that the path takes.
    pub mtu: Option<u16>,
    /// The engine's key.
    pub key: Arc<Key>,
    /// What it did, and when there is something to tell.
    pub meter: Meter,
    next_seq: u64,
    /// Numbers below have nothing to tell: they are neither the last nor those at which to warn.
    quiet_seq: u64,
    /// What a packet's lengths and flags become.
    pub shape: Shape,
    /// The peer's SPI.
    pub spi: Spi,
    /// When it last sent something; kept up only in UDP, where keepalives ask.
    pub last_sent: Instant,
    last_seq: u64,
    /// When to tell that nine tenths are used; past the last once told.
    warn_seq: u64,
    /// The policy it serves.
    pub policy: PolicyId,
    /// Cipher and integrity, with every length.
    pub transform: Transform,
    /// Tunnel or transport.
    pub mode: Mode,
    /// What the outer DF bit becomes.
    pub df_bit: DfBit,
    /// Fragment before or after encryption.
    pub fragmentation: Fragmentation,
    /// Its end was told.
    pub told_over: bool,
    /// Its limits.
    pub life: Life,
    /// Packets lost here.
    pub lost: u64,
}

/// A sequence number, and what taking it made known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// The number.
    pub seq: u64,
    /// Something the control plane should hear.
    pub expiry: Option<Expiry>,
}

/// What an SA's packets may take before there is something to tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// The next sequence number, …
    pub(crate) seq: u64,
    /// … and the first that is not to be taken.
    pub(crate) seq_end: u64,
    /// A packet may be taken while those before it have fewer bytes.
    pub(crate) bytes: u64,
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
        let (life, meter) = Life::new(now, spec.lifetime);
        let warn_seq = last_seq / 10 * 9;
        Ok(Self {
            spi: spec.spi,
            policy,
            key: Arc::new(key),
            transform: spec.transform,
            shape: Shape::of(spec),
            mode: spec.mode,
            template,
            df_bit: spec.df_bit,
            fragmentation: spec.fragmentation,
            mtu: spec.mtu,
            meter,
            lost: 0,
            life,
            last_sent: now,
            told_over: false,
            next_seq: 1,
            quiet_seq: warn_seq.min(last_seq),
            last_seq,
            warn_seq,
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
            self.quiet_seq = self.last_seq;
        }
        Ok(Numbered { seq, expiry: warn.then_some(Expiry::Sequence) })
    }

    /// What packets at `now` may take with nothing to tell.
    #[inline(always)]
    pub(crate) fn budget(&self, now: Instant) -> Budget {
        Budget { seq: self.next_seq, seq_end: self.quiet_seq, bytes: self.meter.quiet_bytes(now) }
    }

    /// So many packets were sealed by the budget, with so many bytes in them.
    #[inline(always)]
    pub(crate) fn spend(&mut self, packets: u64, bytes: u64) {
        self.next_seq += packets;
        self.meter.count_all(packets, bytes);
    }

    /// Look at the lifetime before a packet.
    pub fn look(&mut self, now: Instant) -> Reached {
        self.life.look(now, &mut self.meter)
    }

    /// What it did.
    pub fn counters(&self) -> SaCounters {
        let (packets, bytes) = (self.meter.packets, self.meter.bytes);
        SaCounters { packets, bytes, other: self.lost, ..SaCounters::default() }
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
    fn what_a_packet_touches_is_in_two_lines() {
        use std::mem::offset_of;
        assert_eq!((offset_of!(Outbound, template), offset_of!(Outbound, meter)), (0, 64));
        assert!(offset_of!(Outbound, key) + 8 <= 64, "the key is fetched by the first alone");
        assert!(offset_of!(Outbound, shape) + size_of::<Shape>() <= 128);
        assert!(offset_of!(Outbound, mtu) + size_of::<Option<u16>>() <= 64, "tells whether there is an SA");
        assert!(offset_of!(Outbound, spi) + size_of::<Spi>() <= 128);
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
