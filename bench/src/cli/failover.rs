//! `espalier failover`: run a scenario and say what was lost, where, why and for how long.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use espalier_control::ios::{Exec, parse_exec};
use espalier_wire::Instant;

use super::lines::{Debug, clock, is_printed};
use super::view::{self, End, View};
use super::{Failure, print, report};
use crate::drive::lab;
use crate::drive::pinned;
use crate::drive::simulated::{self, Options};
use crate::live::{Feed, Network};
use crate::manifest::Manifest;
use crate::measure::figures::Figures;
use crate::measure::recording::Recording;
use crate::report::document::{Answer, Document, SCHEMA};
use crate::report::html;
use crate::report::json;
use crate::report::prediction::{self, Compared};
use crate::report::require::Requirement;
use crate::report::seeds::Runs;
use crate::report::text;
use crate::scenario::{Changes, Scenario, quantity};
use crate::staged::Staged;
use crate::wireshark;

/// Who tells the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Drive {
    /// Virtual time, one thread: the same seed gives the same bytes
    Simulated,
    /// The wall clock on pinned cores, as long as the scenario lasts: routers, links and traffic take the time they take
    Pinned,
    /// Real interfaces in network namespaces of this machine, with FRR and strongSwan as the other routers; as root,
    /// as long as the scenario lasts
    Host,
}

/// What the gateways of `--drive host` are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Gateways {
    /// Routers of ours
    Espalier,
    /// keepalived (VRRP), strongSwan and FRR; who becomes master begins IKE at once
    Keepalived,
    /// The same, but who becomes master waits for the peer's dead-peer detection
    KeepalivedWaiting,
}

impl From<Gateways> for lab::Gateways {
    fn from(gateways: Gateways) -> Self {
        match gateways {
            Gateways::Espalier => Self::Espalier,
            Gateways::Keepalived => Self::Keepalived,
            Gateways::KeepalivedWaiting => Self::KeepalivedWaiting,
        }
    }
}

/// The same by the clock's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Clock {
    /// As `--drive simulated`
    Virtual,
    /// As `--drive pinned`
    Real,
}

#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// A built-in's name (`espalier scenarios` lists them) or the path of a .toml file [default: hsrp-ipsec]
    scenario: Option<String>,
    /// Who tells the time
    #[arg(long)]
    drive: Option<Drive>,
    /// The same by the clock's name
    #[arg(long, conflicts_with = "drive")]
    clock: Option<Clock>,
    /// --drive pinned: packets that may be under way to another core and back; more are lost to ring-full [default: 16384]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    ring: Option<u32>,
    /// Where jitter, cookies, keys and impairments come from; the scenario's own by default
    #[arg(long)]
    seed: Option<u64>,
    /// Run this many seeds, from the scenario's (or --seed) on, on all cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: Option<u64>,
    /// A capture in place of the scenario's traffic
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Change the scenario: traffic.NAME.rate=1kpps, segment.NAME.loss=0.01, config.ROUTER.INTERFACE="IOS line"
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Where report.json, report.html, SEGMENT.pcapng and keys/ go [default on a terminal: results/local/SCENARIO-SEED, or -host]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// With --drive host, write keys/ too: whoever reads them reads the traffic. Other drives always do
    #[arg(long)]
    keys: bool,
    /// With --drive host, what the gateways are made of [default: espalier]
    #[arg(long)]
    gateways: Option<Gateways>,
    /// JSON on standard output, and nothing else there
    #[arg(long)]
    json: bool,
    /// Show rates and the state of every router on the terminal while it runs: --drive pinned and host
    #[arg(long)]
    live: bool,
    /// What a router would answer then: '75s 7204VXR-2 show standby'
    #[arg(long, value_name = "TIME ROUTER COMMAND")]
    show: Vec<String>,
    /// Print debug and log lines as routers print them
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    debug: Vec<Debug>,
    /// Fail (exit code 1) unless a figure meets this: 'failover.inside-to-remote.tbm_s<10'
    #[arg(long, value_name = "EXPR")]
    require: Vec<String>,
    /// Do not print the report and make no page
    #[arg(long)]
    no_report: bool,
}

