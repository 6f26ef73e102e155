//! The order of the stages around crypto, outbound and inbound, top to bottom.
//!
//! ```text
//! outbound:  fit (path MTU) -> prepare (lifetime, number, headers, padding) -> crypt -> finish (checksum, fragments)
//! inbound:   locate ESP -> reassemble -> prepare (SPI, window) -> crypt -> finish (window, trailer, ECN, selector)
//! ```
//!
//! `prepare` and `finish` belong to the owner of the SAs; `crypt` is given frames, plans and keys and nothing else.
//! What becomes of each packet is a [`Step`] in the order the packets came.

use espalier_wire::plane::{Direction, Expiry, Notice, PolicyId};
use espalier_wire::{Cause, IfIndex, Instant, Spi};

use crate::crypto::Choice;
use crate::frame::Frame;
use crate::mem::Pool;
use crate::policy::{Policies, PolicyRef};
use crate::sa::{Inbound, InboundRef, IvSource, SaTable};
use crate::stage::classify::Headers;
use crate::stage::crypt::{Plan, Work};
use crate::stage::decap::{self, Opening};
use crate::stage::encap::{self, Fit, Supplies};
use crate::stage::fragment;
use crate::stage::locate::UdpPorts;
use crate::stage::reassemble::{Lost, Reassembly};

/// What became of one packet; fragments are a step each.
#[derive(Debug)]
pub enum Step {
    /// It waits in the work list for the engine; steps and work list have one order.
    Pending,
    /// It went through an SA: the outer packet, or the inner one.
    Passed(Frame),
    /// No SA's business.
    Bypassed(Frame),
    /// Lost; with the length that would have fitted, where that was the cause.
    Lost(Frame, Cause, Option<usize>),
}

/// What the owner notes about a packet that is being sealed.
#[derive(Debug, Clone, Copy)]
pub struct Sealing {
    place: PolicyRef,
    /// The outer packet is cut into fragments of this size; 0: it is not.
    cut_after: u32,
}

/// The SAs of one worker, and what passing packets through them takes.
pub struct Security {
    /// Outbound SAs, by policy.
    pub policies: Policies,
    /// Inbound SAs, by SPI.
    pub inbound: SaTable,
    /// Where frames come from and go.
    pub pool: Pool,
    /// Which engine makes the keys of new SAs.
    pub engine: Choice,
    /// The UDP ports that ESP comes to.
    pub udp_ports: UdpPorts,
    /// Fragments that are for us.
    pub reassembly: Reassembly,
    lost_pieces: Lost,
    /// Unpredictable IVs.
    pub ivs: IvSource,
    /// The last identification of a packet born here.
    pub identification: u16,
    sealing: Work<Sealing>,
    opening: Work<Opening>,
    pieces: Vec<Frame>,
}

impl Security {
    /// No SAs yet.
    pub fn new(engine: Choice, ivs: IvSource, pool: Pool, reassembly: Reassembly) -> Self {
        Self {
            policies: Policies::default(),
            inbound: SaTable::default(),
            pool,
            engine,
            udp_ports: UdpPorts::default(),
            reassembly,
            lost_pieces: Lost::new(),
            ivs,
            identification: 0,
            sealing: Work::default(),
            opening: Work::default(),
            pieces: Vec::new(),
        }
    }

    /// The next identification of a packet born here.
    pub fn next_identification(&mut self) -> u16 {
        self.identification = self.identification.wrapping_add(1);
        self.identification
    }

    // ---- outbound ----

