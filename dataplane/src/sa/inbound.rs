//! An inbound SA: its window, what it may carry, what it counts.
//!
//! What opening a packet touches stands in its first two cache lines.

use std::net::IpAddr;
use std::sync::Arc;

use espalier_wire::plane::{Direction, Mode, PolicyId, SaCounters, SaSpec};
use espalier_wire::{Cause, Instant, Spi, Transform};

use super::{Life, Meter, Reached, SaError, Shape, WINDOW_MAX, Window};
use crate::crypto::{Choice, Key};
use crate::policy::Matcher;

/// What opens the packets that carry its SPI.
#[repr(C, align(64))]
pub struct Inbound {
    /// The sequence numbers seen.
    pub window: Window,
    /// Which of the SAs it is that were ever in its place.
    pub(super) generation: u32,
    /// What a packet's lengths become.
    pub shape: Shape,
    /// Extended sequence numbers.
    pub esn: bool,
    /// The UDP port its packets come to, where a NAT is on the way.
    pub udp_port: Option<u16>,
    /// The engine's key.
    pub key: Arc<Key>,
    /// What it did, and when there is something to tell.
    pub meter: Meter,
    /// Where the answer about the flow of its last packet is first looked for: it may be wanted again.
    pub(crate) last_flow: u32,
    /// Our outer address: a part of what identifies the SA.
    pub dst: IpAddr,
    /// Whether a selector says what may be inside: asked of every packet, and the selector itself lies farther off.
    pub(crate) selects: bool,
    /// Ours.
    pub spi: Spi,
    /// The policy it serves.
    pub policy: PolicyId,
    /// Cipher and integrity, with every length.
    pub transform: Transform,
    /// Tunnel or transport.
    pub mode: Mode,
    /// Its end was told.
    pub told_over: bool,
    /// What may be inside.
    pub selector: Option<Matcher>,
    /// Its limits.
    pub life: Life,
    lost: SaCounters,
}

impl Inbound {
    /// An SA from what the control plane says, installed at `now`, its key made by `engine`.
    ///
    /// # Errors
    /// [`SaError`].
    pub fn new(now: Instant, policy: PolicyId, spec: &SaSpec, engine: Choice) -> Result<Self, SaError> {
        if spec.spi.0 == 0 {
            return Err(SaError::ZeroSpi);
        }
        if spec.src.is_ipv4() != spec.dst.is_ipv4() {
            return Err(SaError::Family(spec.spi));
        }
        if spec.replay_window > WINDOW_MAX {
            return Err(SaError::Window { spi: spec.spi, size: spec.replay_window });
        }
        let (key, auth_key) = (spec.key.bytes(), spec.auth_key.bytes());
        let key = engine.key(spec.transform, Direction::Inbound, key, auth_key, spec.esn)?;
        let (life, meter) = Life::new(now, spec.lifetime);
        Ok(Self {
            generation: 0,
            spi: spec.spi,
            dst: spec.dst,
            policy,
            key: Arc::new(key),
            transform: spec.transform,
            shape: Shape::of(spec),
            mode: spec.mode,
            esn: spec.esn,
            window: Window::new(spec.replay_window),
            selects: spec.selector.is_some(),
            selector: spec.selector.as_ref().map(Matcher::new),
            udp_port: spec.udp_encap.map(|ports| ports.dst),
            meter,
            lost: SaCounters::default(),
            life,
            told_over: false,
            last_flow: 0,
        })
    }

    /// Whether a packet at `now` would find nothing to tell of the lifetime.
    #[inline(always)]
    pub fn is_quiet(&self, now: Instant) -> bool {
        self.meter.is_quiet(now)
    }

    /// Look at the lifetime before a packet.
    pub fn look(&mut self, now: Instant) -> Reached {
        self.life.look(now, &mut self.meter)
    }

    /// Count a packet lost to `cause` here.
    pub fn lost(&mut self, cause: Cause) -> Cause {
        match cause {
            Cause::Integrity => self.lost.integrity += 1,
            Cause::Replay => self.lost.replay += 1,
            _ => self.lost.other += 1,
        }
        cause
    }

    /// What it did.
    pub fn counters(&self) -> SaCounters {
        SaCounters { packets: self.meter.packets, bytes: self.meter.bytes, ..self.lost }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn what_a_packet_touches_is_in_two_lines() {
        assert!(offset_of!(Inbound, window) == 0 && offset_of!(Inbound, spi) + size_of::<Spi>() <= 128);
        assert!(offset_of!(Inbound, key) + 8 <= 64, "the key is fetched by the first alone");
    }
}
