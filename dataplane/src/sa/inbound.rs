//! An inbound SA: its window, what it may carry, what it counts.

use std::net::IpAddr;
use std::sync::Arc;

use espalier_wire::plane::{Direction, Mode, PolicyId, SaCounters, SaSpec};
use espalier_wire::{Cause, Instant, Spi, Transform};

use super::{Life, Reached, SaError, Shape, WINDOW_MAX, Window};
use crate::crypto::{Choice, Key};
use crate::policy::Matcher;

/// What opens the packets that carry its SPI.
pub struct Inbound {
    /// Ours.
    pub spi: Spi,
    /// Our outer address: a part of what identifies the SA.
    pub dst: IpAddr,
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
    /// Extended sequence numbers.
    pub esn: bool,
    /// The sequence numbers seen.
    pub window: Window,
    /// What may be inside.
    pub selector: Option<Matcher>,
    /// The UDP port its packets come to, where a NAT is on the way.
    pub udp_port: Option<u16>,
    /// What it did.
    pub counters: SaCounters,
    /// Its limits.
    pub life: Life,
    /// Its end was told.
    pub told_over: bool,
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
        Ok(Self {
            spi: spec.spi,
            dst: spec.dst,
            policy,
            key: Arc::new(key),
            transform: spec.transform,
            shape: Shape::of(spec.transform),
            mode: spec.mode,
            esn: spec.esn,
            window: Window::new(spec.replay_window),
            selector: spec.selector.as_ref().map(Matcher::new),
            udp_port: spec.udp_encap.map(|ports| ports.dst),
            counters: SaCounters::default(),
            life: Life::new(now, spec.lifetime),
            told_over: false,
        })
    }

    /// Whether a packet at `now` would find nothing to tell of the lifetime.
    #[inline]
    pub fn is_quiet(&self, now: Instant) -> bool {
        self.life.is_quiet(now, self.counters.bytes)
    }

    /// Look at the lifetime before a packet.
    pub fn look(&mut self, now: Instant) -> Reached {
        self.life.look(now, self.counters.bytes)
    }

    /// Count a packet lost to `cause` here.
    pub fn lost(&mut self, cause: Cause) -> Cause {
        match cause {
            Cause::Integrity => self.counters.integrity += 1,
            Cause::Replay => self.counters.replay += 1,
            _ => self.counters.other += 1,
        }
        cause
    }
}