    /// Prepare a packet for the policy's outbound SA, fragments of it if it is too long for the SA's path MTU or
    /// `link_mtu`. The packet must be all that is in the frame. Without an SA the packet waits or is lost.
    pub fn protect(
        &mut self,
        now: Instant,
        place: PolicyRef,
        (frame, headers): (Frame, &Headers),
        link: (IfIndex, Option<usize>),
        steps: &mut Vec<Step>,
        notices: &mut Vec<Notice>,
    ) {
        let Some(policy) = self.policies.at_mut(place) else {
            return steps.push(Step::Lost(frame, Cause::NoSa, None));
        };
        let Some(sa) = policy.outbound.as_mut() else {
            if let Some((frame, cause)) = policy.without_sa(frame, headers, link.0, notices) {
                steps.push(Step::Lost(frame, cause, None));
            }
            return;
        };
        let mtu = [sa.mtu.map(usize::from), link.1].into_iter().flatten().min();
        match encap::fit(sa, headers, mtu) {
            Fit::Whole => self.number(now, place, frame, 0, steps, notices),
            Fit::CutAfter(max) => self.number(now, place, frame, max, steps, notices),
            Fit::TooBig(fits) => steps.push(Step::Lost(frame, Cause::TooBig, Some(fits))),
            Fit::CutBefore(max) => {
                let mut pieces = std::mem::take(&mut self.pieces);
                match fragment::cut(frame, headers, max, 0, &mut self.pool, &mut pieces) {
                    Ok(()) => {
                        for piece in pieces.drain(..) {
                            self.number(now, place, piece, 0, steps, notices);
                        }
                    }
                    Err((frame, cause)) => steps.push(Step::Lost(frame, cause, None)),
                }
                self.pieces = pieces;
            }
        }
    }

    /// Give a packet its number, headers and padding, and queue it for the engine.
    fn number(
        &mut self,
        now: Instant,
        place: PolicyRef,
        mut frame: Frame,
        cut_after: usize,
        steps: &mut Vec<Step>,
        notices: &mut Vec<Notice>,
    ) {
        let Some(sa) = self.policies.at_mut(place).and_then(|policy| policy.outbound.as_mut()) else {
            return steps.push(Step::Lost(frame, Cause::NoSa, None));
        };
        let mut supplies = Supplies {
            now,
            ivs: &mut self.ivs,
            identification: &mut self.identification,
            pool: &mut self.pool,
            notices,
        };
        let prepared = Headers::read(frame.bytes())
            .and_then(|headers| encap::prepare(sa, &mut frame, &headers, &mut supplies));
        match prepared {
            Ok(plan) => {
                self.sealing.push(frame, plan, Sealing { place, cut_after: cut_after as u32 });
                steps.push(Step::Pending);
            }
            Err(cause) => {
                sa.lost += 1;
                steps.push(Step::Lost(frame, cause, None));
            }
        }
    }

    /// Seal what was prepared, and put the outer packets in the place of their steps, on `done`.
    pub fn seal(&mut self, steps: &mut Vec<Step>, done: &mut Vec<Step>) {
        let policies = &self.policies;
        self.sealing.seal(|_, note| Some(&*policies.at(note.place)?.outbound.as_ref()?.key));
        let mut work = std::mem::take(&mut self.sealing);
        let mut sealed = work.drain();
        for step in steps.drain(..) {
            match step {
                Step::Pending => {
                    if let Some((frame, plan, note)) = sealed.next() {
                        self.finish_sealed(frame, plan, note, done);
                    }
                }
                other => done.push(other),
            }
        }
        drop(sealed);
        self.sealing = work;
    }

    fn finish_sealed(&mut self, mut frame: Frame, plan: Plan, note: Sealing, done: &mut Vec<Step>) {
        if !plan.done {
            return done.push(Step::Lost(frame, Cause::NoSa, None));
        }
        encap::finish(&mut frame, &plan);
        if note.cut_after == 0 {
            return done.push(Step::Passed(frame));
        }
        let identification = u32::from(self.next_identification());
        let mut pieces = std::mem::take(&mut self.pieces);
        let cut = match Headers::read(frame.bytes()) {
            Ok(outer) => {
                let max = note.cut_after as usize;
                fragment::cut(frame, &outer, max, identification, &mut self.pool, &mut pieces)
            }
            Err(cause) => Err((frame, cause)),
        };
        match cut {
            Ok(()) => done.extend(pieces.drain(..).map(Step::Passed)),
            Err((frame, cause)) => done.push(Step::Lost(frame, cause, None)),
        }
        self.pieces = pieces;
    }

    // ---- inbound ----

