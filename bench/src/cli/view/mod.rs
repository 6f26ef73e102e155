//! What a run shows on a terminal while it goes on: a bar, or with `--live` a screen. Both are threads that listen to the
//! run's feed; the run never waits for them.

mod bar;
mod screen;

use std::io::{IsTerminal as _, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use espalier_wire::{Duration, Instant};

use super::Failure;
use crate::live::{EVERY, Feed, Network, News, Status};
pub(super) use bar::runs;
use screen::restore;
pub(super) use screen::restore_at_once;

/// How often a run of virtual time is looked at, in parts of its duration.
const STEPS: u64 = 400;

/// A thread that shows a run.
pub(super) struct View {
    thread: Option<JoinHandle<()>>,
    /// A screen stands, which the end of the run takes away.
    is_screen: bool,
}

/// How whoever looks on can end the run.
pub(super) enum End {
    /// As Ctrl-C does.
    Interrupt,
    /// By these words on the router's console.
    Console(UnixStream, &'static str),
}

impl End {
    fn now(&mut self) {
        // A run that ends just now is as good.
        let _ = match self {
            Self::Interrupt => signal_hook::low_level::raise(signal_hook::consts::SIGINT),
            Self::Console(console, words) => console.write_all(words.as_bytes()),
        };
    }
}

/// Whether standard error shows a screen; what to say where it does not.
pub(super) fn check() -> Result<(), Failure> {
    if std::io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Failure::Input("--live draws on the terminal of standard error, which is none here".to_owned()))
}

impl View {
    /// A screen. The thread that draws stays off the core `not_on`.
    pub(super) fn screen(network: Network, end: End, not_on: Option<usize>) -> (Self, Feed) {
        let (feed, news) = Feed::new(EVERY, true);
        let status = Status::new(network);
        let colour = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let show = move |news: Receiver<News>| screen::show(&news, status, end, colour);
        (Self::on(show, news, not_on, true), feed)
    }

    /// A bar, where standard error is a terminal.
    pub(super) fn bar(duration: Duration, clock: &'static str) -> Option<(Self, Feed)> {
        if !std::io::stderr().is_terminal() {
            return None;
        }
        let every = if clock == "virtual" { Duration::from_ns(duration.as_ns() / STEPS) } else { EVERY };
        let (feed, news) = Feed::new(every, false);
        let end = Instant::ZERO + duration;
        Some((Self::on(move |news| bar::show(&news, end, clock), news, None, false), feed))
    }

    fn on(
        show: impl FnOnce(Receiver<News>) + Send + 'static,
        news: Receiver<News>,
        not_on: Option<usize>,
        is_screen: bool,
    ) -> Self {
        let thread = std::thread::spawn(move || {
            let cores = crate::drive::topology::Topology::here().cores;
            let free = not_on.and_then(|taken| cores.iter().rev().find(|core| **core != taken));
            if let Some(core) = free {
                crate::drive::pin::to_core(*core);
            }
            show(news);
        });
        Self { thread: Some(thread), is_screen }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // The run's end is told by its feed's; on the way out of a panic that may still be held.
        if let Some(thread) = self.thread.take().filter(|_| !std::thread::panicking()) {
            let _ = thread.join();
        }
        if self.is_screen {
            restore();
        }
    }
}
