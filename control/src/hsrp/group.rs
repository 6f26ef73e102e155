//! One group on one interface: its state, timers and members, and what the letters of RFC 2281 sections 5.5 and 5.6
//! do. Which letters a cell holds is in `table.rs`; what it sends and says is in `voice.rs`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use espalier_wire::hsrp::{Message, OpCode, State};
use espalier_wire::random::Random;
use espalier_wire::{Duration, Instant};

use super::config::{DEFAULT_PRIORITY, GroupConfig, InterfaceConfig, Times};
use super::table::{self, Event, Step, When};
use super::trace::{Member, Tally, What};
use super::{Action, GroupState};
use crate::track::ObjectId;

/// The timers of RFC 2281 section 5.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Active,
    Standby,
    Hello,
}

impl Timer {
    const ALL: [Self; 3] = [Self::Active, Self::Standby, Self::Hello];
}

/// What a group needs from outside while it handles one event.
pub(super) struct Context<'a> {
    pub now: Instant,
    pub config: &'a InterfaceConfig,
    /// Whether the interface can carry packets: nothing leaves one that is down.
    pub link_up: bool,
    pub resign_to_hello: bool,
    pub random: &'a mut Random,
    /// The groups of the interface, this one included.
    pub tally: Tally,
    pub actions: &'a mut Vec<Action>,
}

/// An authenticated message and its sender.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub from: Ipv4Addr,
    pub message: Message,
}

impl Heard {
    pub(super) const fn member(&self) -> Member {
        Member::Remote { address: self.from, priority: self.message.priority }
    }
}

pub(super) struct Group {
    pub config: GroupConfig,
    pub state: State,
    timers: [Option<Instant>; 3],
    pub active: Member,
    pub standby: Member,
    learned_address: Option<Ipv4Addr>,
    learned_times: Option<Times>,
    /// The tracked objects that are down.
    pub down: BTreeSet<ObjectId>,
    /// Changes into or out of Standby and Active, as `show standby` counts them.
    pub changes: u32,
    pub last_change: Option<Instant>,
    /// Before, it does not preempt.
    preempt_from: Instant,
    /// What the clients were told last, and before.
    pub(super) told: (GroupState, GroupState),
    /// The other virtual address that was complained about.
    pub(super) complained: Option<Ipv4Addr>,
}

impl Group {
    pub(super) fn new(config: GroupConfig, down: BTreeSet<ObjectId>) -> Self {
        Self {
            config,
            state: State::Initial,
            timers: [None; 3],
            active: Member::Unknown,
            standby: Member::Unknown,
            learned_address: None,
            learned_times: None,
            down,
            changes: 0,
            last_change: None,
            preempt_from: Instant::ZERO,
            told: (GroupState::Init, GroupState::Init),
            complained: None,
        }
    }

    pub(super) fn deadline(&self, timer: Timer) -> Option<Instant> {
        self.timers[timer as usize]
    }

    /// The timer that ends first.
    pub(super) fn next_timer(&self) -> Option<(Instant, Timer)> {
        Timer::ALL.into_iter().filter_map(|t| Some((self.deadline(t)?, t))).min()
    }

    fn set(&mut self, timer: Timer, deadline: Option<Instant>) {
        self.timers[timer as usize] = deadline;
    }

    /// The virtual address, configured or learned.
    pub(super) fn address(&self) -> Option<Ipv4Addr> {
        self.config.address.or(self.learned_address)
    }

    /// The times in use: configured, learned, or RFC 2281's defaults.
    pub(super) fn times(&self) -> Times {
        self.config.times.or(self.learned_times).unwrap_or_default()
    }

    /// The configured priority less the decrements of what is down.
    pub(super) fn priority(&self) -> u8 {
        let lost = self.config.tracks.iter().filter(|t| self.down.contains(&t.object));
        lost.fold(self.config.priority.unwrap_or(DEFAULT_PRIORITY), |p, t| p.saturating_sub(t.decrement))
    }

    /// A timer ended.
    pub(super) fn expire(&mut self, cx: &mut Context<'_>, timer: Timer) {
        self.set(timer, None);
        let event = match timer {
            Timer::Active => Event::C,
            Timer::Standby => Event::D,
            Timer::Hello => Event::E,
        };
        self.apply(cx, event, None);
    }

    /// An authenticated message of this group came in.
    pub(super) fn hear(&mut self, cx: &mut Context<'_>, heard: &Heard) {
        let Some(event) = self.event_of(cx, heard) else { return };
        // An active router always knows its address; one that does not cannot teach it.
        if self.state == State::Learn
            && self.address().is_none()
            && heard.message.virtual_address.is_unspecified()
        {
            return;
        }
        self.apply(cx, event, Some(heard));
    }