impl Arguments {
    /// What stands before the verb belongs to this verb too.
    pub(super) fn or(self, before: Self) -> Self {
        let join = |mut a: Vec<String>, b: Vec<String>| {
            a.extend(b);
            a
        };
        Self {
            scenario: self.scenario.or(before.scenario),
            drive: self.drive.or(before.drive),
            clock: self.clock.or(before.clock),
            ring: self.ring.or(before.ring),
            seed: self.seed.or(before.seed),
            seeds: self.seeds.or(before.seeds),
            pcap: self.pcap.or(before.pcap),
            set: join(before.set, self.set),
            out: self.out.or(before.out),
            keys: self.keys || before.keys,
            gateways: self.gateways.or(before.gateways),
            json: self.json || before.json,
            live: self.live || before.live,
            show: join(before.show, self.show),
            debug: [before.debug, self.debug].concat(),
            require: join(before.require, self.require),
            no_report: self.no_report || before.no_report,
        }
    }

    fn drive(&self) -> Drive {
        match self.clock {
            Some(Clock::Real) => Drive::Pinned,
            Some(Clock::Virtual) => Drive::Simulated,
            None => self.drive.unwrap_or(Drive::Simulated),
        }
    }

    /// Nothing was said.
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            scenario,
            drive,
            clock,
            ring,
            seed,
            seeds,
            pcap,
            set,
            out,
            keys,
            gateways,
            json,
            live,
            show,
            debug,
            require,
            no_report,
        } = self;
        let options =
            drive.is_none() && clock.is_none() && ring.is_none() && seed.is_none() && seeds.is_none();
        let lists = set.is_empty() && show.is_empty() && debug.is_empty() && require.is_empty();
        let host = !keys && gateways.is_none();
        scenario.is_none()
            && options
            && lists
            && host
            && pcap.is_none()
            && out.is_none()
            && !(*json || *live || *no_report)
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let requirements = read(&arguments.require)?;
    let shows = arguments.show.iter().map(|s| show(s)).collect::<Result<Vec<_>, _>>()?;
    let which = arguments.scenario.as_deref().unwrap_or("hsrp-ipsec");
    let changes = Changes { set: arguments.set.clone(), seed: arguments.seed, pcap: arguments.pcap.clone() };
    let scenario = Scenario::load(which, &changes).map_err(|m| Failure::Input(m.to_string()))?;
    for (_, router, command, _) in &shows {
        if !scenario.routers.iter().any(|r| r.name == *router) {
            let names: Vec<&str> = scenario.routers.iter().map(|r| r.name.as_str()).collect();
            let near = crate::place::nearest(router, names);
            return Err(Failure::Input(format!(
                "--show '… {command}': no router is called \"{router}\"{near}"
            )));
        }
    }
    let drive = arguments.drive();
    for (given, option) in [(arguments.keys, "--keys"), (arguments.gateways.is_some(), "--gateways")] {
        if given && drive != Drive::Host {
            return Err(Failure::Input(format!("{option} is for --drive host")));
        }
    }
    if arguments.live {
        if drive == Drive::Simulated {
            let why = "--live is for --drive pinned and host: virtual time is over before anybody looks";
            return Err(Failure::Input(why.to_owned()));
        }
        view::check()?;
    }
    if drive != Drive::Pinned && arguments.ring.is_some() {
        return Err(Failure::Input("--ring is for --drive pinned: nothing else has rings".to_owned()));
    }
    if drive == Drive::Host {
        return real(arguments, &scenario, &requirements);
    }
    if drive == Drive::Pinned && arguments.seeds.is_some() {
        let why = "--seeds is for virtual time: --drive pinned lasts as long as it says";
        return Err(Failure::Input(why.to_owned()));
    }
    let out = folder(arguments, &scenario)?;
    let (view, feed) = look_on(arguments, &scenario).unzip();
    let options = Options { shows, out: out.as_deref(), feed };
    let recording = match drive {
        Drive::Pinned => {
            let layout = pinned::Layout::here(arguments.ring.map_or(pinned::RING, |ring| ring as usize));
            pinned::run(&scenario, options, &layout)
        }
        _ => simulated::run(&scenario, options),
    };
    drop(view);
    let recording = recording.map_err(|e| Failure::Input(e.to_string()))?;
    let figures = Figures::of(&recording);
    let mut all = vec![figures];
    if let Some(n) = arguments.seeds {
        all.extend(more(&scenario, n - 1)?);
    }
    let runs = arguments.seeds.map(|_| Runs::of(&all));
    let more = More { runs, prediction: None, keys: true };
    finish(arguments, &recording, &all, more, out.as_deref(), &requirements)
}

