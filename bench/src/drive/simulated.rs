//! Virtual time: an event heap and a seed on one thread. The same seed gives the same bytes.

use std::path::Path;

use espalier_control::ios::Exec;
use espalier_wire::Instant;

use super::run::Run;
use crate::live::Feed;
use crate::measure::recording::Recording;
use crate::scenario::Scenario;
use crate::world::Error;

/// What a run is asked for besides the scenario.
#[derive(Debug, Default)]
pub struct Options<'a> {
    /// When, which router, and the `show` command as typed and as understood.
    pub shows: Vec<(Instant, String, String, Exec)>,
    /// Where `SEGMENT.pcapng` of each segment goes.
    pub out: Option<&'a Path>,
    /// Whoever looks on.
    pub feed: Option<Feed>,
}

/// Run a scenario from its first to its last virtual instant: nobody waits, it is always the time that something is due
/// at.
///
/// # Errors
/// What is wrong with the scenario or a configuration, and where; captures that cannot be written. Nothing is left
/// behind then.
pub fn run(scenario: &Scenario, mut options: Options<'_>) -> Result<Recording, Error> {
    let mut feed = options.feed.take();
    let mut run = Run::new(scenario, options)?;
    let end = Instant::ZERO + scenario.duration;
    while let Some((due, next)) = run.next().filter(|(due, _)| *due <= end) {
        run.step(due, next, 1, |_| {})?;
        if let Some(feed) = &mut feed {
            feed.look(due, &run.world);
        }
    }
    if let Some(feed) = feed {
        feed.close(end, &run.world);
    }
    run.end("virtual", None)
}