    /// The event a message is (RFC 2281 section 5.5), priorities compared as section 5.1 says.
    fn event_of(&self, cx: &Context<'_>, heard: &Heard) -> Option<Event> {
        let higher = (heard.message.priority, heard.from) > (self.priority(), cx.config.address);
        match heard.message.op {
            OpCode::Hello => match heard.message.state {
                State::Speak => higher.then_some(Event::F),
                State::Standby => Some(if higher { Event::K } else { Event::L }),
                State::Active => Some(if higher { Event::G } else { Event::H }),
                State::Initial | State::Learn | State::Listen => None,
            },
            OpCode::Coup => higher.then_some(Event::J),
            // i is a Resign "from the active router": the one known, or anyone's while none is known.
            OpCode::Resign => match self.active {
                Member::Remote { address, .. } => (address == heard.from).then_some(Event::I),
                Member::Unknown | Member::Local => Some(Event::I),
            },
        }
    }

    /// Carry out the cell of RFC 2281 section 5.7 for `event`.
    pub(super) fn apply(&mut self, cx: &mut Context<'_>, event: Event, heard: Option<&Heard>) {
        let from = self.state;
        let cell = table::cell(event, from, self.when(cx));
        if let Some(heard) = heard {
            self.meet(cx, event, heard);
        }
        if cell.next.is_some() || event == Event::I {
            let member = match event {
                Event::C => self.active,
                Event::D => self.standby,
                _ => heard.map_or(Member::Unknown, Heard::member),
            };
            self.trace(cx, What::Event { state: from, event, member });
        }
        self.part(cx, event, heard);
        if let Some(next) = cell.next {
            self.enter(cx, next);
        }
        for step in cell.steps {
            self.step(cx, *step, event, from, heard);
        }
        if cell.next.is_some() {
            self.settle(cx, event);
        }
        if event == Event::I && from == State::Active {
            // The reference document's log tells both clients of the group, each in a line.
            for _ in 0..2 {
                self.trace(cx, What::RedundancyGroup { name: self.config.name.clone() });
            }
        }
    }

    fn when(&self, cx: &Context<'_>) -> When {
        When {
            address_known: self.address().is_some(),
            preempt: self.config.preempt.is_some() && cx.now >= self.preempt_from,
            resign_to_hello: cx.resign_to_hello,
        }
    }

    /// Whom a message shows to be active or standby.
    fn meet(&mut self, cx: &mut Context<'_>, event: Event, heard: &Heard) {
        let is_active = self.state == State::Active;
        let (active, standby) = match event {
            Event::G => (true, false),
            Event::H => (!is_active, false),
            Event::J => (is_active, false),
            Event::K => (false, !matches!(self.state, State::Initial | State::Learn)),
            Event::L => (false, matches!(self.state, State::Listen | State::Active)),
            Event::A | Event::B | Event::C | Event::D | Event::E | Event::F | Event::I => (false, false),
        };
        if active {
            self.set_active(cx, heard.member());
            if self.standby.remote() == Some(heard.from) {
                self.set_standby(cx, Member::Unknown);
            }
            self.compare_address(cx, heard.message.virtual_address);
        }
        if standby {
            self.set_standby(cx, heard.member());
        }
    }

    /// Who is gone by `event`, when the state does not say so by itself.
    fn part(&mut self, cx: &mut Context<'_>, event: Event, heard: Option<&Heard>) {
        let takes_over = self.state == State::Standby;
        match event {
            Event::B => {
                self.set_active(cx, Member::Unknown);
                self.set_standby(cx, Member::Unknown);
            }
            // An Active timer that ran on after event h says nothing about this router itself.
            Event::C if !takes_over && self.active != Member::Local => self.set_active(cx, Member::Unknown),
            Event::D if self.state != State::Speak && self.standby != Member::Local => {
                self.set_standby(cx, Member::Unknown)
            }
            Event::I if !takes_over && heard.is_some_and(|h| self.active.remote() == Some(h.from)) => {
                self.set_active(cx, Member::Unknown);
            }
            _ => {}
        }
    }

