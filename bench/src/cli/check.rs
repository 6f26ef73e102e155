//! `espalier check`: what a scenario would do, and what looks wrong in it. Nothing is run.

use std::fmt::Write as _;

use espalier_control::ios::{self, Config, Diagnostic};

use super::{Failure, print};
use crate::scenario::{Changes, Scenario, TrafficKind, review};
use crate::world::World;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  espalier check mine/mine.toml\n  \
    espalier check --set 'config.7204VXR-*.FastEthernet0/0=standby 1 timers 1 2'\n\
    Exit code 1 with --strict when something looks wrong; 2 when it cannot be run at all.")]
pub(super) struct Arguments {
    /// A built-in's name or the path of a .toml file [default: hsrp-ipsec]
    scenario: Option<String>,
    /// Change the scenario as failover's --set does
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Fail (exit code 1) when something looks wrong
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let which = arguments.scenario.as_deref().unwrap_or("hsrp-ipsec");
    let changes = Changes { set: arguments.set.clone(), ..Changes::default() };
    let scenario = Scenario::load(which, &changes).map_err(|m| Failure::Input(m.to_string()))?;
    // Whatever would stop a run stops this.
    World::new(&scenario, None).map_err(|e| Failure::Input(e.to_string()))?;
    let parse = |r: &crate::scenario::RouterSpec| ios::parse(&r.file, &r.text);
    let parsed = scenario.routers.iter().map(parse).collect::<Result<Vec<_>, _>>();
    let refused =
        |d: Vec<Diagnostic>| Failure::Input(d.iter().map(Diagnostic::pretty).collect::<Vec<_>>().join("\n"));
    let configs: Vec<Config> = parsed.map_err(refused)?.into_iter().map(|p| p.config).collect();
    let found = review::review(&scenario, &configs);
    let mut text = would(&scenario);
    for one in &found {
        let _ = writeln!(text, "\n{}", one.pretty());
    }
    let n = found.len();
    let _ = match n {
        0 => writeln!(text, "\nNothing looks wrong."),
        1 => writeln!(text, "\nOne thing looks wrong."),
        _ => writeln!(text, "\n{n} things look wrong."),
    };
    print(&text)?;
    if arguments.strict && n > 0 {
        return Err(Failure::Check(format!("{which}: {n} things look wrong")));
    }
    Ok(())
}

/// What a run would do.
fn would(scenario: &Scenario) -> String {
    let mut text = format!("{}  {}\n", scenario.name, scenario.about);
    let _ = writeln!(text, "{} s of time, seed {}", scenario.duration.as_s(), scenario.seed);
    let _ = writeln!(text, "\nRouters");
    for r in &scenario.routers {
        let _ = writeln!(text, "  {} ({}, {})", r.name, r.file, r.profile);
    }
    let _ = writeln!(text, "Segments");
    for s in &scenario.segments {
        let ports: Vec<String> = s.attach.iter().map(|e| format!("{}:{}", e.router, e.interface)).collect();
        let _ = writeln!(text, "  {}: {}", s.name, ports.join(", "));
    }
    let _ = writeln!(text, "Traffic");
    for t in &scenario.traffic {
        let what = match &t.kind {
            TrafficKind::Udp { pps, .. } => format!("UDP, {pps} packets a second"),
            TrafficKind::IcmpEcho { pps, .. } => format!("echo requests, {pps} a second"),
            TrafficKind::Pcap { file, .. } => format!("the packets of {file}"),
        };
        let (from, to) = (&t.from, &t.to);
        let _ = writeln!(
            text,
            "  {}: {what} from {}:{} to {}:{}, from {} s on",
            t.name,
            from.router,
            from.interface,
            to.router,
            to.interface,
            t.start.as_s()
        );
    }
    let _ = writeln!(text, "Faults");
    for f in &scenario.faults {
        let _ = writeln!(text, "  {} s: {} {}", f.at.as_s(), f.action.name(), f.action.target());
    }
    text
}
