//! The commands, one entry each. To add an IOS command, add an entry to the table of its mode: the syntax in the
//! notation of `syntax`, and a handler that writes what it says into the model. Abbreviations, `no`, `default`,
//! messages and "did you mean" follow from the entry.

mod access_list;
mod crypto_map;
mod exec;
mod global;
mod ignored;
mod interface;
mod ipsec;
mod isakmp;
mod ospf;
mod standby;
mod track;

use std::collections::BTreeMap;
use std::sync::LazyLock;

pub use exec::{Debug, Exec, parse_exec};

use super::diagnostic::Diagnostic;
use super::matching::{Command, Done, Form};
use super::model::{
    AccessList, AccessListKind, Config, CryptoMapEntry, Ignored, Interface, InterfaceName, Ospf, Policy,
    Track, TransformSet,
};
use super::syntax::Net;

/// Which commands a line may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    Global,
    Interface,
    Policy,
    TransformSet,
    CryptoMap,
    Ospf,
    StandardList,
    ExtendedList,
    Track,
    /// `line con 0` and the like: nothing in it matters.
    Line,
}

impl Mode {
    pub(super) const ALL: [Self; 10] = [
        Self::Global,
        Self::Interface,
        Self::Policy,
        Self::TransformSet,
        Self::CryptoMap,
        Self::Ospf,
        Self::StandardList,
        Self::ExtendedList,
        Self::Track,
        Self::Line,
    ];

    /// The command that leads here, for messages.
    pub(super) const fn opener(self) -> &'static str {
        match self {
            Self::Global => "",
            Self::Interface => "interface",
            Self::Policy => "crypto isakmp policy",
            Self::TransformSet => "crypto ipsec transform-set",
            Self::CryptoMap => "crypto map … ipsec-isakmp",
            Self::Ospf => "router ospf",
            Self::StandardList => "ip access-list standard",
            Self::ExtendedList => "ip access-list extended",
            Self::Track => "track",
            Self::Line => "line",
        }
    }
}

/// Where in the configuration the commands of a mode write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    Global,
    Interface(InterfaceName),
    Policy(u16),
    TransformSet(String),
    CryptoMap(String, u16),
    Ospf(u16),
    AccessList(String, AccessListKind),
    Track(u16),
    Line(String),
    /// Behind a mode's command that was refused: what belongs to it is not looked at.
    Lost,
}

impl At {
    pub(super) const fn mode(&self) -> Mode {
        match self {
            Self::Global | Self::Lost => Mode::Global,
            Self::Interface(_) => Mode::Interface,
            Self::Policy(_) => Mode::Policy,
            Self::TransformSet(_) => Mode::TransformSet,
            Self::CryptoMap(..) => Mode::CryptoMap,
            Self::Ospf(_) => Mode::Ospf,
            Self::AccessList(_, AccessListKind::Standard) => Mode::StandardList,
            Self::AccessList(_, AccessListKind::Extended) => Mode::ExtendedList,
            Self::Track(_) => Mode::Track,
            Self::Line(_) => Mode::Line,
        }
    }

    /// The command that leads here, as the printer writes it; empty at the outermost.
    pub(super) fn header(&self) -> String {
        match self {
            Self::Global | Self::Lost => String::new(),
            Self::Interface(name) => format!("interface {name}"),
            Self::Policy(number) => format!("crypto isakmp policy {number}"),
            Self::TransformSet(name) => format!("crypto ipsec transform-set {name}"),
            Self::CryptoMap(name, number) => format!("crypto map {name} {number}"),
            Self::Ospf(number) => format!("router ospf {number}"),
            Self::AccessList(name, AccessListKind::Standard) => format!("ip access-list standard {name}"),
            Self::AccessList(name, AccessListKind::Extended) => format!("ip access-list extended {name}"),
            Self::Track(number) => format!("track {number}"),
            Self::Line(header) => header.clone(),
        }
    }
}

/// What a command does.
#[derive(Clone, Copy)]
pub(super) enum Act {
    /// Write it into the model.
    Do(fn(&mut Editor<'_>, &Command) -> Done),
    /// It cannot matter here.
    Ignore,
    /// It would change what packets do, and nothing here can: refused.
    Refuse,
}

/// One command.
pub(super) struct Entry {
    pub mode: Mode,
    pub syntax: &'static str,
    pub act: Act,
}

const fn entry(mode: Mode, syntax: &'static str, act: fn(&mut Editor<'_>, &Command) -> Done) -> Entry {
    Entry { mode, syntax, act: Act::Do(act) }
}

/// All entries and the net they make.
pub(super) struct Table {
    pub entries: Vec<&'static Entry>,
    pub net: Net,
    pub starts: BTreeMap<Mode, usize>,
}

const TABLES: [&[Entry]; 11] = [
    global::COMMANDS,
    interface::COMMANDS,
    standby::COMMANDS,
    isakmp::COMMANDS,
    ipsec::COMMANDS,
    crypto_map::COMMANDS,
    ospf::COMMANDS,
    access_list::COMMANDS,
    track::COMMANDS,
    ignored::COMMANDS,
    ignored::REFUSED,
];

pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let entries: Vec<&'static Entry> = TABLES.into_iter().flatten().collect();
    let mut net = Net::default();
    let starts = Mode::ALL.map(|mode| {
        let of_mode =
            entries.iter().enumerate().filter(|(_, e)| e.mode == mode).map(|(at, e)| (at, e.syntax));
        (mode, net.add(of_mode))
    });
    Table { entries, net, starts: starts.into() }
});