    /// Go to `next` and tell everyone.
    fn enter(&mut self, cx: &mut Context<'_>, next: State) {
        match next {
            State::Active => {
                self.set_active(cx, Member::Local);
                if self.standby == Member::Local {
                    self.set_standby(cx, Member::Unknown);
                }
            }
            State::Standby => self.set_standby(cx, Member::Local),
            State::Initial | State::Learn | State::Listen | State::Speak => {
                if self.standby == Member::Local {
                    self.set_standby(cx, Member::Unknown);
                }
                if self.active == Member::Local {
                    self.set_active(cx, Member::Unknown);
                }
            }
        }
        let from = std::mem::replace(&mut self.state, next);
        let counts = |s| matches!(s, State::Standby | State::Active);
        if counts(from) || counts(next) {
            self.changes = self.changes.saturating_add(1);
            self.last_change = Some(cx.now);
        }
        self.announce_change(cx, from);
    }

    fn step(&mut self, cx: &mut Context<'_>, step: Step, event: Event, from: State, heard: Option<&Heard>) {
        // RFC 2281 section 5.6, A and B: the Holdtime of the Hello that is the reason, else our own.
        let told = |by: [Event; 2]| {
            let hello = heard.filter(|h| by.contains(&event) && h.message.op == OpCode::Hello);
            hello.map(|h| h.message.hold_time).filter(|hold| !hold.is_zero())
        };
        let hold = self.times().hold;
        match step {
            Step::A => self.set(Timer::Active, Some(cx.now + told([Event::G, Event::H]).unwrap_or(hold))),
            Step::B => self.set(Timer::Standby, Some(cx.now + told([Event::K, Event::L]).unwrap_or(hold))),
            Step::C => self.set(Timer::Active, None),
            Step::D => self.set(Timer::Standby, None),
            Step::E => self.learn(heard),
            Step::F => {
                self.send(cx, OpCode::Hello, self.state);
                let hello = self.times().hello;
                // RFC 2281 section 5.4: the Hello timer MUST be jittered.
                let next = cx.random.between(hello.share(95, 100), hello);
                self.set(Timer::Hello, Some(cx.now + next.max(Duration::from_ms(1))));
            }
            // A Coup and a Resign are the last words of the state that is left.
            Step::G => self.send(cx, OpCode::Coup, from),
            Step::H => self.send(cx, OpCode::Resign, from),
            Step::I => self.announce(cx),
        }
    }

    /// What a new state needs beyond its cell.
    fn settle(&mut self, cx: &mut Context<'_>, event: Event) {
        match self.state {
            State::Initial => {
                self.timers = [None; 3];
                (self.learned_address, self.learned_times, self.complained) = (None, None, None);
            }
            State::Learn | State::Listen => {
                self.set(Timer::Hello, None);
                if event == Event::A {
                    let delay = self.config.preempt.unwrap_or_default().delay_minimum;
                    self.preempt_from = cx.now + delay;
                }
            }
            // The RFC does not say when the Hello timer starts; IOS says a first Hello with the new state at once.
            State::Speak => self.apply(cx, Event::E, None),
            State::Standby => {
                self.apply(cx, Event::E, None);
                // c has no cell in Speak: an Active timer that ended there is heard here.
                if self.deadline(Timer::Active).is_none() {
                    self.apply(cx, Event::C, None);
                }
            }
            State::Active => {}
        }
    }

    /// RFC 2281 section 5.1: only what is not configured is learned, and both times or none.
    fn learn(&mut self, heard: Option<&Heard>) {
        let Some(Heard { message, .. }) = heard else { return };
        if !message.virtual_address.is_unspecified() {
            self.learned_address = Some(message.virtual_address);
        }
        let times = Times { hello: message.hello_time, hold: message.hold_time };
        if !times.hello.is_zero() && times.hold > times.hello {
            self.learned_times = Some(times);
        }
    }

    /// Whether this message takes the Active state from this router.
    pub(super) fn would_yield(&self, cx: &Context<'_>, heard: &Heard) -> bool {
        self.state == State::Active && self.event_of(cx, heard) == Some(Event::G)
    }

    /// A tracked object changed; the next Hello carries the priority that results.
    pub(super) fn track(&mut self, cx: &mut Context<'_>, object: ObjectId, up: bool) {
        let from = self.priority();
        let changed = if up { self.down.remove(&object) } else { self.down.insert(object) };
        if changed && self.config.tracks.iter().any(|t| t.object == object) {
            self.trace(cx, What::Tracked { object, up });
            self.trace_priority(cx, from);
        }
    }

    /// Take another configuration; what needs a restart (another virtual address) has stopped the group before.
    pub(super) fn reconfigure(&mut self, cx: &mut Context<'_>, config: GroupConfig) {
        let from = self.priority();
        self.config = config;
        self.trace_priority(cx, from);
    }

    fn trace_priority(&self, cx: &mut Context<'_>, from: u8) {
        let to = self.priority();
        if from != to {
            self.trace(cx, What::Priority { from, to });
        }
    }
}
