//! HSRP routers on one LAN, for conformance cases and for swarms: messages take 50 us, a port can block, and a share
//! of the messages can be lost.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_control::Machine;
use espalier_control::hsrp::config::{GroupConfig, InterfaceConfig, Preempt, Times, TrackConfig};
use espalier_control::hsrp::trace::Class;
use espalier_control::hsrp::{Action, Event, Hsrp};
use espalier_control::track::ObjectId;
use espalier_wire::hsrp::{Message, OpCode, Packet, Password, State, Version};
use espalier_wire::random::Random;
use espalier_wire::{Duration, IfIndex, Instant, Mac};

use crate::conformance::Subject;

const IFACE: IfIndex = IfIndex(0);
const FLIGHT: Duration = Duration::from_us(50);

fn names(iface: IfIndex) -> String {
    format!("FastEthernet0/{}", iface.0)
}

/// One router.
struct Station {
    hsrp: Hsrp,
    config: InterfaceConfig,
    up: bool,
    blocked: bool,
}

/// One message on its way to everyone but its sender.
struct Flight {
    from: String,
    src: Ipv4Addr,
    src_mac: Mac,
    payload: Vec<u8>,
}

/// The LAN; routers are known by name.
pub struct Lan {
    stations: BTreeMap<String, Station>,
    flights: BTreeMap<(Instant, u64), Flight>,
    sent: u64,
    random: Random,
    /// The share of messages that each receiver loses.
    pub loss: f64,
}

impl Lan {
    /// An empty LAN.
    pub fn new(seed: u64) -> Self {
        let random = Random::from_seed(seed);
        Self { stations: BTreeMap::new(), flights: BTreeMap::new(), sent: 0, random, loss: 0.0 }
    }

    /// Add a router, its interface down.
    pub fn add(&mut self, name: &str, config: InterfaceConfig) {
        let mut hsrp = Hsrp::new(self.random.fork(name));
        hsrp.on(Instant::ZERO, Event::Configure(config.clone()), &mut Vec::new());
        self.stations.insert(name.to_owned(), Station { hsrp, config, up: false, blocked: false });
    }

    /// The routers that are Active in `group` with their interface up.
    pub fn active(&self, group: u16) -> Vec<&str> {
        let is_active = |s: &Station| s.hsrp.state(IFACE, group) == Some(State::Active);
        self.stations.iter().filter(|(_, s)| is_active(s)).map(|(name, _)| name.as_str()).collect()
    }

    /// Something happens to a router.
    pub fn event(&mut self, now: Instant, name: &str, event: Event, out: &mut Vec<String>) {
        let station = self.stations.get_mut(name).unwrap();
        match event {
            Event::InterfaceUp { .. } => station.up = true,
            Event::InterfaceDown { .. } => station.up = false,
            _ => {}
        }
        let mut actions = Vec::new();
        station.hsrp.on(now, event, &mut actions);
        self.act(now, name, actions, out);
    }

    fn act(&mut self, now: Instant, name: &str, actions: Vec<Action>, out: &mut Vec<String>) {
        for action in actions {
            match action {
                Action::Send { src_mac, src, dst, payload, .. } => {
                    let station = &self.stations[name];
                    assert!(station.up, "{name} sends by an interface that is down");
                    assert_eq!(dst, station.config.version.destination());
                    out.push(format!("{name} sends {} from {}", describe(&payload), src_mac.ios()));
                    if !station.blocked {
                        let flight = Flight { from: name.to_owned(), src, src_mac, payload };
                        self.flights.insert((now + FLIGHT, self.sent), flight);
                        self.sent += 1;
                    }
                }
                Action::VirtualMac { mac, active, .. } => {
                    let verb = if active { "takes" } else { "leaves" };
                    out.push(format!("{name} {verb} {}", mac.ios()));
                }
                Action::GratuitousArp { addr, mac, .. } => {
                    out.push(format!("{name} announces {addr} at {}", mac.ios()));
                }
                Action::Redundancy { .. } => {}
                Action::Trace(trace) if trace.class() == Class::Packet => {}
                Action::Trace(trace) => out.push(format!("{name}: {}", trace.line(&names, true))),
            }
        }
    }

    fn arrive(&mut self, now: Instant, flight: &Flight, out: &mut Vec<String>) {
        let names: Vec<String> = self.stations.keys().filter(|n| **n != flight.from).cloned().collect();
        for name in names {
            let station = &self.stations[&name];
            if !station.up || station.blocked || self.random.unit() < self.loss {
                continue;
            }
            let Flight { src, src_mac, payload, .. } = flight;
            let event =
                Event::Packet { iface: IFACE, src: *src, src_mac: *src_mac, payload: payload.clone() };
            self.event(now, &name, event, out);
        }
    }