/// A configuration being written, and the mode its next line is in.
pub(super) struct Editor<'a> {
    pub config: &'a mut Config,
    pub at: At,
    /// Commands that work but hardly as meant.
    pub warnings: Vec<Diagnostic>,
}

impl Editor<'_> {
    /// Carry `command` out.
    pub(super) fn run(&mut self, command: &Command) -> Done {
        let Some(entry) = TABLE.entries.get(command.index) else { return Ok(()) };
        if entry.mode == Mode::Global {
            self.at = At::Global;
        }
        match entry.act {
            Act::Do(act) => act(self, command),
            Act::Ignore => {
                self.ignore(command);
                Ok(())
            }
            // Taking away what was never there changes nothing.
            Act::Refuse if !command.on() => {
                self.ignore(command);
                Ok(())
            }
            Act::Refuse => {
                let text = command.canonical();
                Err(command.error(
                    "",
                    format!("`{text}` is IOS, but not modelled here: packets would fare otherwise"),
                ))
            }
        }
    }

    /// Note a command that has no effect here; its opposite, or the same said before, goes.
    pub(super) fn ignore(&mut self, command: &Command) {
        let context = self.at.header();
        let text = command.canonical();
        self.config.ignored.retain(|ignored| ignored.context != context || ignored.positive() != text);
        let text = match command.form {
            Form::Set => text,
            Form::No => format!("no {text}"),
            Form::Default => return,
        };
        self.note(command, context, text);
    }

    fn note(&mut self, command: &Command, context: String, text: String) {
        self.config.ignored.push(Ignored { place: command.place(), context, text });
    }

    /// Drop what was ignored under the header `context`.
    pub(super) fn forget(&mut self, context: &str) {
        self.config.ignored.retain(|ignored| ignored.context != context);
    }

    pub(super) fn interface(&mut self, command: &Command) -> Done<&mut Interface> {
        let At::Interface(name) = self.at else { return Err(astray(command)) };
        self.config.interfaces.iter_mut().find(|i| i.name == name).ok_or_else(|| astray(command))
    }

    pub(super) fn policy(&mut self, command: &Command) -> Done<&mut Policy> {
        let At::Policy(number) = self.at else { return Err(astray(command)) };
        self.config.isakmp.policies.get_mut(&number).ok_or_else(|| astray(command))
    }

    pub(super) fn transform_set(&mut self, command: &Command) -> Done<&mut TransformSet> {
        let At::TransformSet(name) = &self.at else { return Err(astray(command)) };
        self.config.ipsec.transform_sets.iter_mut().find(|s| s.name == *name).ok_or_else(|| astray(command))
    }

    pub(super) fn crypto_map(&mut self, command: &Command) -> Done<&mut CryptoMapEntry> {
        let At::CryptoMap(name, number) = &self.at else { return Err(astray(command)) };
        let map = self.config.crypto_maps.iter_mut().find(|map| map.name == *name);
        map.and_then(|map| map.entries.get_mut(number)).ok_or_else(|| astray(command))
    }

    pub(super) fn ospf(&mut self, command: &Command) -> Done<&mut Ospf> {
        let At::Ospf(number) = self.at else { return Err(astray(command)) };
        self.config.ospf.get_mut(&number).ok_or_else(|| astray(command))
    }

    pub(super) fn access_list(&mut self, command: &Command) -> Done<&mut AccessList> {
        let At::AccessList(name, _) = &self.at else { return Err(astray(command)) };
        self.config.access_lists.iter_mut().find(|l| l.name == *name).ok_or_else(|| astray(command))
    }

    pub(super) fn track(&mut self, command: &Command) -> Done<&mut Track> {
        let At::Track(number) = self.at else { return Err(astray(command)) };
        self.config.tracks.get_mut(&number).ok_or_else(|| astray(command))
    }
}

impl Ignored {
    /// The command without its `no`.
    fn positive(&self) -> &str {
        self.text.strip_prefix("no ").unwrap_or(&self.text)
    }
}

/// What the command belongs to is not there (it was taken away by a line before).
fn astray(command: &Command) -> Box<Diagnostic> {
    command.error("", "what this belongs to is not configured")
}

/// `value` when the command sets, nothing when it takes away.
fn when<T>(command: &Command, value: impl FnOnce() -> Done<T>) -> Done<Option<T>> {
    if command.on() { value().map(Some) } else { Ok(None) }
}

/// Replace what has the same key, at its place, or append; or take it away.
fn put<T>(list: &mut Vec<T>, same: impl Fn(&T) -> bool, value: Option<T>) {
    match (list.iter_mut().find(|item| same(item)), value) {
        (Some(item), Some(value)) => *item = value,
        (None, Some(value)) => list.push(value),
        (_, None) => list.retain(|item| !same(item)),
    }
}
