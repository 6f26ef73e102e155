//! `espalier sweep`: one scenario over settings and seeds, on all cores, resumable.

mod book;
mod slurm;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Failure, print, report, view};
use crate::drive::simulated::{self, Options};
use crate::manifest::Manifest;
use crate::measure::figures::Figures;
use crate::report::html;
use crate::report::json;
use crate::report::require::Figure;
use crate::report::sweep::{Document, Plan, Run, SCHEMA, text};
use crate::scenario::vary::{Space, Vary};
use crate::scenario::{Changes, Scenario};
use book::Book;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:\n  espalier sweep --seeds 1000\n  \
    espalier sweep --vary 'config.7204VXR-*.FastEthernet0/0=standby 1 timers {1..3} {4..10}' --seeds 20\n  \
    espalier sweep subsecond --vary 'segment.inside.loss={0,0.01,0.05}' --figure failover.inside-to-remote.lost\n  \
    espalier sweep --seeds 100000 --emit slurm job --shards 64 && sbatch job/array.sh\n  \
    espalier sweep merge job/shard-*.jsonl --out job\n\
    The same command goes on where it was interrupted.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    sweep: Sweep,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Join the runs of several files into one summary
    Merge(Merge),
}

#[derive(Debug, clap::Args)]
struct Merge {
    /// What the shards wrote
    #[arg(required = true, value_name = "RUNS.jsonl")]
    files: Vec<PathBuf>,
    /// Where runs.jsonl, report.json and report.html go
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// JSON on standard output, and nothing else there
    #[arg(long)]
    json: bool,
}

/// Who else runs the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Batch {
    /// A Slurm job array
    Slurm,
}

#[derive(Debug, clap::Args)]
struct Sweep {
    /// A built-in's name or the path of a .toml file [default: hsrp-ipsec]
    scenario: Option<String>,
    /// A setting as --set takes it, with lists {a,b} or ranges {1..3} in it; every combination is run
    #[arg(long, value_name = "PATH=VALUE")]
    vary: Vec<String>,
    /// A setting of every run
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Seeds of each combination
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seeds: u64,
    /// The first seed [default: the scenario's]
    #[arg(long)]
    seed: Option<u64>,
    /// What the summary is about, as --require names it [default: failover.FIRST-FLOW.tbm_s]
    #[arg(long, value_name = "FIGURE")]
    figure: Option<String>,
    /// Where runs.jsonl, report.json and report.html go [default: results/local/sweep-SCENARIO-PLAN]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many runs at a time [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// JSON on standard output, and nothing else there
    #[arg(long)]
    json: bool,
    /// Write the work as a batch job instead of running it
    #[arg(long, num_args = 2, value_names = ["slurm", "DIR"])]
    emit: Vec<String>,
    /// Into how many pieces --emit cuts the work
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    shards: u64,
    /// Run only this piece: which/of how many
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<(usize, usize)>,
}

/// `3/16`: the fourth of sixteen.
fn shard(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    parsed.filter(|(i, n)| i < n).ok_or_else(|| format!("\"{text}\": I/N with I from 0 below N is wanted"))
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.verb {
        Some(Verb::Merge(merge)) => merged(merge),
        None => sweep(&arguments.sweep),
    }
}

fn input(message: impl ToString) -> Failure {
    Failure::Input(message.to_string())
}

/// A plan, its space and its scenario with nothing varied; all is checked.
fn plan(arguments: &Sweep) -> Result<(Plan, Space), Failure> {
    let which = arguments.scenario.clone().unwrap_or_else(|| "hsrp-ipsec".to_owned());
    let vary = arguments.vary.iter().map(|v| v.parse::<Vary>());
    let vary = vary.collect::<Result<Vec<_>, _>>().map_err(|e| input(format!("--vary {e}")))?;
    let space = Space::new(vary).map_err(|e| input(format!("--vary: {e}")))?;
    let changes = Changes { set: arguments.set.clone(), seed: arguments.seed, pcap: None };
    let scenario = Scenario::load(&which, &changes).map_err(input)?;
    let first = scenario.traffic.first().map_or("", |t| t.name.as_str());
    let figure = arguments.figure.clone().unwrap_or_else(|| format!("failover.{first}.tbm_s"));
    let parsed: Figure = figure.parse().map_err(|e| input(format!("--figure {figure}: {e}")))?;
    let flow = parsed.flow();
    let traffic = flow.strip_suffix("/reply").unwrap_or(flow);
    if !scenario.traffic.iter().any(|t| t.name == traffic) {
        let near = crate::place::nearest(traffic, scenario.traffic.iter().map(|t| t.name.as_str()));
        return Err(input(format!("--figure {figure}: the scenario has no flow \"{flow}\"{near}")));
    }
    let plan = Plan {
        schema: SCHEMA.to_owned(),
        scenario: which,
        set: arguments.set.clone(),
        vary: arguments.vary.clone(),
        seed: scenario.seed,
        seeds: arguments.seeds,
        figure,
    };
    // A path that no scenario has is a mistake before the first run; what a router refuses is a result of its point.
    load(&plan, &space, 0)?;
    Ok((plan, space))
}

/// The scenario of a point.
fn load(plan: &Plan, space: &Space, point: usize) -> Result<Scenario, Failure> {
    let set = [plan.set.clone(), space.settings(point)].concat();
    Scenario::load(&plan.scenario, &Changes { set, seed: None, pcap: None }).map_err(input)
}

