//! What a group sends and says: messages, the virtual MAC, gratuitous ARP, its clients, traces.

use std::net::Ipv4Addr;

use espalier_wire::Mac;
use espalier_wire::hsrp::{Message, OpCode, State, Version};

use super::group::{Context, Group};
use super::trace::{Enquiry, Member, Tally, Trace, What};
use super::{Action, GroupState};

impl Group {
    pub(super) fn trace(&self, cx: &mut Context<'_>, what: What) {
        let (iface, group) = (cx.config.iface, Some(self.config.group));
        cx.actions.push(Action::Trace(Trace { iface, group, what }));
    }

    pub(super) fn set_active(&mut self, cx: &mut Context<'_>, now: Member) {
        let was = std::mem::replace(&mut self.active, now);
        if !now.is(was) {
            self.trace(cx, What::ActiveRouter { now, was });
        }
    }

    pub(super) fn set_standby(&mut self, cx: &mut Context<'_>, now: Member) {
        let was = std::mem::replace(&mut self.standby, now);
        if !now.is(was) {
            self.trace(cx, What::StandbyRouter { now, was });
        }
    }

    pub(super) fn virtual_mac(&self, cx: &Context<'_>) -> Mac {
        cx.config.version.virtual_mac(self.config.group)
    }

    /// The state changed from `from`: the virtual MAC moves, and everyone who wants to know is told.
    pub(super) fn announce_change(&mut self, cx: &mut Context<'_>, from: State) {
        let to = self.state;
        let before = cx.tally;
        cx.tally = before.without(from).with(to);
        if let Some(address) = self.address()
            && (from == State::Active || to == State::Active)
        {
            cx.actions.push(Action::VirtualMac {
                iface: cx.config.iface,
                group: self.config.group,
                mac: self.virtual_mac(cx),
                address,
                active: to == State::Active,
            });
        }
        self.trace(cx, What::State { from, to, before, after: cx.tally });
        if from == State::Active || to == State::Active {
            self.trace(cx, What::StateChange { from, to });
        }
        let (was, now) = (GroupState::of(from), GroupState::of(to));
        if was != now {
            self.told = (now, was);
            self.trace(cx, What::Redundancy { name: self.config.name.clone(), from: was, to: now });
            cx.actions.push(Action::Redundancy {
                name: self.config.name.clone(),
                iface: cx.config.iface,
                group: self.config.group,
                address: self.address(),
                state: now,
            });
            if now == GroupState::Standby && self.config.client {
                self.enquire(cx);
            }
        }
    }

    /// A client asks about the group.
    pub(super) fn enquire(&self, cx: &mut Context<'_>) {
        let Some(name) = self.config.name.clone() else { return };
        let answer = self.answer(cx.config.address);
        self.trace(cx, What::Enquiry { name, answer });
    }

    /// Send a message with `state` in it, unless the interface is down.
    pub(super) fn send(&self, cx: &mut Context<'_>, op: OpCode, state: State) {
        if !cx.link_up {
            return;
        }
        let times = self.times();
        let message = Message {
            version: cx.config.version,
            op,
            state,
            hello_time: times.hello,
            hold_time: times.hold,
            priority: self.priority(),
            group: self.config.group,
            identifier: if cx.config.version == Version::V2 { cx.config.mac } else { Mac::default() },
            virtual_address: self.address().unwrap_or(Ipv4Addr::UNSPECIFIED),
            password: Some(self.config.password),
            md5: None,
        };
        // RFC 2281 section 6.1: Hellos of the active router, and nothing else, come from the virtual MAC. A Resign
        // from it would pull it back to this port of the switch.
        let speaks_as_active = op == OpCode::Hello && state == State::Active;
        self.trace(cx, What::Out { from: cx.config.address, message });
        cx.actions.push(Action::Send {
            iface: cx.config.iface,
            src_mac: if speaks_as_active { self.virtual_mac(cx) } else { cx.config.mac },
            src: cx.config.address,
            dst: cx.config.version.destination(),
            payload: message.emit(),
        });
    }

    /// RFC 2281 section 5.6, I.
    pub(super) fn announce(&self, cx: &mut Context<'_>) {
        if let Some(addr) = self.address().filter(|_| cx.link_up) {
            let (iface, mac) = (cx.config.iface, self.virtual_mac(cx));
            cx.actions.push(Action::GratuitousArp { iface, addr, mac });
        }
    }

    /// Complain, once, of an active router with another virtual address than the configured one.
    pub(super) fn compare_address(&mut self, cx: &mut Context<'_>, theirs: Ipv4Addr) {
        let Some(ours) = self.config.address else { return };
        let other = (theirs != ours && !theirs.is_unspecified()).then_some(theirs);
        if let Some(theirs) = other.filter(|_| other != self.complained) {
            self.trace(cx, What::OtherAddress { theirs, ours });
        }
        self.complained = other;
    }

    /// What a client that asks is told; nothing while no active router or address is known.
    fn answer(&self, own: Ipv4Addr) -> Option<Enquiry> {
        let address_of = |member| match member {
            Member::Unknown => None,
            Member::Local => Some(own),
            Member::Remote { address, .. } => Some(address),
        };
        Some(Enquiry {
            address: self.address()?,
            state: self.told.1,
            active: address_of(self.active)?,
            standby: address_of(self.standby),
        })
    }
}

impl Tally {
    const fn share(state: State) -> (u16, u16) {
        match state {
            State::Initial | State::Learn => (0, 0),
            State::Listen | State::Speak | State::Standby => (0, 1),
            State::Active => (1, 0),
        }
    }

    pub(super) const fn with(self, state: State) -> Self {
        let (active, passive) = Self::share(state);
        Self { active: self.active.saturating_add(active), passive: self.passive.saturating_add(passive) }
    }

    const fn without(self, state: State) -> Self {
        let (active, passive) = Self::share(state);
        Self { active: self.active.saturating_sub(active), passive: self.passive.saturating_sub(passive) }
    }
}

impl GroupState {
    /// What clients call a state of RFC 2281.
    pub const fn of(state: State) -> Self {
        match state {
            State::Initial => Self::Init,
            State::Learn | State::Listen => Self::Backup,
            State::Speak => Self::Speak,
            State::Standby => Self::Standby,
            State::Active => Self::Active,
        }
    }
}