/// Whoever looks on while it runs: a screen, a bar, or nobody.
fn look_on(arguments: &Arguments, scenario: &Scenario) -> Option<(View, Feed)> {
    let (drive, is_seen) = (arguments.drive(), !arguments.json && std::io::stdout().is_terminal());
    match drive {
        Drive::Simulated => is_seen.then(|| View::bar(scenario.duration, "virtual")).flatten(),
        _ if !arguments.live => is_seen.then(|| View::bar(scenario.duration, "real")).flatten(),
        Drive::Pinned => {
            let core = pinned::core();
            Some(View::screen(Network::of(scenario, "under the wall clock"), End::Interrupt, core))
        }
        Drive::Host => {
            let mut network = Network::of(scenario, "on real interfaces");
            let gateways = arguments.gateways.map(Into::into).unwrap_or_default();
            for (router, program) in network.routers.iter_mut().zip(lab::players(scenario, gateways)) {
                router.foreign = program;
            }
            Some(View::screen(network, End::Interrupt, None))
        }
    }
}

/// The same scenario in virtual time and for real, one beside the other.
fn real(arguments: &Arguments, scenario: &Scenario, requirements: &[Requirement]) -> Result<(), Failure> {
    let gateways = arguments.gateways.unwrap_or(Gateways::Espalier);
    let unfit = [
        (arguments.seeds.is_some(), "--drive host does not know --seeds"),
        (!arguments.show.is_empty(), "--drive host does not know --show"),
        (arguments.keys && gateways != Gateways::Espalier, "--keys: only gateways of ours tell their keys"),
    ];
    if let Some((_, why)) = unfit.iter().find(|(given, _)| *given) {
        return Err(Failure::Input((*why).to_owned()));
    }
    let out = folder(arguments, scenario)?;
    if arguments.keys && out.is_none() {
        return Err(Failure::Input("--keys wants --out DIR".to_owned()));
    }
    let input = |e: &dyn std::fmt::Display| Failure::Input(e.to_string());
    let predicted = simulated::run(scenario, Options::default()).map_err(|e| input(&e))?;
    let predicted = Figures::of(&predicted);
    let (view, feed) = look_on(arguments, scenario).unzip();
    let options = lab::Options { gateways: gateways.into(), out: out.as_deref(), keys: arguments.keys, feed };
    let recording = lab::run(scenario, options);
    drop(view);
    let (recording, warnings) = recording.map_err(|e| input(&e))?;
    for warning in warnings {
        // Whoever does not listen is not warned.
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    let figures = Figures::of(&recording);
    let prediction = Some(prediction::compare(&predicted, &figures));
    let more = More { prediction, keys: arguments.keys, ..More::default() };
    finish(arguments, &recording, &[figures], more, out.as_deref(), requirements)
}

/// What a report has besides the figures of its run.
#[derive(Default)]
struct More {
    runs: Option<Runs>,
    prediction: Option<Vec<Compared>>,
    /// Whether keys are written.
    keys: bool,
}

fn finish(
    arguments: &Arguments,
    recording: &Recording,
    all: &[Figures],
    more: More,
    out: Option<&Path>,
    requirements: &[Requirement],
) -> Result<(), Failure> {
    let Some(figures) = all.first() else { return Ok(()) };
    debug(arguments, recording)?;
    let shows: Vec<Answer> = recording.shows.iter().map(Answer::from).collect();
    if !arguments.json {
        for a in &shows {
            print(&format!("{:.3} s  {}#{}\n{}\n", a.t_s, a.router, a.command, a.text))?;
        }
        let style = super::style();
        if !arguments.no_report {
            print(&text::run(recording, figures, style))?;
            if let Some(runs) = &more.runs {
                print(&format!("\n{}", text::runs(runs, style)))?;
            }
            if let Some(compared) = &more.prediction {
                print(&format!("\n{}", prediction::text(compared)))?;
            }
        }
    }
    let seed = (recording.clock == "virtual" || recording.schedule.is_some()).then_some(recording.seed);
    let manifest = Manifest::here(recording.clock, seed);
    let (runs, prediction, schedule) = (more.runs, more.prediction, recording.schedule.as_ref());
    let document = Document { schema: SCHEMA, figures, shows, runs, prediction, schedule, manifest };
    let json = json::text(&document).map_err(|e| Failure::Check(e.to_string()))?;
    if let Some(dir) = out {
        files(arguments, dir, &json, recording, more.keys)?;
    }
    if arguments.json {
        print(&json)?;
    }
    for run in all {
        run.check().map_err(Failure::Check)?;
        for requirement in requirements {
            requirement.check(run).map_err(Failure::Check)?;
        }
    }
    Ok(())
}

/// Report, page and keys; the captures are there already.
fn files(
    arguments: &Arguments,
    dir: &Path,
    json: &str,
    recording: &Recording,
    keys: bool,
) -> Result<(), Failure> {
    keep(dir, json, recording, keys)?;
    let page = dir.join("report.html");
    if !arguments.no_report {
        let (name, text) = (recording.scenario.clone(), json.to_owned());
        let source = html::Source { file: "report.json".to_owned(), name, text };
        let html = html::page(&[source]).map_err(|m| Failure::Check(m.to_string()))?;
        report::write(&page, &html)?;
    }
    if arguments.json {
        return Ok(());
    }
    let opened = if keys { ", keys/ to open them with" } else { "" };
    let beside = format!("report.json, a pcapng of each segment{opened}");
    print(&if arguments.no_report {
        format!("Everything is in {}: {beside}.\n", dir.display())
    } else {
        format!("Beside the page: {beside}.\nThe page: {}\n", page.display())
    })
}

fn read(texts: &[String]) -> Result<Vec<Requirement>, Failure> {
    let one = |t: &String| t.parse().map_err(|e| Failure::Input(format!("--require: {e}")));
    texts.iter().map(one).collect()
}

/// `TIME ROUTER COMMAND`.
fn show(text: &str) -> Result<(Instant, String, String, Exec), Failure> {
    let wrong = |why: String| Failure::Input(format!("--show '{text}': {why}"));
    let mut words = text.trim().splitn(3, char::is_whitespace);
    let (Some(time), Some(router), Some(command)) = (words.next(), words.next(), words.next()) else {
        return Err(wrong("TIME ROUTER COMMAND is wanted, such as '75s 7204VXR-2 show standby'".to_owned()));
    };
    let at = quantity::duration(time).map_err(|e| wrong(e.clone()))?;
    let exec = parse_exec(command.trim()).map_err(|d| wrong(format!("\n{}", d.pretty())))?;
    if matches!(exec, Exec::Debug { .. }) {
        return Err(wrong("debug lines are printed by --debug".to_owned()));
    }
    Ok((Instant::ZERO + at, router.to_owned(), command.trim().to_owned(), exec))
}

/// Where the files go, made if need be.
fn folder(arguments: &Arguments, scenario: &Scenario) -> Result<Option<PathBuf>, Failure> {
    // A run on real interfaces has no seed.
    let seed = || scenario.seed.to_string();
    let run = if arguments.drive() == Drive::Host { "host".to_owned() } else { seed() };
    let own = || super::local().join(format!("{}-{run}", scenario.name));
    let wanted = !arguments.json && !arguments.no_report && std::io::stdout().is_terminal();
    let Some(dir) = arguments.out.clone().or_else(|| wanted.then(own)) else { return Ok(None) };
    std::fs::create_dir_all(&dir).map_err(|e| Failure::Input(format!("{}: {e}", dir.display())))?;
    Ok(Some(dir))
}

fn keep(dir: &Path, json: &str, recording: &Recording, keys: bool) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Input(format!("{}: {e}", dir.display()));
    if keys {
        wireshark::write_keys(&dir.join("keys"), &recording.sas, &recording.ike_keys).map_err(failed)?;
    }
    let mut file = Staged::create(&dir.join("report.json")).map_err(failed)?;
    file.write_all(json.as_bytes()).map_err(failed)?;
    file.persist().map_err(failed)
}

