//! How far it is: of one run a bar with the time that its clock shows and the packets offered so far, of many the runs.

use std::io::IsTerminal as _;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant as Wall};

use espalier_wire::Instant;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::live::News;

/// Whoever is done sooner needs no bar.
const PATIENCE: Duration = Duration::from_millis(300);

/// Draw until the run is over.
pub(super) fn show(news: &Receiver<News>, end: Instant, clock: &'static str) {
    let started = Wall::now();
    let length = end.as_ns() / 1_000_000;
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden());
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}") {
        bar.set_style(style);
    }
    let mut is_shown = false;
    for told in news {
        let tally = match told {
            News::Tally(tally) => tally,
            News::Over => break,
            News::Said(..) | News::Struck(_) => continue,
        };
        if !is_shown && started.elapsed() >= PATIENCE {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            is_shown = true;
        }
        let packets: u64 = tally.counts.iter().map(|count| count.packets[0]).sum();
        let packets = indicatif::HumanCount(packets);
        bar.set_position((tally.at.as_ns() / 1_000_000).min(length));
        bar.set_message(format!(
            "{:.1} of {:.1} s of {clock} time, {packets} packets",
            tally.at.as_s(),
            end.as_s()
        ));
    }
    bar.finish_and_clear();
}

/// A bar of that many runs, of which some are done already; hidden where standard error is no terminal.
pub(in super::super) fn runs(length: u64, done: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(length), target).with_position(done);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} runs, {eta} left");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
