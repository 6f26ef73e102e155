//! From a scenario to a world: everything that needs the routers' configurations to be checked, is checked here.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use espalier_control::ios::{self, Config, InterfaceName};
use espalier_dataplane::mem::Pool;
use espalier_wire::random::Random;
use espalier_wire::{Duration, IfIndex, Instant};

use super::node::Node;
use super::plane::Said;
use super::segment::Segment;
use super::tap::Tap;
use super::traffic::Source;
use super::{Error, World};
use crate::measure::ledger::Ledger;
use crate::place::{Mistake, nearest};
use crate::scenario::{Endpoint, FaultAction, Scenario};

/// Traffic stops this long before the end, and the run drains.
pub(super) const DRAIN: Duration = Duration::from_s(5);

pub(super) fn world(scenario: &Scenario, out: Option<&Path>) -> Result<World, Error> {
    let random = Random::from_seed(scenario.seed);
    let nodes = nodes(scenario, &random)?;
    let (nodes, segments) = attach(scenario, nodes, &random)?;
    check_faults(scenario, &nodes)?;
    let sources = sources(scenario, &nodes, random.fork("traffic").u64())?;
    let names: Vec<String> = scenario.traffic.iter().map(|t| t.name.clone()).collect();
    let mut world = World {
        ledger: Ledger::new(&names),
        nodes,
        segments,
        sources,
        events: Vec::new(),
        struck: Vec::new(),
        shown: Vec::new(),
        sas: Vec::new(),
        ike_keys: Vec::new(),
        violations: Vec::new(),
        later: Vec::new(),
        refused: None,
        tap: Tap::deaf(),
        pool: Pool::new(4096),
        packet: Vec::new(),
        spare: Said::default(),
        spares: Vec::new(),
        runs: false,
        line: None,
        asked: Vec::new(),
    };
    for (traffic, source) in world.sources.iter().enumerate() {
        if let Some(steady) = source.steady() {
            world.ledger.keep(traffic, steady);
        }
    }
    if let Some(dir) = out {
        let ports = world.attached();
        let segments = world.segments.iter().map(|s| s.name.clone()).zip(ports);
        world.tap = Tap::into_dir(dir, &scenario.about, &segments.collect::<Vec<_>>())?;
    }
    Ok(world)
}

fn nodes(scenario: &Scenario, random: &Random) -> Result<Vec<Node>, Error> {
    let mut nodes = Vec::new();
    for (number, spec) in scenario.routers.iter().enumerate() {
        let parsed = ios::parse(&spec.file, &spec.text).map_err(Error::Configuration)?;
        espalier_control::router::check(&parsed.config).map_err(Error::Configuration)?;
        let profile = spec.profile.parse().map_err(|e| spec.at.says(format!("{e}")))?;
        let random = random.fork("router").fork(&spec.name);
        let macs = super::node::macs(number as u8, parsed.config.interfaces.len());
        nodes.push(Node::new(&spec.name, macs, parsed.config, profile, random));
    }
    Ok(nodes)
}

fn attach(
    scenario: &Scenario,
    mut nodes: Vec<Node>,
    random: &Random,
) -> Result<(Vec<Node>, Vec<Segment>), Error> {
    let mut segments = Vec::new();
    for (at, spec) in scenario.segments.iter().enumerate() {
        let random = random.fork("segment").fork(&spec.name);
        let mut segment = Segment::new(&spec.name, spec.impairment, spec.forward_delay, random);
        let mut addresses: BTreeMap<Ipv4Addr, &Endpoint> = BTreeMap::new();
        for end in &spec.attach {
            let (node, iface) = find(&nodes, end)?;
            let port = segment.attach(node, iface);
            let n = &mut nodes[node];
            let interface = n.startup.interface_at(iface);
            if !interface.is_some_and(|i| i.name.kind().is_ethernet()) {
                return Err(end.at.says(format!("{} is no Ethernet interface", end.interface)).into());
            }
            for address in interface.into_iter().flat_map(ios::Interface::addresses) {
                if let Some(other) = addresses.insert(address.addr(), end) {
                    let (a, b) = (&other.router, address.addr());
                    return Err(end.at.says(format!("{b} is {a}'s address on this segment, too")).into());
                }
            }
            let place = n.ports.get_mut(usize::from(iface.0));
            match place {
                Some(place @ None) => *place = Some((at, port)),
                _ => {
                    let (router, name) = (&end.router, &end.interface);
                    return Err(end.at.says(format!("{router}:{name} is attached already")).into());
                }
            }
        }
        segments.push(segment);
    }
    Ok((nodes, segments))
}

