//! A run on a terminal: the network, delivery over time, the waterfall of milestones, where the seconds went, where
//! the packets went, and a verdict.

use std::fmt::Write as _;

use super::seeds::Runs;
use crate::measure::figures::{Figures, FlowFigures, OutageFigures};
use crate::measure::recording::{Recording, Schedule};

/// A wider terminal gets no more columns.
const MOST_COLUMNS: usize = 180;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Bold, and back; nothing when colours are off.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Escape sequences may be written.
    pub colour: bool,
    /// Characters of a line.
    pub width: usize,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn head(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn good(self, text: &str) -> String {
        self.paint("32", text)
    }
}

/// `items` joined by `between`, in lines of at most `width` characters where an item allows it; each line begins with
/// `indent` blanks, which the first has already.
fn folded(items: &[String], between: &str, indent: usize, width: usize) -> String {
    let (mut text, mut used) = (String::new(), indent);
    for (i, item) in items.iter().enumerate() {
        let long = item.chars().count() + between.chars().count();
        if i > 0 {
            text.push_str(between);
            if used + long > width && used > indent {
                let kept = text.trim_end().len();
                text.truncate(kept);
                let _ = write!(text, "\n{:indent$}", "");
                used = indent;
            }
        }
        text.push_str(item);
        used += long;
    }
    text
}

/// The whole report.
pub fn run(recording: &Recording, figures: &Figures, style: Style) -> String {
    let mut text = String::new();
    let Figures { scenario, seed, clock, duration_s, .. } = figures;
    let words: Vec<String> = recording.about.split_whitespace().map(str::to_owned).collect();
    let about = folded(&words, " ", scenario.chars().count() + 2, style.width);
    let _ = writeln!(text, "{}  {about}", style.head(scenario));
    let _ = writeln!(text, "seed {seed}, {duration_s} s of {clock} time");
    if let Some(schedule) = &recording.schedule {
        kept(&mut text, schedule);
    }
    text.push('\n');
    network(&mut text, recording, style);
    timeline(&mut text, figures, style);
    waterfall(&mut text, figures, style);
    outages(&mut text, figures, style);
    rekeys(&mut text, figures, style);
    losses(&mut text, figures, style);
    verdict(&mut text, figures, style);
    text
}

fn network(text: &mut String, recording: &Recording, style: Style) {
    let _ = writeln!(text, "{}", style.head("Network"));
    let segments = recording.nodes.iter().skip(recording.routers);
    let width = segments.clone().map(String::len).max().unwrap_or(0);
    for (name, ports) in segments.zip(&recording.attached) {
        let ports = folded(ports, " ─ ", width + 7, style.width);
        let _ = writeln!(text, "  {name:<width$} ═╤═ {ports}");
    }
    text.push('\n');
}

fn width(figures: &Figures) -> usize {
    figures.flows.iter().map(|f| f.name.len()).max().unwrap_or(0).max(8)
}

fn timeline(text: &mut String, figures: &Figures, style: Style) {
    let width = width(figures);
    let columns = style.width.saturating_sub(width + 4).clamp(20, MOST_COLUMNS);
    let step = figures.duration_s / columns as f64;
    let head = style.head("Delivered");
    let _ = writeln!(text, "{head}  a column is {}: █ all that was offered, ▁ little, × none", seconds(step));
    let column = |t: f64| ((t / step) as usize).min(columns - 1);
    let mut marks = vec![' '; columns];
    for phase in figures.phases.iter().filter(|p| p.milestone == "active") {
        marks[column(phase.at_s)] = 'A';
    }
    for (i, fault) in figures.faults.iter().enumerate() {
        marks[column(fault.at_s)] = char::from_digit((i + 1).min(9) as u32, 10).unwrap_or('*');
    }
    let marks: String = marks.into_iter().collect();
    let _ = writeln!(text, "  {:<width$}  {}", "", style.paint("33", marks.trim_end()));
    for flow in &figures.flows {
        let bar = |(offered, delivered): &(u32, u32)| match (offered, delivered) {
            (0, _) => '·',
            (_, 0) => '×',
            (offered, delivered) => BARS[((delivered * 8).div_ceil(*offered) as usize).clamp(1, 8) - 1],
        };
        let line: String = grouped(&flow.columns, columns).iter().map(bar).collect();
        let _ = writeln!(text, "  {:<width$}  {line}", flow.name);
    }
    let _ = writeln!(text, "  {:<width$}  digits: faults; A: another router becomes Active\n", "");
}

