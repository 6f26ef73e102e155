//! One scenario in virtual time and under the wall clock: the same outages for the same reasons, milestones in the same
//! order. How long anything took decides nothing.

use std::collections::BTreeMap;
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::{PROGRAM, case};

pub(super) fn cases() -> Vec<Trial> {
    vec![case("pinned", "the wall clock agrees with virtual time", None, agrees)]
}

fn run(drive: &str) -> Value {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/seconds/scenario.toml");
    let arguments = ["failover", scenario, "--drive", drive, "--json"];
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    assert!(output.status.success(), "{drive}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The flows that are offered by the clock; an answer is offered when its question comes.
fn flows(run: &Value) -> impl Iterator<Item = &Value> {
    list(run, "flows").iter().filter(|flow| !flow["name"].as_str().unwrap().ends_with("/reply"))
}

/// A flow's failovers. Whether a packet falls into the milliseconds of a reversion, or is offered before the network has
/// come up, is a matter of moments.
fn failovers(flow: &Value) -> impl Iterator<Item = &Value> {
    list(flow, "outages").iter().filter(|outage| outage["kind"] == "failover")
}

/// By flow: the faults that it failed over from.
fn outages(run: &Value) -> Vec<String> {
    let of = |flow: &Value| {
        let faults: Vec<&Value> = failovers(flow).map(|outage| &outage["fault"]).collect();
        format!("{} {faults:?}", flow["name"])
    };
    flows(run).map(of).collect()
}

/// By flow: where most of what the failovers cost it was lost, and to what.
fn main_cause(run: &Value) -> BTreeMap<String, String> {
    let mut most = BTreeMap::new();
    for flow in flows(run) {
        let losses = failovers(flow).flat_map(|outage| list(outage, "losses"));
        let by = |loss: &&Value| loss["lost"].as_u64().unwrap();
        if let Some(loss) = losses.max_by_key(by) {
            most.insert(flow["name"].to_string(), format!("{} {}", loss["node"], loss["cause"]));
        }
    }
    most
}

/// The kinds of milestones of each fault, in the order in which each was first reached.
fn milestones(run: &Value) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for phase in list(run, "phases").iter().filter(|phase| phase["milestone"] != "first-packet") {
        let name = format!("{} {}", phase["fault"], phase["milestone"]);
        if !order.contains(&name) {
            order.push(name);
        }
    }
    order
}

fn agrees() {
    let (simulated, pinned) = (run("simulated"), run("pinned"));
    assert_eq!((&simulated["clock"], &pinned["clock"]), (&"virtual".into(), &"real".into()));
    assert_eq!(outages(&simulated), outages(&pinned));
    assert_eq!(milestones(&simulated), milestones(&pinned));
    assert_eq!(main_cause(&simulated), main_cause(&pinned));
    // Open loop: every packet was offered, however late.
    let offered = |run: &Value| flows(run).map(|flow| flow["offered"].clone()).collect::<Vec<_>>();
    assert_eq!(offered(&simulated), offered(&pinned));
    let schedule = &pinned["schedule"];
    assert!(simulated["schedule"].is_null() && schedule["offered"].as_u64().unwrap() > 1000);
    assert_eq!(schedule["offered"], schedule["intended"]);
    // What found no room between cores is in the books under its name, and nothing else is.
    let ring_full = list(&pinned, "losses").iter().filter(|loss| loss["cause"] == "ring-full");
    let lost: u64 = ring_full.map(|loss| loss["lost"].as_u64().unwrap()).sum();
    let counted: u64 = list(schedule, "cores").iter().map(|core| core["ring_full"].as_u64().unwrap()).sum();
    assert_eq!(lost, counted);
}
