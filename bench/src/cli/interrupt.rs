//! Ctrl-C: the terminal is as it was, no half of a file stays behind, and the exit code is 130.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::staged::remove_unfinished;

/// Watch for SIGINT and SIGTERM from now on.
pub(super) fn watch() {
    // Without the handler the signals end the process all the same, and only leave hidden files behind.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let _held = remove_unfinished();
            super::view::restore();
            crate::drive::lab::namespaces::remove_all();
            signal_hook::low_level::exit(128 + signal);
        }
    });
}
