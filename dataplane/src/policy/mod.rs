//! Policy: which packets go through which SA, and what becomes of those whose SA is not there.

mod rules;

pub use rules::{Matcher, RuleSet, Verdict};

use std::collections::{BTreeMap, VecDeque};

use espalier_wire::plane::{Notice, PolicyId, Unprotected};
use espalier_wire::{Cause, IfIndex};

use crate::frame::Frame;
use crate::mem::prefetch_line;
use crate::sa::Outbound;
use crate::stage::classify::Headers;

/// A policy's place in [`Policies`]: what rules are compiled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyRef(u32);

impl PolicyRef {
    /// The same as a number …
    pub(crate) const fn part(self) -> u32 {
        self.0
    }

    /// … and back.
    pub(crate) const fn of_part(part: u32) -> Self {
        Self(part)
    }
}

/// One policy: its outbound SA, or what is done without.
pub struct Policy {
    /// As the control plane numbers it.
    pub id: PolicyId,
    /// The SA its packets go through.
    pub outbound: Option<Outbound>,
    /// What becomes of them while there is none.
    pub unprotected: Unprotected,
    /// Those that wait for one, and the interface they would leave by.
    pub waiting: VecDeque<(IfIndex, Frame)>,
    /// Packets lost for want of an SA.
    pub send_errors: u64,
}

/// No more of these a batch: the control plane asks for an SA once, however many packets want it.
const NOTICES_MAX: usize = 64;

impl Policy {
    /// What becomes of a packet while there is no SA: it waits (`None`), or it is lost.
    pub fn without_sa(
        &mut self,
        frame: Frame,
        headers: &Headers,
        iface: IfIndex,
        notices: &mut Vec<Notice>,
    ) -> Option<(Frame, Cause)> {
        let told = |notice: &Notice| matches!(notice, Notice::NeedSa { policy, .. } if *policy == self.id);
        if self.unprotected.ask && notices.len() < NOTICES_MAX && !notices.iter().any(told) {
            let (src, dst) = (headers.flow.src(), headers.flow.dst());
            notices.push(Notice::NeedSa { policy: self.id, src, dst });
        }
        if self.waiting.len() < usize::from(self.unprotected.queue) {
            self.waiting.push_back((iface, frame));
            return None;
        }
        self.send_errors += 1;
        let cause = if self.unprotected.queue > 0 { Cause::SaQueue } else { self.unprotected.cause };
        Some((frame, cause))
    }
}

/// All policies of a worker. They are few and never forgotten; what changes is their SAs.
#[derive(Default)]
pub struct Policies {
    by_id: BTreeMap<PolicyId, PolicyRef>,
    all: Vec<Policy>,
}

impl Policies {
    /// The place of the policy `id`, made when it is new: then it asks for an SA and loses its packets to `no-sa`.
    pub fn place(&mut self, id: PolicyId) -> PolicyRef {
        *self.by_id.entry(id).or_insert_with(|| {
            let unprotected = Unprotected { cause: Cause::NoSa, ask: true, queue: 0 };
            let waiting = VecDeque::new();
            self.all.push(Policy { id, outbound: None, unprotected, waiting, send_errors: 0 });
            PolicyRef(self.all.len() as u32 - 1)
        })
    }

    /// The policy at a place.
    #[inline(always)]
    pub fn at(&self, place: PolicyRef) -> Option<&Policy> {
        self.all.get(place.0 as usize)
    }

    /// Fetch a line of a policy's SA towards the core; a packet touches the first two.
    #[inline(always)]
    pub(crate) fn fetch<const LINE: usize>(&self, place: PolicyRef) {
        if let Some(policy) = self.all.get(place.0 as usize) {
            prefetch_line::<LINE, _>(&policy.outbound);
        }
    }

    /// The policy at a place, to change it.
    #[inline(always)]
    pub fn at_mut(&mut self, place: PolicyRef) -> Option<&mut Policy> {
        self.all.get_mut(place.0 as usize)
    }

    /// The policy `id`, made when it is new.
    pub fn named(&mut self, id: PolicyId) -> Option<&mut Policy> {
        let place = self.place(id);
        self.at_mut(place)
    }

    /// Every policy, in the order they were first named.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> + '_ {
        self.all.iter()
    }

    /// Every policy, to change it.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Policy> + '_ {
        self.all.iter_mut()
    }
}
