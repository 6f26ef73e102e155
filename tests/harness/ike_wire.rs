//! Two IKE machines, A and B, whose wire is the case's: every message has a number (A1, A2 … in the order sent), and the
//! case lets it pass, loses it, plays it again or changes its bytes. What each sends, refuses and does comes out.
//!
//! ```text
//! setup A policy des md5 1 86400            encryption, hash, group, lifetime: the first replaces the default one
//! setup A set retransmit 10|half-open N|keepalive S|secret WORD|transform T|seconds N|pfs G|protects NET
//! @1 A need | withdraw | withdraw-silently | returns | clear | expires | reboots
//! @2 A hold | A pass                        from now on its messages are lost (but known), or arrive after 1 ms
//! @3 play A3 [at N=HEX]… [cut N] [from ADDRESS]   message A3 arrives (again), some bytes replaced, or shortened
//! @4 flood A1 N                             N copies of it, each with an initiator cookie of its own
//! @5 bytes A HEX                            from A, whatever they are
//! ```
//! The cookies of the newest message stand for `<cookies>` in HEX.

use std::net::{Ipv4Addr, SocketAddrV4};

use espalier_control::Machine;
use espalier_control::ike::{
    Action, Config, Encryption, Entry, Event, Group, Hash, Ike, IsakmpPolicy, Keepalive, PORT, PeerKey,
};
use espalier_wire::ike::{ExchangeKind, Header};
use espalier_wire::plane::{
    Command, DfBit, Direction, Expiry, Fragmentation, Mode, PolicyId, Secret, Selector,
};
use espalier_wire::random::Random;
use espalier_wire::{Duration, Instant, Spi};

use crate::conformance::Subject;

const NAMES: [&str; 2] = ["A", "B"];
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(172, 16, 172, 53), Ipv4Addr::new(172, 16, 172, 69)];
const POLICY: PolicyId = PolicyId(1);
const FLIGHT: Duration = Duration::from_ms(1);