fn sweep(arguments: &Sweep) -> Result<(), Failure> {
    let (plan, space) = plan(arguments)?;
    if let [batch, dir] = arguments.emit.as_slice() {
        let _: Batch =
            clap::ValueEnum::from_str(batch, false).map_err(|e| input(format!("--emit {batch}: {e}")))?;
        return slurm::emit(&plan, arguments.shards, std::path::Path::new(dir));
    }
    let dir = arguments.out.clone().unwrap_or_else(|| book::folder(&plan));
    let file = match arguments.shard {
        Some((i, _)) => dir.join(format!("shard-{i}.jsonl")),
        None => dir.join("runs.jsonl"),
    };
    let book = Book::open(&file, &plan)?;
    let done = book.done();
    let seeds = usize::try_from(plan.seeds).unwrap_or(usize::MAX);
    let mine = |i: &usize| arguments.shard.is_none_or(|(own, n)| i % n == own);
    let work: Vec<(usize, u64)> = (0..space.points.saturating_mul(seeds))
        .filter(mine)
        .map(|i| (i / seeds, plan.seed + (i % seeds) as u64))
        .filter(|item| !done.contains(item))
        .collect();
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.jobs.map_or_else(cores, usize::from).min(work.len().max(1));
    let runs = all((&plan, &space), &work, (book, done.len()), threads)?;
    if arguments.shard.is_some() {
        return print(&format!("{}\n", file.display()));
    }
    finish(&plan, &space, runs, &dir, arguments.json)
}

/// Do the work on so many threads; each run is kept as soon as it is done, beside those that were before.
fn all(
    (plan, space): (&Plan, &Space),
    work: &[(usize, u64)],
    (book, before): (Book, usize),
    threads: usize,
) -> Result<Vec<Run>, Failure> {
    let figure: Figure = plan.figure.parse().map_err(input)?;
    let (next, book) = (AtomicUsize::new(0), Mutex::new((book, Ok(()))));
    let bar = view::runs((work.len() + before) as u64, before as u64);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((point, seed)) = work.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    let run = one(plan, space, &figure, point, seed);
                    bar.inc(1);
                    let Ok(mut held) = book.lock() else { return };
                    if let Err(e) = held.0.add(run) {
                        // A full disk ends the sweep; what is kept stays.
                        next.store(work.len(), Ordering::Relaxed);
                        held.1 = Err(e);
                        return;
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    let (book, outcome) = book.into_inner().map_err(|_| input("a run ended badly"))?;
    outcome.map(|()| book.runs)
}

fn one(plan: &Plan, space: &Space, figure: &Figure, point: usize, seed: u64) -> Run {
    let refused = |why: String| Run {
        point,
        seed,
        value: None,
        lost: 0,
        never_recovered: 0,
        parts: Vec::new(),
        refused: Some(why),
        broken: None,
    };
    let scenario = match load(plan, space, point) {
        Ok(scenario) => Scenario { seed, ..scenario },
        Err(Failure::Input(why) | Failure::Check(why)) => return refused(why),
        Err(Failure::Closed | Failure::Interrupted) => return refused("closed".to_owned()),
    };
    match simulated::run(&scenario, Options::default()) {
        Ok(recording) => Run::of(point, &Figures::brief(&recording), figure),
        Err(why) => refused(why.to_string()),
    }
}

/// The summary: on the terminal, as JSON, as a page.
fn finish(
    plan: &Plan,
    space: &Space,
    runs: Vec<Run>,
    dir: &std::path::Path,
    json: bool,
) -> Result<(), Failure> {
    let broken: BTreeSet<String> = runs.iter().filter_map(|r| r.broken.clone()).collect();
    let first = runs.iter().find_map(|r| r.refused.clone());
    let some = runs.iter().any(|r| r.refused.is_none());
    let manifest = Manifest::here("virtual", Some(plan.seed));
    let document = Document::of(plan, space, runs, manifest);
    let text_of = json::text(&document).map_err(|e| Failure::Check(e.to_string()))?;
    let (path, page) = (dir.join("report.json"), dir.join("report.html"));
    report::write(&path, &text_of)?;
    let source =
        html::Source { file: path.display().to_string(), name: plan.scenario.clone(), text: text_of.clone() };
    report::write(&page, &html::page(&[source]).map_err(|m| Failure::Check(m.to_string()))?)?;
    if json {
        print(&text_of)?;
    } else {
        print(&text(&document, super::style()))?;
        print(&format!("The page: {}\n", page.display()))?;
    }
    match (some, first, broken.first()) {
        (false, Some(why), _) => Err(Failure::Input(why)),
        (_, _, Some(why)) => Err(Failure::Check(why.clone())),
        _ => Ok(()),
    }
}

fn merged(arguments: &Merge) -> Result<(), Failure> {
    let (plan, runs) = book::joined(&arguments.files)?;
    let vary = plan.vary.iter().map(|v| v.parse::<Vary>()).collect::<Result<Vec<_>, _>>().map_err(input)?;
    let space = Space::new(vary).map_err(input)?;
    let dir = arguments.out.clone().unwrap_or_else(|| book::folder(&plan));
    std::fs::create_dir_all(&dir).map_err(|e| input(format!("{}: {e}", dir.display())))?;
    book::write(&dir.join("runs.jsonl"), &plan, &runs)?;
    finish(&plan, &space, runs, &dir, arguments.json)
}
