//! A whole network as the subject of protocol cases: a scenario runs, and what its routers say of one machine is judged.
//!
//! ```text
//! setup scenario remote-only              a built-in
//! setup set PATH=VALUE                    as `--set` takes it
//! setup watch ike vpn7200                 whose words count, and of which router; several add up
//! setup run                               the last of them
//! ```

use espalier::drive::simulated::{Options, run};
use espalier::scenario::{Changes, Scenario};
use espalier_control::event::{Event, Level, Mark};
use espalier_wire::Instant;

use crate::conformance::Subject;

/// A scenario that has run, and its words on the way out.
#[derive(Default)]
pub struct Network {
    scenario: String,
    changes: Changes,
    watched: Vec<(String, String)>,
    said: std::collections::VecDeque<(Instant, String)>,
}

impl Network {
    fn run(&mut self) -> Result<(), String> {
        let scenario = Scenario::load(&self.scenario, &self.changes).map_err(|e| e.to_string())?;
        let recording = run(&scenario, Options::default()).map_err(|e| format!("{e:?}"))?;
        for happened in &recording.events {
            let node = &recording.nodes[usize::from(happened.node.0)];
            let source = happened.event.source.name();
            // Debug lines are talk, unless they mean something; states are drawn, not told.
            let Event { level, mark, .. } = &happened.event;
            let state = matches!(mark, Some(Mark::State { .. }));
            let told = *level == Level::Syslog || (!state && (*level == Level::Report || mark.is_some()));
            if told && self.watched.iter().any(|(s, n)| s == source && n == node) {
                self.said.push_back((happened.at, format!("{node}: {}", happened.event.text)));
            }
        }
        Ok(())
    }
}

impl Subject for Network {
    fn setup(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["scenario", name] => self.scenario = (*name).to_owned(),
            ["set", change @ ..] => self.changes.set.push(change.join(" ")),
            ["watch", source, node] => self.watched.push(((*source).to_owned(), (*node).to_owned())),
            ["run"] => return self.run(),
            _ => return Err(format!("{words:?} is no setup of a network")),
        }
        Ok(())
    }

    fn input(&mut self, _: Instant, words: &[&str], _: &mut Vec<String>) -> Result<(), String> {
        Err(format!("{words:?}: a network's inputs are its scenario's faults"))
    }

    fn timer(&mut self, now: Instant, out: &mut Vec<String>) {
        while let Some((_, line)) = self.said.pop_front_if(|(at, _)| *at <= now) {
            out.push(line);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.said.front().map(|(at, _)| *at)
    }
}