/// The buckets of a flow as so many columns.
fn grouped(buckets: &[(u32, u32)], columns: usize) -> Vec<(u32, u32)> {
    let column = |i: usize| {
        let (from, to) = (i * buckets.len() / columns, (i + 1) * buckets.len() / columns);
        let own = buckets.get(from..to.max(from + 1).min(buckets.len())).unwrap_or_default();
        own.iter().fold((0, 0), |sum, b| (sum.0 + b.0, sum.1 + b.1))
    };
    (0..columns).map(column).collect()
}

fn waterfall(text: &mut String, figures: &Figures, style: Style) {
    for (i, fault) in figures.faults.iter().enumerate() {
        let what = style.head(&format!("{} {}", fault.action, fault.target));
        let _ = writeln!(text, "{}  {what} at {:.3} s", i + 1, fault.at_s);
        let mut last = String::new();
        for phase in figures.phases.iter().filter(|p| p.fault == i) {
            let after = format!("{:+.6}", phase.at_s - fault.at_s);
            let shown = if after == last { "" } else { &after };
            let _ = writeln!(text, "  {shown:>12} s  {:<15} {}", phase.milestone, phase.node);
            last = after;
        }
        if last.is_empty() {
            let _ = writeln!(text, "  (nothing followed)");
        }
    }
    if !figures.faults.is_empty() {
        text.push('\n');
    }
}

fn parts(o: &OutageFigures, indent: usize, width: usize) -> String {
    let part = |p: &crate::measure::figures::Part| format!("{} {}", p.part, seconds(p.s));
    folded(&o.parts.iter().map(part).collect::<Vec<_>>(), ", ", indent, width)
}

/// Seconds with as many digits as tell something.
fn seconds(s: f64) -> String {
    if s >= 1.0 {
        format!("{s:.3} s")
    } else if s >= 1e-3 {
        format!("{:.3} ms", s * 1e3)
    } else {
        format!("{:.1} µs", s * 1e6)
    }
}

/// How the traffic kept its times, and what each core did.
fn kept(text: &mut String, schedule: &Schedule) {
    let Schedule { intended, offered, late_p50_ns, late_p99_ns, late_max_ns, .. } = schedule;
    let us = |ns: &u64| *ns as f64 / 1e3;
    let (p50, p99, max) = (us(late_p50_ns), us(late_p99_ns), us(late_max_ns));
    let of = if offered == intended { String::new() } else { format!(" of {intended} due") };
    let _ = writeln!(
        text,
        "{offered} packets{of} offered late by {p50:.1} us (median), {p99:.1} (p99), {max:.1} (most)"
    );
    for core in &schedule.cores {
        let name = core.core.map_or_else(|| "a core".to_owned(), |n| format!("core {n}"));
        let _ = write!(text, "{name}: {}, busy {:.0} %", core.does.join(", "), core.busy * 100.0);
        let ring = format!(
            ", {} packets, at most {} of {} under way at once, {} lost to a full ring",
            core.packets, core.ring_deepest, schedule.ring, core.ring_full
        );
        let _ = writeln!(text, "{}", if core.packets > 0 { ring } else { String::new() });
    }
}

fn outages(text: &mut String, figures: &Figures, style: Style) {
    let width = width(figures);
    let head = style.head("Outages");
    let _ = writeln!(text, "{head}  RFC 6414: by timestamps (TBM), by arrivals (TBLM), by packets (PLBM)");
    let mut any = false;
    for flow in &figures.flows {
        for o in &flow.outages {
            any = true;
            outage(text, flow, o, width, style);
        }
    }
    if !any {
        let _ = writeln!(text, "  none");
    }
    text.push('\n');
}

