//! What the machine says about itself: typed, and printed as `debug standby` and syslog print it.
//!
//! Nothing is decided from these; logs, checkers and reports read them.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use espalier_wire::hsrp::{Message, OpCode, State};
use espalier_wire::{Duration, IfIndex, Mac};

use super::GroupState;
use super::table::Event;
use crate::spelling::InterfaceNames;
use crate::track::ObjectId;

/// One thing that happened, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// On which interface.
    pub iface: IfIndex,
    /// In which group; `None`: it concerns the whole interface.
    pub group: Option<u16>,
    /// What.
    pub what: What,
}

/// The active or standby router of a group, as a member knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Member {
    /// Nobody was heard.
    #[default]
    Unknown,
    /// This router.
    Local,
    /// Another router.
    Remote {
        /// Its address.
        address: Ipv4Addr,
        /// Its priority.
        priority: u8,
    },
}

impl Member {
    /// Its address, when it is another router.
    pub const fn remote(self) -> Option<Ipv4Addr> {
        match self {
            Self::Unknown | Self::Local => None,
            Self::Remote { address, .. } => Some(address),
        }
    }

    /// Whether both are the same router, whatever their priority.
    pub fn is(self, other: Self) -> bool {
        self.remote() == other.remote() && (self == Self::Local) == (other == Self::Local)
    }

    fn word(self) -> String {
        match self {
            Self::Unknown => "unknown".to_owned(),
            Self::Local => "local".to_owned(),
            Self::Remote { address, .. } => address.to_string(),
        }
    }
}

/// How many groups of an interface are Active, and how many take part without being Active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "names say it")]
pub struct Tally {
    pub active: u16,
    pub passive: u16,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The interface layer called HSRP.
    Api(Api),
    /// The interface can carry packets.
    InterfaceUp,
    /// It no longer can.
    InterfaceDown,
    /// HSRP waits before it starts on the interface.
    DelayStarted(Duration),
    /// The wait is over.
    DelayExpired,
    /// An event of RFC 2281 moved the state machine (or was a Resign).
    Event {
        /// The state it found.
        state: State,
        /// The event.
        event: Event,
        /// For c and d the router that fell silent, for events from a message its sender.
        member: Member,
    },
    /// The active router is another one now.
    ActiveRouter {
        /// Now.
        now: Member,
        /// Before.
        was: Member,
    },
    /// The standby router is another one now.
    StandbyRouter {
        /// Now.
        now: Member,
        /// Before.
        was: Member,
    },
    /// The state changed. With `detail`, IOS also counts the interface's groups before and after.
    State {
        /// Before.
        from: State,
        /// After.
        to: State,
        /// Groups before.
        before: Tally,
        /// Groups after.
        after: Tally,
    },
    /// The syslog line of a change into or out of Active.
    StateChange {
        /// Before.
        from: State,
        /// After.
        to: State,
    },
    /// The group's clients were told.
    Redundancy {
        /// `standby name`, if there is one.
        name: Option<String>,
        /// Before.
        from: GroupState,
        /// After.
        to: GroupState,
    },
    /// A Resign reached the active router: its clients are told again that it is active.
    RedundancyGroup {
        /// `standby name`, if there is one.
        name: Option<String>,
    },
    /// A client asked about the group.
    Enquiry {
        /// `standby name`.
        name: String,
        /// What it was told, when an active router was known.
        answer: Option<Enquiry>,
    },
    /// The effective priority changed.
    Priority {
        /// Before.
        from: u8,
        /// After.
        to: u8,
    },
    /// A tracked object changed.
    Tracked {
        /// Which.
        object: ObjectId,
        /// Up now.
        up: bool,
    },
    /// A message came in.
    In {
        /// Its sender.
        from: Ipv4Addr,
        /// The source MAC address of its frame.
        mac: Mac,
        /// The message.
        message: Message,
        /// It takes the Active state from this router: printed with the events, not only with the packets.
        takes_over: bool,
    },
    /// A message went out.
    Out {
        /// The address it was sent from.
        from: Ipv4Addr,
        /// The message.
        message: Message,
    },
    /// Dropped: another password, or MD5.
    BadAuthentication {
        /// Its sender.
        from: Ipv4Addr,
        /// The sender's state.
        state: State,
    },
    /// The active router uses another virtual address than ours.
    OtherAddress {
        /// Its.
        theirs: Ipv4Addr,
        /// Ours.
        ours: Ipv4Addr,
    },
}

