//! Tracked objects (`track N interface X line-protocol`, and those that `standby track X` makes): their state, how
//! often it changed, and which HSRP groups hang on them. What a group does with a change is HSRP's affair.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use espalier_wire::{IfIndex, Instant};

use crate::Machine;
use crate::spelling::{InterfaceNames, elapsed};

/// The number of a tracked object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u16);

/// The highest number of an object, as IOS has it.
pub const MAX_OBJECT: u16 = 500;

/// Who looks at an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "names say it")]
pub struct Client {
    pub iface: IfIndex,
    pub group: u16,
}

/// Why an object is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `track N interface …`.
    Configured,
    /// `standby track INTERFACE`: "via HSRP".
    Hsrp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Object {
    iface: IfIndex,
    origin: Origin,
    up: bool,
    changes: u32,
    last_change: Instant,
    clients: Vec<Client>,
}

/// What can happen to tracked objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An interface's line protocol came up or went down.
    LineProtocol {
        /// Which interface.
        iface: IfIndex,
        /// Up now.
        up: bool,
    },
}

/// What they want done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// An object changed: tell HSRP.
    Changed {
        /// Which.
        object: ObjectId,
        /// Up now.
        up: bool,
    },
    /// Something to log.
    Trace(Trace),
}

/// What is logged: `%TRACKING-5-STATE` and `debug track`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The object.
    pub object: ObjectId,
    /// Its interface.
    pub iface: IfIndex,
    /// Up now.
    pub up: bool,
}

impl Trace {
    /// The syslog line.
    pub fn line(&self, names: &dyn InterfaceNames) -> String {
        let (was, now) = if self.up { ("Down", "Up") } else { ("Up", "Down") };
        let (object, iface) = (self.object.0, names.long(self.iface));
        format!("%TRACKING-5-STATE: {object} interface {iface} line-protocol {was}->{now}")
    }
}

/// All tracked objects of one router. Objects begin Down, as interfaces do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Track {
    objects: BTreeMap<ObjectId, Object>,
}

impl Track {
    /// `track N interface X line-protocol`; a number that is taken changes its interface. `up` is the interface's
    /// state now.
    pub fn configure(&mut self, now: Instant, id: ObjectId, iface: IfIndex, up: bool) {
        self.insert(now, id, iface, up, Origin::Configured);
    }

    fn insert(&mut self, now: Instant, id: ObjectId, iface: IfIndex, up: bool, origin: Origin) {
        let clients = self.objects.remove(&id).map(|o| o.clients).unwrap_or_default();
        let object = Object { iface, origin, up, changes: 0, last_change: now, clients };
        self.objects.insert(id, object);
    }

    /// `standby track X`: the object that stands for the interface, made under the lowest free number when there is
    /// none. `None`: no number is free.
    pub fn via_hsrp(&mut self, now: Instant, iface: IfIndex, up: bool) -> Option<ObjectId> {
        let made = |o: &Object| o.iface == iface && o.origin == Origin::Hsrp;
        if let Some((id, _)) = self.objects.iter().find(|(_, o)| made(o)) {
            return Some(*id);
        }
        let id = (1..=MAX_OBJECT).map(ObjectId).find(|id| !self.objects.contains_key(id))?;
        self.insert(now, id, iface, up, Origin::Hsrp);
        Some(id)
    }

    /// `no track N`.
    pub fn remove(&mut self, id: ObjectId) {
        self.objects.remove(&id);
    }

    /// An HSRP group looks at an object; nothing happens when there is no such object.
    pub fn attach(&mut self, id: ObjectId, client: Client) {
        if let Some(object) = self.objects.get_mut(&id)
            && !object.clients.contains(&client)
        {
            object.clients.push(client);
            object.clients.sort();
        }
    }

    /// An HSRP group no longer looks at an object; one that only HSRP had made goes with its last client.
    pub fn detach(&mut self, id: ObjectId, client: Client) {
        let Some(object) = self.objects.get_mut(&id) else { return };
        object.clients.retain(|c| *c != client);
        if object.clients.is_empty() && object.origin == Origin::Hsrp {
            self.objects.remove(&id);
        }
    }