/// The following seeds, on all cores; the result does not depend on how many there are.
fn more(scenario: &Scenario, n: u64) -> Result<Vec<Figures>, Failure> {
    let (next, found) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bar = view::runs(n + 1, 1);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= n {
                        break;
                    }
                    let scenario = Scenario { seed: scenario.seed + 1 + i, ..scenario.clone() };
                    let run = simulated::run(&scenario, Options::default()).map(|r| Figures::brief(&r));
                    bar.inc(1);
                    if let Ok(mut found) = found.lock() {
                        found.push((i, run));
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by_key(|(i, _)| *i);
    found.into_iter().map(|(_, run)| run.map_err(|e| Failure::Input(e.to_string()))).collect()
}

/// Debug and log lines, to standard error when standard output is JSON's.
fn debug(arguments: &Arguments, recording: &Recording) -> Result<(), Failure> {
    if arguments.debug.is_empty() {
        return Ok(());
    }
    let mut lines = String::new();
    for e in &recording.events {
        if is_printed(&e.event, &arguments.debug) {
            let name = recording.nodes.get(usize::from(e.node.0)).map_or("", String::as_str);
            lines.push_str(&format!("{name}: {}: {}\n", clock(e.at - Instant::ZERO), e.event.text));
        }
    }
    if arguments.json {
        std::io::stderr().lock().write_all(lines.as_bytes())?;
        return Ok(());
    }
    print(&lines)
}
