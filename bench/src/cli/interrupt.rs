//! Ctrl-C: no half of a file, no namespace and no program stays behind, the terminal is as it was, and the exit code is
//! 130.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::staged::remove_unfinished;

/// Watch for SIGINT and SIGTERM from now on.
pub(super) fn watch() {
    // Without the handler the signals end the process all the same, and only leave hidden files behind.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let _files = remove_unfinished();
            let _machines = crate::drive::lab::namespaces::remove_all();
            // Last: a terminal that takes no more may stop us here.
            super::view::restore_at_once();
            signal_hook::low_level::exit(128 + signal);
        }
    });
}