fn outage(text: &mut String, flow: &FlowFigures, o: &OutageFigures, width: usize, style: Style) {
    let fault = o.fault.map_or_else(|| "-".to_owned(), |f| (f + 1).to_string());
    let (name, kind, start, lost) = (&flow.name, o.kind, o.start_s, o.lost);
    let head = format!("  {name:<width$}  {fault}  {kind:<9}  from {start:>8.3} s  lost {lost:>6}");
    let times = match (o.tbm_s, o.tblm_s, o.plbm_s) {
        (Some(tbm), Some(tblm), Some(plbm)) => {
            format!("  TBM {tbm:.3}  TBLM {tblm:.3}  PLBM {plbm:.3} s")
        }
        _ if o.end_s.is_some() => "  from the flow's first packet on".to_owned(),
        _ => style.bad("  NEVER RECOVERED"),
    };
    let wide = head.chars().count() + times.chars().count();
    if wide > style.width {
        let _ = writeln!(text, "{head}\n  {:<width$}   {times}", "");
    } else {
        let _ = writeln!(text, "{head}{times}");
    }
    if !o.parts.is_empty() {
        let _ = writeln!(text, "  {:<width$}     └ {}", "", parts(o, width + 9, style.width));
    }
}

fn rekeys(text: &mut String, figures: &Figures, style: Style) {
    if figures.rekeys.is_empty() {
        return;
    }
    let _ = writeln!(text, "{}", style.head("Rekeys"));
    for r in &figures.rekeys {
        let overlap = r.overlap_s.map_or_else(|| "to the end".to_owned(), |s| format!("{s:.3} s"));
        let (node, peer, at, lost) = (&r.node, &r.peer, r.at_s, r.lost);
        let gap = seconds(r.gap_ns as f64 / 1e9);
        let _ = writeln!(
            text,
            "  {at:>9.3} s  {node} with {peer}: gap {gap}, lost {lost}, old SA stays {overlap}"
        );
    }
    text.push('\n');
}

fn losses(text: &mut String, figures: &Figures, style: Style) {
    let width = width(figures);
    let _ = writeln!(text, "{}", style.head("Lost"));
    for flow in &figures.flows {
        let (name, offered, delivered, lost) = (&flow.name, flow.offered, flow.delivered, flow.lost);
        let _ = writeln!(
            text,
            "  {name:<width$}  {offered:>8} offered = {delivered:>8} delivered + {lost:>6} lost"
        );
        for loss in figures.losses.iter().filter(|l| l.flow == *name) {
            let _ = writeln!(text, "  {:<width$}  {:>8} at {} to {}", "", loss.lost, loss.node, loss.cause);
        }
    }
    text.push('\n');
}

fn verdict(text: &mut String, figures: &Figures, style: Style) {
    let dead: Vec<&str> = figures.flows.iter().filter(|f| !f.recovered).map(|f| f.name.as_str()).collect();
    let worst =
        figures.flows.iter().flat_map(|f| f.outages.iter().filter_map(|o| o.tbm_s)).fold(0.0, f64::max);
    if !dead.is_empty() {
        let _ = writeln!(text, "{}", style.bad(&format!("NEVER RECOVERED: {}", dead.join(", "))));
    }
    let lost: u64 = figures.flows.iter().map(|f| f.lost).sum();
    let balance = match figures.check() {
        Ok(()) => style.good("the books balance"),
        Err(why) => style.bad(&why),
    };
    let _ = writeln!(text, "{lost} packets lost, the longest outage {}; {balance}.", seconds(worst));
}

/// The spread over many seeds.
pub fn runs(runs: &Runs, style: Style) -> String {
    let mut text = format!("{}\n", style.head(&format!("{} runs", runs.count)));
    let width = runs.spreads.iter().map(|s| s.flow.len()).max().unwrap_or(0);
    for s in &runs.spreads {
        let (flow, kind, n) = (&s.flow, s.kind, s.outages);
        let _ = write!(text, "  {flow:<width$}  {kind:<9}  {n:>5} outages");
        if let Some(t) = s.tbm_s {
            let _ = write!(
                text,
                "  TBM min {:.3}  p5 {:.3}  median {:.3}  p95 {:.3}  max {:.3} s",
                t.min, t.p5, t.median, t.p95, t.max
            );
        }
        if s.never_recovered > 0 {
            let _ = write!(text, "  {}", style.bad(&format!("{} NEVER RECOVERED", s.never_recovered)));
        }
        text.push('\n');
    }
    text
}