fn find(nodes: &[Node], end: &Endpoint) -> Result<(usize, IfIndex), Mistake> {
    let Some(node) = nodes.iter().position(|n| n.name == end.router) else {
        let near = nearest(&end.router, nodes.iter().map(|n| n.name.as_str()));
        return Err(end.at.says(format!("no router is called \"{}\"{near}", end.router)));
    };
    let config = &nodes[node].startup;
    let name: Result<InterfaceName, _> = end.interface.parse();
    let index = name.ok().and_then(|name| config.index_of(name));
    let Some(index) = index else {
        let names: Vec<String> = config.interfaces.iter().map(|i| i.name.to_string()).collect();
        let near = nearest(&end.interface, names.iter().map(String::as_str));
        return Err(end.at.says(format!("{} has no interface \"{}\"{near}", end.router, end.interface)));
    };
    Ok((node, index))
}

/// The traffic alone, its packets' bytes from another secret than the scenario's seed.
pub(super) fn traffic(scenario: &Scenario, secret: u64) -> Result<Vec<Source>, Error> {
    let nodes = nodes(scenario, &Random::from_seed(scenario.seed))?;
    Ok(sources(scenario, &nodes, secret)?)
}

fn sources(scenario: &Scenario, nodes: &[Node], seed: u64) -> Result<Vec<Source>, Mistake> {
    let address = |end: &Endpoint| {
        let (node, iface) = find(nodes, end)?;
        let of = |config: &Config| config.interface_at(iface)?.address;
        match of(&nodes[node].startup) {
            Some(address) => Ok((node, address.addr())),
            None => Err(end.at.says(format!("{}:{} has no IP address", end.router, end.interface))),
        }
    };
    let stop = Instant::ZERO + scenario.duration.saturating_sub(DRAIN);
    let mut sources = Vec::new();
    for (number, spec) in scenario.traffic.iter().enumerate() {
        let Ok(number) = u16::try_from(number) else { return Err(spec.at.says("too many traffics")) };
        sources.push(Source::new(spec, number, address(&spec.from)?, address(&spec.to)?, stop, seed)?);
    }
    Ok(sources)
}

fn check_faults(scenario: &Scenario, nodes: &[Node]) -> Result<(), Mistake> {
    for fault in &scenario.faults {
        match &fault.action {
            FaultAction::Shutdown(end) | FaultAction::NoShutdown(end) => drop(find(nodes, end)?),
            FaultAction::Crash(name)
            | FaultAction::Boot(name)
            | FaultAction::ClearSa(name)
            | FaultAction::Reload { router: name, .. }
            | FaultAction::Config { router: name, .. } => {
                if !nodes.iter().any(|n| n.name == *name) {
                    let near = nearest(name, nodes.iter().map(|n| n.name.as_str()));
                    return Err(fault.place.says(format!("no router is called \"{name}\"{near}")));
                }
            }
            FaultAction::Cut(name)
            | FaultAction::Restore(name)
            | FaultAction::Impair { segment: name, .. } => {
                if !scenario.segments.iter().any(|s| s.name == *name) {
                    let near = nearest(name, scenario.segments.iter().map(|s| s.name.as_str()));
                    return Err(fault.place.says(format!("no segment is called \"{name}\"{near}")));
                }
            }
        }
    }
    Ok(())
}
