//! Where each traffic begins and ends, by name and by address.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::traffic::Source;
use crate::measure::topology::Path;
use crate::scenario::{Endpoint, Scenario, TrafficSpec};

/// Where each flow goes: the traffic's own end, and its beginning for answers.
pub fn destinations(scenario: &Scenario, sources: &[Source]) -> BTreeMap<String, Ipv4Addr> {
    let ends = scenario.traffic.iter().zip(sources);
    ends.flat_map(|(t, s)| [(t.name.clone(), s.to.1), (format!("{}/reply", t.name), s.from.1)]).collect()
}

/// Where each traffic begins and ends, as the scenario writes it.
pub fn paths(scenario: &Scenario) -> Vec<Path> {
    let end = |e: &Endpoint| format!("{}:{}", e.router, e.interface);
    let path = |t: &TrafficSpec| Path { traffic: t.name.clone(), from: end(&t.from), to: end(&t.to) };
    scenario.traffic.iter().map(path).collect()
}
