//! One OSPF router on a LAN whose other stations are the case's own words: packets go in as fields or as bytes, and
//! what the router sends, decides and refuses comes out. No other machine takes part.
//!
//! ```text
//! setup us 10.1.1.1/24 [id I] [priority P]           the router, its interface down
//! @0 up | down | redistribute NET | withdraw NET
//! @1 hello FROM [id I] [mask BITS] [interval S] [dead S] [options HEX] [priority P] [dr A] [bdr A] [sees I,I…]
//! @2 dd FROM FLAGS SEQ [mtu N] [LSA…]                FLAGS of I M S or -; SEQ a number, or ours, ours+1 …
//! @3 request FROM LSA… | update FROM LSA… | ack FROM LSA…
//! @4 bytes FROM HEX                                  as they are
//! ```
//! An LSA is `KIND,ID,ROUTER,SEQ[,age=S][,metric=M][,broken]`: KIND is router, network or external (ID then has its
//! mask), SEQ counts from 1, the first sequence number there is; `same` is the instance that the router sent last.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::str::FromStr;

use espalier_control::Machine;
use espalier_control::ospf::{Action, Config, Event, InterfaceConfig, Ospf, Profile, Redistributed, Trace};
use espalier_wire::ospf::{
    AreaId, AsExternal, Auth, Body, DatabaseDescription, Hello, INITIAL_SEQUENCE, Link, LinkKind, Lsa,
    LsaBody, LsaHeader, LsaKey, LsaType, MetricType, Network, Options, Packet, Router, View,
};
use espalier_wire::random::Random;
use espalier_wire::{IfIndex, Instant, Ipv4Prefix, RouterId};

use crate::conformance::Subject;

const LAN: IfIndex = IfIndex(0);

/// The router and what the case must remember of it.
#[derive(Default)]
pub struct OspfWire {
    us: Option<(Ospf, Ipv4Addr)>,
    ids: BTreeMap<Ipv4Addr, RouterId>,
    /// The DD sequence number that the router sent last, and the one that it was told last.
    sequences: (u32, u32),
    /// The latest instance that it sent of each LSA.
    said: BTreeMap<LsaKey, Lsa>,
}