/// Calls from the interface layer; the driver traces them where they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the text says it")]
pub enum Api {
    GoingDown,
    ComingUp,
    MacAddressUpdate,
    NotAnHsrpAddress(Ipv4Addr),
    AddActiveAddresses,
    HardwareStateChange,
}

/// What a client that asks about a group is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enquiry {
    /// The virtual address.
    pub address: Ipv4Addr,
    /// The state the clients had been told before the latest.
    pub state: GroupState,
    /// Another router, or this one's address.
    pub active: Ipv4Addr,
    /// The same for the standby router, if one is known.
    pub standby: Option<Ipv4Addr>,
}

/// What must be switched on for a line to be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Always: it goes to the log.
    Syslog,
    /// `debug standby events`.
    Event,
    /// `debug standby packets`.
    Packet,
}

impl Trace {
    /// What prints it.
    pub const fn class(&self) -> Class {
        match self.what {
            What::StateChange { .. } | What::BadAuthentication { .. } | What::OtherAddress { .. } => {
                Class::Syslog
            }
            What::In { takes_over, .. } => {
                if takes_over {
                    Class::Event
                } else {
                    Class::Packet
                }
            }
            What::Out { .. } => Class::Packet,
            What::Api(_)
            | What::InterfaceUp
            | What::InterfaceDown
            | What::DelayStarted(_)
            | What::DelayExpired
            | What::Event { .. }
            | What::ActiveRouter { .. }
            | What::StandbyRouter { .. }
            | What::State { .. }
            | What::Redundancy { .. }
            | What::RedundancyGroup { .. }
            | What::Enquiry { .. }
            | What::Priority { .. }
            | What::Tracked { .. } => Class::Event,
        }
    }

    /// The line; with `detail` (`debug standby events detail`) a state change also counts groups, and an enquiry
    /// adds two lines with its answer.
    pub fn line(&self, names: &dyn InterfaceNames, detail: bool) -> String {
        let group = self.group.unwrap_or_default();
        let syslog = match &self.what {
            What::StateChange { from, to } => Some(format!(
                "6-STATECHANGE: {} Grp {group} state {} -> {}",
                names.long(self.iface),
                word(*from),
                word(*to)
            )),
            What::BadAuthentication { from, state } => Some(format!(
                "4-BADAUTH: Bad authentication from {from}, group {group}, remote state {}",
                word(*state)
            )),
            What::OtherAddress { theirs, ours } => Some(format!(
                "4-DIFFVIP1: {} Grp {group} active routers virtual IP address {theirs} is different to the locally configured address {ours}",
                names.long(self.iface)
            )),
            _ => None,
        };
        if let Some(text) = syslog {
            return format!("%HSRP-{text}");
        }
        if self.what == What::Api(Api::HardwareStateChange) {
            return "HSRP: API Hardware state change".to_owned();
        }
        let mut line = format!("HSRP: {} ", names.short(self.iface));
        if let Some(group) = self.group {
            let _ = write!(line, "Grp {group} ");
        }
        line + &self.text(names, detail)
    }

    fn text(&self, names: &dyn InterfaceNames, detail: bool) -> String {
        let name = |n: &Option<String>| group_name(n.as_deref(), self.iface, self.group, names);
        match &self.what {
            What::Api(api) => api.text(),
            What::InterfaceUp => "Interface up".to_owned(),
            What::InterfaceDown => "Interface down".to_owned(),
            What::DelayStarted(delay) => {
                format!("Starting minimum interface delay ({} secs)", delay.as_whole_s())
            }
            What::DelayExpired => "Interface min delay expired".to_owned(),
            What::Event { state, event, member } => format!("{}: {}", word(*state), cause(*event, *member)),
            What::ActiveRouter { now, was } => format!("Active router is {}", change(*now, *was)),
            What::StandbyRouter { now, was } => format!("Standby router is {}", change(*now, *was)),
            What::State { from, to, before, after } => {
                let counts = if detail { tallies(*before, *after) } else { String::new() };
                format!("{} -> {}{counts}", word(*from), word(*to))
            }
            What::Redundancy { name: n, from, to } => {
                format!("Redundancy \"{}\" state {from:?} -> {to:?}", name(n))
            }
            What::RedundancyGroup { name: n } => {
                format!("Redundancy group {} state Active -> Active", name(n))
            }
            What::Enquiry { name, answer } => enquiry(name, answer.filter(|_| detail)),
            What::Priority { from, to } => format!("Priority {from} -> {to}"),
            What::Tracked { object, up } => {
                let (was, now) = if *up { ("Down", "Up") } else { ("Up", "Down") };
                format!("Track {} object changed, state {was} -> {now}", object.0)
            }
            What::In { from, mac, message, .. } => packet("in", *from, message, Some(*mac)),
            What::Out { from, message } => packet("out", *from, message, None),
            What::StateChange { .. } | What::BadAuthentication { .. } | What::OtherAddress { .. } => {
                String::new()
            }
        }
    }
}