struct Side {
    config: Config,
    entry: Entry,
    ike: Option<Ike>,
    held: bool,
    boots: u64,
    /// Its newest inbound SA.
    inbound: Option<Spi>,
    /// Everything it sent.
    sent: Vec<Vec<u8>>,
    /// Refusals told so far, by reason.
    told: Vec<(&'static str, u64)>,
}

/// The two machines and the wire.
pub struct IkeWire {
    sides: [Side; 2],
    flights: std::collections::VecDeque<(Instant, usize, Vec<u8>)>,
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` cannot be read"))
}

fn side(name: &str) -> Result<usize, String> {
    NAMES.iter().position(|n| *n == name).ok_or_else(|| format!("`{name}` is neither A nor B"))
}

impl Default for IkeWire {
    fn default() -> Self {
        Self { sides: [Side::new(0), Side::new(1)], flights: Default::default() }
    }
}

impl Side {
    fn new(n: usize) -> Self {
        let secret = Secret::new(b"cisco123".to_vec());
        let config = Config {
            policies: vec![IsakmpPolicy { hash: Hash::Md5, ..IsakmpPolicy::default() }],
            keys: vec![PeerKey { peer: "0.0.0.0/0".parse().unwrap(), secret }],
            margin_jitter: Duration::ZERO,
            ..Config::default()
        };
        let ours = Selector::between("99.99.99.99/32".parse().unwrap(), "20.1.1.0/24".parse().unwrap());
        let entry = Entry {
            policy: POLICY,
            local: ADDRESSES[n],
            peers: vec![ADDRESSES[1 - n]],
            selector: if n == 0 { ours } else { ours.mirrored() },
            transforms: vec![("des-md5".parse().unwrap(), Mode::Tunnel)],
            pfs: None,
            seconds: 3600,
            kilobytes: Some(4_608_000),
            replay_window: 64,
            df_bit: DfBit::Copy,
            mtu: Some(1500),
            fragmentation: Fragmentation::BeforeEncryption,
        };
        Self {
            config,
            entry,
            ike: None,
            held: false,
            boots: 0,
            inbound: None,
            sent: Vec::new(),
            told: Vec::new(),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "retransmit" => self.config.retransmit = Duration::from_s(parse(value)?),
            "half-open" => self.config.half_open = parse(value)?,
            "keepalive" => self.config.keepalive = Some(Keepalive::every(Duration::from_s(parse(value)?))),
            "secret" => self.config.keys[0].secret = Secret::new(value.as_bytes().to_vec()),
            "transform" => self.entry.transforms = vec![(parse(value)?, Mode::Tunnel)],
            "seconds" => self.entry.seconds = parse(value)?,
            "protects" => {
                self.entry.selector = Selector::between(parse(value)?, "20.1.1.0/24".parse().unwrap());
            }
            "pfs" => self.entry.pfs = Some(group(value)?),
            _ => return Err(format!("no setting {name}")),
        }
        Ok(())
    }
}

fn group(text: &str) -> Result<Group, String> {
    Group::from_number(parse(text)?).ok_or_else(|| format!("no group {text}"))
}

fn policy(words: &[&str]) -> Result<IsakmpPolicy, String> {
    let [encryption, hash, number, lifetime] = words else {
        return Err("encryption hash group lifetime".into());
    };
    let encryption = match *encryption {
        "des" => Encryption::Des,
        "3des" => Encryption::TripleDes,
        other => return Err(format!("no encryption {other} in these cases")),
    };
    let hash = match *hash {
        "md5" => Hash::Md5,
        "sha" => Hash::Sha1,
        other => return Err(format!("no hash {other} in these cases")),
    };
    Ok(IsakmpPolicy { encryption, hash, group: group(number)?, lifetime: Duration::from_s(parse(lifetime)?) })
}

/// A message as the wire shows it.
fn describe(message: &[u8]) -> String {
    let Ok((header, _)) = Header::read(message) else { return "bytes that are no ISAKMP".to_owned() };
    let what = match header.exchange.kind {
        ExchangeKind::MAIN_MODE => "main mode",
        ExchangeKind::QUICK_MODE => "quick mode",
        ExchangeKind::INFORMATIONAL => "informational",
        _ => "another exchange",
    };
    let first = header.first;
    let cover = if header.flags.encryption { ", encrypted" } else { "" };
    format!("{what} {first}{cover}")
}

impl IkeWire {
    fn ike(&mut self, n: usize) -> &mut Ike {
        let side = &mut self.sides[n];
        side.ike.get_or_insert_with(|| {
            side.boots += 1;
            let random = Random::from_seed(side.boots).fork(NAMES[n]);
            let mut ike = Ike::new(side.config.clone(), random);
            ike.on(Instant::ZERO, Event::EntryUp(Box::new(side.entry.clone())), &mut Vec::new());
            ike
        })
    }

    fn event(&mut self, now: Instant, n: usize, event: Event, out: &mut Vec<String>) {
        let mut actions = Vec::new();
        self.ike(n).on(now, event, &mut actions);
        self.act(now, n, actions, out);
    }

    fn act(&mut self, now: Instant, n: usize, actions: Vec<Action>, out: &mut Vec<String>) {
        let name = NAMES[n];
        let side = &mut self.sides[n];
        for action in actions {
            match action {
                Action::Send { payload, .. } => {
                    let again = side.sent.iter().position(|s| *s == payload);
                    let number = again.unwrap_or(side.sent.len()) + 1;
                    let copy = if again.is_some() { " again" } else { "" };
                    out.push(format!("{name}{number}{copy}: {}", describe(&payload)));
                    if again.is_none() {
                        side.sent.push(payload.clone());
                    }
                    if !side.held {
                        self.flights.push_back((now + FLIGHT, 1 - n, payload));
                    }
                }
                Action::Command(Command::SwapOutbound { sa, .. }) => {
                    out.push(format!("{name} sends by an SA of {}", sa.transform));
                }
                Action::Command(Command::InstallInbound { sa, .. }) => side.inbound = Some(sa.spi),
                Action::Command(_) | Action::Trace(_) => {}
                Action::Up { rekey, .. } => {
                    out.push(format!("{name} up{}", if rekey { " anew" } else { "" }))
                }
                Action::Down { why, .. } => out.push(format!("{name} down: {why:?}")),
                Action::Failed { cause, .. } => out.push(format!("{name} fails: {cause}")),
            }
        }
        self.refusals(n, out);
    }

    fn refusals(&mut self, n: usize, out: &mut Vec<String>) {
        let side = &mut self.sides[n];
        let Some(ike) = &side.ike else { return };
        let now: Vec<_> = ike.rejected().map(|(reason, count)| (reason.name(), count)).collect();
        for (reason, count) in &now {
            let before = side.told.iter().find(|(r, _)| r == reason).map_or(0, |(_, c)| *c);
            if *count > before {
                let times =
                    if *count > before + 1 { format!(" {} times", count - before) } else { String::new() };
                out.push(format!("{} refuses: {reason}{times}", NAMES[n]));
            }
        }
        side.told = now;
    }

    fn arrive(&mut self, now: Instant, to: usize, from: Ipv4Addr, payload: Vec<u8>, out: &mut Vec<String>) {
        let local = SocketAddrV4::new(ADDRESSES[to], PORT);
        let remote = SocketAddrV4::new(from, PORT);
        self.event(now, to, Event::Packet { local, remote, payload }, out);
    }

    /// `A3`: its sender, and its bytes.
    fn message(&self, text: &str) -> Result<(usize, Vec<u8>), String> {
        let (name, number) = text.split_at_checked(1).ok_or("which message?")?;
        let (n, number) = (side(name)?, parse::<usize>(number)?);
        let sent = number.checked_sub(1).and_then(|i| self.sides[n].sent.get(i));
        Ok((n, sent.cloned().ok_or_else(|| format!("{text} was not sent yet"))?))
    }

    fn play(&mut self, now: Instant, words: &[&str], out: &mut Vec<String>) -> Result<(), String> {
        let [which, changes @ ..] = words else { return Err("play which message?".to_owned()) };
        let (n, mut bytes) = self.message(which)?;
        let mut from = ADDRESSES[n];
        for change in changes.chunks(2) {
            match change {
                ["at", edit] => {
                    let (at, hex) = edit.split_once('=').ok_or("at N=HEX")?;
                    let (at, new) = (parse::<usize>(at)?, crate::bytes(hex)?);
                    let place = bytes.get_mut(at..at + new.len()).ok_or("the message is shorter")?;
                    place.copy_from_slice(&new);
                }
                ["cut", by] => bytes.truncate(bytes.len().saturating_sub(parse(by)?)),
                ["from", address] => from = parse(address)?,
                _ => return Err(format!("no change {change:?}")),
            }
        }
        self.arrive(now, 1 - n, from, bytes, out);
        Ok(())
    }

    fn flood(&mut self, now: Instant, which: &str, copies: u32, out: &mut Vec<String>) -> Result<(), String> {
        let (n, bytes) = self.message(which)?;
        let mut unheard = Vec::new();
        let before = self.sides[1 - n].sent.len();
        self.sides[1 - n].held = true;
        for copy in 1..=copies {
            let mut forged = bytes.clone();
            forged[..4].copy_from_slice(&copy.to_be_bytes());
            self.arrive(now, 1 - n, ADDRESSES[n], forged, &mut unheard);
        }
        self.sides[1 - n].held = false;
        let answers = self.sides[1 - n].sent.len() - before;
        let (established, half_open) = self.ike(1 - n).phase1_count();
        let name = NAMES[1 - n];
        let refused = unheard.iter().filter(|l| l.ends_with("refuses: half-open")).count();
        out.push(format!("{name} answers {answers}, gives up {refused}, holds {half_open} half-open, {established} established"));
        Ok(())
    }
}

impl Subject for IkeWire {
    fn setup(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            [name, "policy", words @ ..] => self.sides[side(name)?].config.policies = vec![policy(words)?],
            [name, "set", setting, value] => self.sides[side(name)?].set(setting, value)?,
            _ => return Err(format!("no setup {words:?}")),
        }
        Ok(())
    }

    fn input(&mut self, now: Instant, words: &[&str], out: &mut Vec<String>) -> Result<(), String> {
        match words {
            ["play", rest @ ..] => return self.play(now, rest, out),
            ["flood", which, copies] => return self.flood(now, which, parse(copies)?, out),
            ["bytes", name, hex @ ..] => {
                let n = side(name)?;
                let newest = self.sides[n].sent.last().or(self.sides[1 - n].sent.last());
                let cookies = newest.map_or_else(String::new, |m| crate::hex(&m[..16]));
                let bytes = crate::bytes(&hex.concat().replace("<cookies>", &cookies))?;
                self.arrive(now, 1 - n, ADDRESSES[n], bytes, out);
                return Ok(());
            }
            _ => {}
        }
        let [name, verb] = words else { return Err(format!("no input {words:?}")) };
        let n = side(name)?;
        let event = match *verb {
            "need" => Event::Need { policy: POLICY },
            "withdraw" => Event::EntryDown { policy: POLICY, notify: true },
            "withdraw-silently" => Event::EntryDown { policy: POLICY, notify: false },
            "returns" => Event::EntryUp(Box::new(self.sides[n].entry.clone())),
            "clear" => Event::ClearSa,
            "expires" => {
                let spi = self.sides[n].inbound.ok_or("it has no SA")?;
                Event::Expiry { policy: POLICY, spi, direction: Direction::Inbound, expiry: Expiry::Hard }
            }
            "reboots" => {
                self.sides[n].ike = None;
                return Ok(());
            }
            "hold" | "pass" => {
                self.sides[n].held = *verb == "hold";
                return Ok(());
            }
            _ => return Err(format!("no input {words:?}")),
        };
        self.event(now, n, event, out);
        Ok(())
    }

    fn timer(&mut self, now: Instant, out: &mut Vec<String>) {
        while let Some((_, to, payload)) = self.flights.pop_front_if(|(at, ..)| *at <= now) {
            self.arrive(now, to, ADDRESSES[1 - to], payload, out);
        }
        for n in 0..2 {
            let mut actions = Vec::new();
            self.ike(n).timer(now, &mut actions);
            self.act(now, n, actions, out);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let timers = self.sides.iter().filter_map(|s| s.ike.as_ref()?.next_deadline());
        timers.chain(self.flights.front().map(|(at, ..)| *at)).min()
    }
}