fn parse<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` cannot be read"))
}

/// What a new LSA of that kind, and of these addresses, says.
fn body(kind: &str, prefix: Ipv4Prefix, router: RouterId, metric: u32) -> Result<(LsaType, LsaBody), String> {
    match kind {
        "router" => {
            let link = Link { id: prefix.addr(), data: prefix.addr(), kind: LinkKind::Transit, metric: 1 };
            let body = Router { asbr: true, links: vec![link], ..Router::default() };
            Ok((LsaType::Router, LsaBody::Router(body)))
        }
        "network" => {
            let body = Network { prefix_len: 24, routers: vec![router] };
            Ok((LsaType::Network, LsaBody::Network(body)))
        }
        "external" => {
            let (prefix_len, metric_type) = (prefix.prefix_len(), MetricType::E2);
            let body = AsExternal { prefix_len, metric_type, metric, forwarding: None, tag: 0 };
            Ok((LsaType::AsExternal, LsaBody::AsExternal(body)))
        }
        other => Err(format!("no LSA is `{other}`")),
    }
}

/// An LSA as the output names it.
fn name(header: &LsaHeader) -> String {
    let LsaKey { kind, id, router } = header.key;
    let sequence = header.sequence.wrapping_sub(INITIAL_SEQUENCE).wrapping_add(1);
    let age = if header.age == 3600 { " at MaxAge" } else { "" };
    format!("{} {id} of {router} seq {sequence}{age}", kind_name(kind))
}

const fn kind_name(kind: LsaType) -> &'static str {
    match kind {
        LsaType::Router => "router",
        LsaType::Network => "network",
        LsaType::AsExternal => "external",
        _ => "other",
    }
}

fn names<'a>(headers: impl Iterator<Item = &'a LsaHeader>) -> String {
    headers.map(name).collect::<Vec<_>>().join("; ")
}

fn hello(words: &[&str]) -> Result<(Hello, Option<RouterId>), String> {
    let mut hello = Hello {
        prefix_len: 24,
        hello_interval: 10,
        options: Options(Options::E),
        priority: 1,
        dead_interval: 40,
        designated: None,
        backup: None,
        neighbours: Vec::new(),
    };
    let mut id = None;
    for pair in words.chunks(2) {
        let [field, value] = pair else { return Err(format!("{pair:?}: a field and its value")) };
        match *field {
            "id" => id = Some(RouterId(parse(value)?)),
            "mask" => hello.prefix_len = parse(value)?,
            "interval" => hello.hello_interval = parse(value)?,
            "dead" => hello.dead_interval = parse(value)?,
            "options" => {
                let bits = u8::from_str_radix(value, 16).map_err(|_| format!("{value} is no byte"))?;
                hello.options = Options(bits);
            }
            "priority" => hello.priority = parse(value)?,
            "dr" => hello.designated = Some(parse(value)?),
            "bdr" => hello.backup = Some(parse(value)?),
            "sees" => {
                let seen = value.split(',').map(|v| parse(v).map(RouterId)).collect::<Result<_, _>>();
                hello.neighbours = seen?;
            }
            _ => return Err(format!("a Hello has no {field}")),
        }
    }
    Ok((hello, id))
}

impl OspfWire {
    /// `KIND,ID,ROUTER,SEQ[,age=S][,metric=M][,broken]`.
    fn lsa(&self, text: &str) -> Result<Lsa, String> {
        let mut parts = text.split(',');
        let mut next = || parts.next().ok_or_else(|| format!("`{text}` is no LSA"));
        let (kind, id, router, sequence) = (next()?, next()?, next()?, next()?);
        let (mut age, mut metric, mut broken) = (0, 20, false);
        for part in parts {
            match part.split_once('=') {
                Some(("age", n)) => age = parse(n)?,
                Some(("metric", n)) => metric = parse(n)?,
                None if part == "broken" => broken = true,
                _ => return Err(format!("`{part}` of `{text}` is nothing that an LSA has")),
            }
        }
        let prefix: Ipv4Prefix =
            if id.contains('/') { parse(id)? } else { Ipv4Prefix::from(parse::<Ipv4Addr>(id)?) };
        let router = RouterId(parse(router)?);
        let (kind, body) = body(kind, prefix, router, metric)?;
        let key = LsaKey::new(kind, prefix.addr(), router);
        if sequence == "same" {
            return self.said.get(&key).cloned().ok_or_else(|| format!("{key} was never sent"));
        }
        let sequence = INITIAL_SEQUENCE + parse::<i32>(sequence)? - 1;
        let mut lsa = Lsa::new(key, Options::E, sequence, &body);
        lsa.header.age = age;
        lsa.header.checksum ^= u16::from(broken);
        Ok(lsa)
    }

    fn lsas(&self, words: &[&str]) -> Result<Vec<Lsa>, String> {
        words.iter().map(|w| self.lsa(w)).collect()
    }

    fn router(&mut self) -> Result<&mut (Ospf, Ipv4Addr), String> {
        self.us.as_mut().ok_or_else(|| "no `setup us`".to_owned())
    }

    fn event(&mut self, now: Instant, event: Event, out: &mut Vec<String>) -> Result<(), String> {
        let mut actions = Vec::new();
        self.router()?.0.on(now, event, &mut actions);
        self.act(actions, out);
        Ok(())
    }

    /// Packets and refusals in the case's words; states, elections and routes in the machine's.
    fn act(&mut self, actions: Vec<Action>, out: &mut Vec<String>) {
        for action in actions {
            match action {
                Action::Send { dst, payload, .. } => out.push(self.sent(dst, &payload)),
                Action::Trace(Trace::Discarded { src, reason, .. }) => {
                    out.push(format!("refuses {src}: {}", reason.text()));
                }
                Action::Trace(
                    trace @ (Trace::Interface { .. }
                    | Trace::Elected { .. }
                    | Trace::Neighbour { .. }
                    | Trace::Flushed { .. }
                    | Trace::Reclaimed { .. }
                    | Trace::Route { .. }),
                ) => {
                    let line = trace.debug(|_| "Fa0/0".to_owned());
                    out.push(line.trim_start_matches("OSPF: ").to_owned());
                }
                Action::Trace(_) | Action::Routes(_) | Action::JoinAllDRouters { .. } => {}
            }
        }
    }

    fn sent(&mut self, dst: Ipv4Addr, payload: &[u8]) -> String {
        let view = View::new_checked(payload).expect("what it sends is OSPF");
        view.verify(&Auth::Null).expect("its checksum is right");
        let what = match view.parse().expect("and its body").body {
            Body::Hello(h) => {
                let none = |a: Option<Ipv4Addr>| a.map_or_else(|| "none".to_owned(), |a| a.to_string());
                let seen: Vec<_> = h.neighbours.iter().map(ToString::to_string).collect();
                let (dr, bdr) = (none(h.designated), none(h.backup));
                format!(
                    "hello dr {dr} bdr {bdr} sees {}",
                    if seen.is_empty() { "none".into() } else { seen.join(",") }
                )
            }
            Body::DatabaseDescription(d) => {
                self.sequences.0 = d.sequence;
                let flag = |set, letter| if set { letter } else { "" };
                let flags = [flag(d.init, "I"), flag(d.more, "M"), flag(d.master, "S")].concat();
                let whose = if d.sequence == self.sequences.1 { "as told" } else { "of its own" };
                let flags = if flags.is_empty() { "-" } else { &flags };
                let n = d.headers.len();
                format!("dd {flags} seq {whose}, {n} LSAs")
            }
            Body::LinkStateRequest(keys) => {
                let key = |k: &LsaKey| format!("{} {} of {}", kind_name(k.kind), k.id, k.router);
                format!("request {}", keys.iter().map(key).collect::<Vec<_>>().join("; "))
            }
            Body::LinkStateUpdate(lsas) => {
                self.said.extend(lsas.iter().map(|l| (l.header.key, l.clone())));
                format!("update {}", names(lsas.iter().map(|l| &l.header)))
            }
            Body::LinkStateAck(headers) => format!("ack {}", names(headers.iter())),
        };
        format!("sends {dst} {what}")
    }

    fn heard(&mut self, words: &[&str]) -> Result<Option<(Ipv4Addr, Body)>, String> {
        let [kind, from, rest @ ..] = words else { return Ok(None) };
        let Ok(from) = from.parse::<Ipv4Addr>() else { return Ok(None) };
        let body = match (*kind, rest) {
            ("hello", fields) => {
                let (hello, id) = hello(fields)?;
                if let Some(id) = id {
                    self.ids.insert(from, id);
                }
                Body::Hello(hello)
            }
            ("dd", [flags, sequence, rest @ ..]) => {
                Body::DatabaseDescription(self.description(flags, sequence, rest)?)
            }
            ("request", keys) => {
                Body::LinkStateRequest(self.lsas(keys)?.iter().map(|l| l.header.key).collect())
            }
            ("update", all) => Body::LinkStateUpdate(self.lsas(all)?),
            ("ack", all) => Body::LinkStateAck(self.lsas(all)?.iter().map(|l| l.header).collect()),
            _ => return Ok(None),
        };
        Ok(Some((from, body)))
    }

    fn description(
        &mut self,
        flags: &str,
        sequence: &str,
        rest: &[&str],
    ) -> Result<DatabaseDescription, String> {
        let sequence = match sequence.strip_prefix("ours") {
            Some("") => self.sequences.0,
            Some(more) => self.sequences.0.wrapping_add(parse(more.trim_start_matches('+'))?),
            None => parse(sequence)?,
        };
        self.sequences.1 = sequence;
        let (mtu, rest) = match rest {
            ["mtu", mtu, rest @ ..] => (parse(mtu)?, rest),
            rest => (1500, rest),
        };
        Ok(DatabaseDescription {
            mtu,
            options: Options(Options::E),
            init: flags.contains('I'),
            more: flags.contains('M'),
            master: flags.contains('S'),
            sequence,
            headers: self.lsas(rest)?.iter().map(|l| l.header).collect(),
        })
    }
}

impl Subject for OspfWire {
    fn setup(&mut self, words: &[&str]) -> Result<(), String> {
        let ["us", address, options @ ..] = words else { return Err(format!("no setup {words:?}")) };
        let address: Ipv4Prefix = parse(address)?;
        let mut lan = InterfaceConfig::broadcast(address, 1);
        let mut router_id = RouterId(address.addr());
        for option in options.chunks(2) {
            match option {
                ["id", id] => router_id = RouterId(parse(id)?),
                ["priority", priority] => lan.priority = parse(priority)?,
                _ => return Err(format!("no option {option:?}")),
            }
        }
        let interfaces = BTreeMap::from([(LAN, lan)]);
        let config = Config { router_id, interfaces, asbr: true, profile: Profile::IOS_12_3 };
        let ospf = Ospf::new(config, Random::from_seed(1)).map_err(|e| e.to_string())?;
        self.us = Some((ospf, address.addr()));
        Ok(())
    }

    fn input(&mut self, now: Instant, words: &[&str], out: &mut Vec<String>) -> Result<(), String> {
        if let Some((src, body)) = self.heard(words)? {
            let router = self.ids.get(&src).copied().unwrap_or(RouterId(src));
            let payload = Packet { router, area: AreaId::BACKBONE, body }.emit(&Auth::Null, 0);
            let dst = self.router()?.1;
            return self.event(now, Event::Packet { iface: LAN, src, dst, payload }, out);
        }
        let event = match words {
            ["up"] => Event::InterfaceUp { iface: LAN },
            ["down"] => Event::InterfaceDown { iface: LAN },
            ["redistribute", net] => {
                let route = Redistributed { metric: 20, metric_type: MetricType::E2, next_hop: None, tag: 0 };
                Event::Redistribute { prefix: parse(net)?, route }
            }
            ["withdraw", net] => Event::Withdraw { prefix: parse(net)? },
            ["bytes", from, hex @ ..] => {
                let (src, dst) = (parse(from)?, self.router()?.1);
                Event::Packet { iface: LAN, src, dst, payload: crate::bytes(&hex.concat())? }
            }
            _ => return Err(format!("no input {words:?}")),
        };
        self.event(now, event, out)
    }

    fn timer(&mut self, now: Instant, out: &mut Vec<String>) {
        let mut actions = Vec::new();
        if let Some((ospf, _)) = &mut self.us {
            ospf.timer(now, &mut actions);
        }
        self.act(actions, out);
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.us.as_ref()?.0.next_deadline()
    }
}