    /// Whether an object is up, if it is there.
    pub fn is_up(&self, id: ObjectId) -> Option<bool> {
        self.objects.get(&id).map(|o| o.up)
    }

    /// `show track`.
    pub fn show(&self, now: Instant, names: &dyn InterfaceNames) -> String {
        let mut text = String::new();
        for (id, o) in &self.objects {
            let via = if o.origin == Origin::Hsrp { " (via HSRP)" } else { "" };
            let state = if o.up { "Up" } else { "Down" };
            let changes =
                if o.changes == 1 { "1 change".to_owned() } else { format!("{} changes", o.changes) };
            let _ = writeln!(text, "Track {}{via}", id.0);
            let _ = writeln!(text, "  Interface {} line-protocol", names.long(o.iface));
            let _ = writeln!(text, "  Line protocol is {state}");
            let _ = writeln!(text, "    {changes}, last change {}", elapsed(now - o.last_change));
            if !o.clients.is_empty() {
                let _ = writeln!(text, "  Tracked by:");
            }
            for client in &o.clients {
                let _ = writeln!(text, "    HSRP {} {}", names.long(client.iface), client.group);
            }
        }
        text
    }
}

impl Machine for Track {
    type Event = Event;
    type Action = Action;

    fn on(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        let Event::LineProtocol { iface, up } = event;
        for (id, object) in self.objects.iter_mut().filter(|(_, o)| o.iface == iface && o.up != up) {
            object.up = up;
            object.changes = object.changes.saturating_add(1);
            object.last_change = now;
            actions.push(Action::Trace(Trace { object: *id, iface, up }));
            actions.push(Action::Changed { object: *id, up });
        }
    }

    fn timer(&mut self, _: Instant, _: &mut Vec<Action>) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use espalier_wire::Duration;

    fn names(iface: IfIndex) -> String {
        format!("FastEthernet0/{}", iface.0)
    }

    #[test]
    fn the_documents_object() {
        let mut track = Track::default();
        let id = track.via_hsrp(Instant::ZERO, IfIndex(1), false).unwrap();
        assert_eq!((id, track.via_hsrp(Instant::ZERO, IfIndex(1), false)), (ObjectId(1), Some(ObjectId(1))));
        track.attach(id, Client { iface: IfIndex(0), group: 1 });
        let mut actions = Vec::new();
        let start = Instant::ZERO + Duration::from_s(2);
        for up in [true, true] {
            track.on(start, Event::LineProtocol { iface: IfIndex(1), up }, &mut actions);
        }
        assert_eq!(actions[1..], [Action::Changed { object: id, up: true }]);
        let later = start + Duration::from_s(3 * 3600 + 18 * 60 + 22);
        let expected = "Track 1 (via HSRP)
  Interface FastEthernet0/1 line-protocol
  Line protocol is Up
    1 change, last change 03:18:22
  Tracked by:
    HSRP FastEthernet0/0 1
";
        assert_eq!(track.show(later, &names), expected);
        let Action::Trace(trace) = actions[0] else { panic!("{actions:?}") };
        assert_eq!(
            trace.line(&names),
            "%TRACKING-5-STATE: 1 interface FastEthernet0/1 line-protocol Down->Up"
        );
    }

    #[test]
    fn numbers_are_shared_and_what_hsrp_made_goes_with_it() {
        let mut track = Track::default();
        track.configure(Instant::ZERO, ObjectId(1), IfIndex(7), true);
        let id = track.via_hsrp(Instant::ZERO, IfIndex(7), true).unwrap();
        assert_eq!(id, ObjectId(2));
        let client = Client { iface: IfIndex(0), group: 1 };
        for id in [ObjectId(1), id] {
            track.attach(id, client);
            track.detach(id, client);
        }
        assert_eq!((track.is_up(ObjectId(1)), track.is_up(ObjectId(2))), (Some(true), None));
    }
}