    fn hears(
        &mut self,
        now: Instant,
        name: &str,
        words: &[&str],
        out: &mut Vec<String>,
    ) -> Result<(), String> {
        let [op, state, priority, from, group, address, rest @ ..] = words else {
            return Err("hears OP STATE PRIORITY FROM GROUP ADDRESS [PASSWORD]".to_owned());
        };
        let (version, from) = (self.stations[name].config.version, parse(from)?);
        let state = State::ALL.into_iter().find(|s| format!("{s:?}") == *state).ok_or("no such state")?;
        let message = Message {
            version,
            op: match *op {
                "Hello" => OpCode::Hello,
                "Coup" => OpCode::Coup,
                "Resign" => OpCode::Resign,
                _ => return Err(format!("no op code {op}")),
            },
            state,
            hello_time: Duration::from_s(3),
            hold_time: Duration::from_s(10),
            priority: parse(priority)?,
            group: parse(group)?,
            identifier: Mac::default(),
            virtual_address: parse(address)?,
            password: Password::new(rest.first().unwrap_or(&"cisco")),
            md5: None,
        };
        let src_mac = Mac([2, 0, 0, 0, 0, 0xff]);
        let event = Event::Packet { iface: IFACE, src: from, src_mac, payload: message.emit() };
        self.event(now, name, event, out);
        Ok(())
    }
}

fn describe(payload: &[u8]) -> String {
    match Packet::parse(payload) {
        Ok(Packet::Message(m)) => format!("{:?} {:?} pri {}", m.op, m.state, m.priority),
        other => panic!("{other:?}"),
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` cannot be read"))
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    Ok(Duration::from_ms(parse(text)?))
}

/// `G ip A|learn [priority P] [preempt] [delay MS] [name N] [timers MS MS] [password P] [track OBJECT DECREMENT]`
fn group(words: &[&str]) -> Result<GroupConfig, String> {
    let [number, "ip", address, options @ ..] = words else { return Err("G ip A …".to_owned()) };
    let address = if *address == "learn" { None } else { Some(parse(address)?) };
    let mut group = GroupConfig::new(parse(number)?, address);
    let mut words = options.iter().copied();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} what?"));
        match word {
            "priority" => group.priority = Some(parse(value()?)?),
            "preempt" => group.preempt = Some(Preempt::default()),
            "delay" => group.preempt = Some(Preempt { delay_minimum: milliseconds(value()?)? }),
            "name" => (group.name, group.client) = (Some(value()?.to_owned()), true),
            "timers" => {
                let (hello, hold) = (milliseconds(value()?)?, milliseconds(value()?)?);
                group.times = Some(Times { hello, hold });
            }
            "password" => group.password = Password::new(value()?).ok_or("a longer password than 8 bytes")?,
            "track" => {
                let (object, decrement) = (ObjectId(parse(value()?)?), parse(value()?)?);
                group.tracks.push(TrackConfig { object, iface: None, decrement });
            }
            _ => return Err(format!("no option {word}")),
        }
    }
    Ok(group)
}

impl Subject for Lan {
    /// `NAME address A [version 2] [delay MS]`, `NAME group …`.
    fn setup(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            [name, "address", address, options @ ..] => {
                let address: Ipv4Addr = parse(address)?;
                let [.., last] = address.octets();
                let mut config = InterfaceConfig::new(IFACE, Mac([2, 0, 0, 0, 0, last]), address);
                for option in options.chunks(2) {
                    match option {
                        ["version", "2"] => config.version = Version::V2,
                        ["delay", ms] => config.minimum_delay = milliseconds(ms)?,
                        _ => return Err(format!("no option {option:?}")),
                    }
                }
                self.add(name, config);
                Ok(())
            }
            [_, "group", ..] => self.input(Instant::ZERO, words, &mut Vec::new()),
            _ => Err(format!("no setup {words:?}")),
        }
    }

    fn input(&mut self, now: Instant, words: &[&str], out: &mut Vec<String>) -> Result<(), String> {
        let [name, verb, rest @ ..] = words else { return Err(format!("no input {words:?}")) };
        let station = self.stations.get_mut(*name).ok_or_else(|| format!("no router {name}"))?;
        let event = match (*verb, rest) {
            ("up", []) => Event::InterfaceUp { iface: IFACE },
            ("down", []) => Event::InterfaceDown { iface: IFACE },
            ("shutdown", []) => Event::Shutdown,
            ("enquires", [group]) => Event::Enquiry { name: (*group).to_owned() },
            ("object", [object, state]) => {
                Event::Tracked { object: ObjectId(parse(object)?), up: *state == "up" }
            }
            ("group", words) => {
                let group = group(words)?;
                station.config.groups.retain(|g| g.group != group.group);
                station.config.groups.push(group);
                Event::Configure(station.config.clone())
            }
            ("no", ["group", number]) => {
                let number: u16 = parse(number)?;
                station.config.groups.retain(|g| g.group != number);
                Event::Configure(station.config.clone())
            }
            ("blocks" | "forwards", []) => {
                station.blocked = *verb == "blocks";
                return Ok(());
            }
            ("hears", words) => return self.hears(now, name, words, out),
            _ => return Err(format!("no input {words:?}")),
        };
        self.event(now, name, event, out);
        Ok(())
    }

    fn timer(&mut self, now: Instant, out: &mut Vec<String>) {
        while let Some(entry) = self.flights.first_entry().filter(|e| e.key().0 <= now) {
            let flight = entry.remove();
            self.arrive(now, &flight, out);
        }
        let names: Vec<String> = self.stations.keys().cloned().collect();
        for name in names {
            let mut actions = Vec::new();
            self.stations.get_mut(&name).unwrap().hsrp.timer(now, &mut actions);
            self.act(now, &name, actions, out);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let timers = self.stations.values().filter_map(|s| s.hsrp.next_deadline());
        timers.chain(self.flights.keys().map(|(at, _)| *at)).min()
    }
}