    /// Take a fragment; the whole packet and its headers when this was the last of it. What is lost goes to `steps`.
    pub fn gather(
        &mut self,
        now: Instant,
        frame: Frame,
        headers: &Headers,
        steps: &mut Vec<Step>,
    ) -> Option<(Frame, Headers)> {
        let whole = self.reassembly.take(now, frame, headers, &mut self.pool, &mut self.lost_pieces);
        steps.extend(self.lost_pieces.drain(..).map(|(frame, cause)| Step::Lost(frame, cause, None)));
        let whole = whole?;
        match Headers::read(whole.bytes()) {
            Ok(headers) => Some((whole, headers)),
            Err(cause) => {
                steps.push(Step::Lost(whole, cause, None));
                None
            }
        }
    }

    /// Let by what is held of the packet that `first`, its first fragment, shows to be for somebody else.
    pub fn let_by(&mut self, now: Instant, first: &Frame, headers: &Headers, steps: &mut Vec<Step>) {
        let held = self.reassembly.release_foreign(now, first, headers, &mut self.lost_pieces);
        steps.extend(held.into_iter().map(Step::Bypassed));
        steps.extend(self.lost_pieces.drain(..).map(|(frame, cause)| Step::Lost(frame, cause, None)));
    }

    /// Give up the fragments whose time is over.
    pub fn give_up_fragments(&mut self, now: Instant, steps: &mut Vec<Step>) {
        self.reassembly.expire(now, &mut self.lost_pieces);
        steps.extend(self.lost_pieces.drain(..).map(|(frame, cause)| Step::Lost(frame, cause, None)));
    }

    /// Prepare the ESP at `esp_at` of a whole packet to be opened.
    pub fn admit(
        &mut self,
        now: Instant,
        frame: Frame,
        headers: &Headers,
        esp_at: usize,
        steps: &mut Vec<Step>,
        notices: &mut Vec<Notice>,
    ) {
        match decap::prepare(&mut self.inbound, now, &frame, headers, esp_at, notices) {
            Ok((plan, opening)) => {
                self.opening.push(frame, plan, opening);
                steps.push(Step::Pending);
            }
            Err(cause) => steps.push(Step::Lost(frame, cause, None)),
        }
    }

    /// Open what was prepared, and put the inner packets in the place of their steps, on `done`.
    pub fn open(&mut self, steps: &mut Vec<Step>, done: &mut Vec<Step>) {
        let inbound = &self.inbound;
        self.opening.open(|_, opening| Some(&*inbound.at(opening.place)?.key));
        let mut opened = self.opening.drain();
        for step in steps.drain(..) {
            match step {
                Step::Pending => {
                    let Some((mut frame, plan, opening)) = opened.next() else { continue };
                    done.push(match decap::finish(&mut self.inbound, &mut frame, &plan, &opening) {
                        Ok(_) => {
                            frame.meta.opened = true;
                            Step::Passed(frame)
                        }
                        Err(cause) => Step::Lost(frame, cause, None),
                    });
                }
                other => done.push(other),
            }
        }
    }

    // ---- what happens to SAs ----

    /// Add an inbound SA, in place of one with the same SPI and destination.
    pub fn install(&mut self, sa: Inbound) -> InboundRef {
        if let Some(old) = self.inbound.find(sa.spi, sa.dst) {
            self.remove(old);
        }
        if let Some(port) = sa.udp_port {
            self.udp_ports.add(port);
        }
        self.inbound.insert(sa)
    }

    /// Remove an inbound SA.
    pub fn remove(&mut self, place: InboundRef) {
        if let Some(port) = self.inbound.remove(place).and_then(|sa| sa.udp_port) {
            self.udp_ports.remove(port);
        }
    }

    /// Take away the SAs whose end is told in `notices`.
    pub fn bury(&mut self, notices: &[Notice]) {
        for notice in notices {
            if let Notice::Expiry { policy, spi, direction, expiry: Expiry::Hard } = notice {
                self.take_away(*policy, *spi, *direction);
            }
        }
    }

    fn take_away(&mut self, policy: PolicyId, spi: Spi, direction: Direction) {
        match direction {
            Direction::Outbound => {
                if let Some(policy) = self.policies.named(policy) {
                    policy.outbound.take_if(|sa| sa.spi == spi && sa.life.is_over());
                }
            }
            Direction::Inbound => {
                for place in self.inbound.with_spi(spi) {
                    if self.inbound.at(place).is_some_and(|sa| sa.life.is_over()) {
                        self.remove(place);
                    }
                }
            }
        }
    }
}