impl Api {
    fn text(self) -> String {
        match self {
            Self::GoingDown => "API Software interface going down".to_owned(),
            Self::ComingUp => "API Software interface coming up".to_owned(),
            Self::MacAddressUpdate => "API MAC address update".to_owned(),
            Self::NotAnHsrpAddress(address) => format!("API {address} is not an HSRP address"),
            Self::AddActiveAddresses => "API Add active HSRP addresses to ARP table".to_owned(),
            Self::HardwareStateChange => "API Hardware state change".to_owned(),
        }
    }
}

/// The group's name, or the one IOS makes: `hsrp-Fa0/0-1`.
pub(super) fn group_name(
    name: Option<&str>,
    iface: IfIndex,
    group: Option<u16>,
    names: &dyn InterfaceNames,
) -> String {
    let made = || format!("hsrp-{}-{}", names.short(iface), group.unwrap_or_default());
    name.map_or_else(made, str::to_owned)
}

/// A state as IOS writes it.
pub(crate) const fn word(state: State) -> &'static str {
    match state {
        State::Initial => "Init",
        State::Learn => "Learn",
        State::Listen => "Listen",
        State::Speak => "Speak",
        State::Standby => "Standby",
        State::Active => "Active",
    }
}

fn change(now: Member, was: Member) -> String {
    match was {
        Member::Unknown => now.word(),
        Member::Local | Member::Remote { .. } => format!("{}, was {}", now.word(), was.word()),
    }
}

fn cause(event: Event, member: Member) -> String {
    let who = match member {
        Member::Unknown | Member::Local => member.word(),
        Member::Remote { address, priority } => format!("{priority}/{address}"),
    };
    match event {
        Event::A => "a/HSRP enabled".to_owned(),
        Event::B => "b/HSRP disabled".to_owned(),
        Event::C => format!("c/Active timer expired ({})", member.word()),
        Event::D => format!("d/Standby timer expired ({})", member.word()),
        Event::E => "e/Hello timer expired".to_owned(),
        Event::F => format!("f/Hello rcvd from higher pri Speak router ({who})"),
        Event::G => format!("g/Hello rcvd from higher pri Active router ({who})"),
        Event::H => format!("h/Hello rcvd from lower pri Active router ({who})"),
        Event::I => format!("i/Resign rcvd ({who})"),
        Event::J => format!("j/Coup rcvd from higher pri router ({who})"),
        Event::K => format!("k/Hello rcvd from higher pri Standby router ({who})"),
        Event::L => format!("l/Hello rcvd from lower pri Standby router ({who})"),
    }
}

fn tallies(before: Tally, after: Tally) -> String {
    let count = |was: u16, now: u16| if was == now { now.to_string() } else { format!("{was}->{now}") };
    format!(
        " (active {}, passive {})",
        count(before.active, after.active),
        count(before.passive, after.passive)
    )
}

fn enquiry(name: &str, answer: Option<Enquiry>) -> String {
    let mut text = format!("Redundancy enquiry for {name} succeeded");
    if let Some(Enquiry { address, state, active, standby }) = answer {
        let standby = standby.map_or_else(|| "unknown".to_owned(), |a| a.to_string());
        let _ =
            write!(text, "\naddr {address} name {name} state {state:?}\nactive {active} standby {standby}");
    }
    text
}

fn packet(way: &str, from: Ipv4Addr, m: &Message, mac: Option<Mac>) -> String {
    let op = match m.op {
        OpCode::Hello => "Hello",
        OpCode::Coup => "Coup",
        OpCode::Resign => "Resign",
    };
    let (state, priority, address) = (word(m.state), m.priority, m.virtual_address);
    let mut text = format!("{op} {way} {from} {state} pri {priority} vIP {address}");
    if let Some(mac) = mac {
        let (hello, hold) = (m.hello_time.as_ms(), m.hold_time.as_ms());
        let _ = write!(text, " hel {hello} hol {hold} id {}", mac.ios());
    }
    text
}
