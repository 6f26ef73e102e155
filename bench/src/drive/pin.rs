//! Pinning threads, and the threads that help: a helper is stepped on a core of its own until its owner is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use espalier_dataplane::worker::Helper;

/// Pin this thread to a core. `false` where that is not possible.
pub fn to_core(core: usize) -> bool {
    core_affinity::set_for_current(core_affinity::CoreId { id: core })
}

/// How often a helper that finds nothing looks again before it offers its core to others: about as long as an owner
/// takes to prepare a batch.
const SPINS: u32 = 2000;

/// Run `owner` while its helpers run on their cores (all on whatever core there is, where there are fewer cores than
/// helpers).
///
/// An idle helper polls, and after a while yields between polls: it never sleeps, since waking costs more than a batch.
pub fn with_helpers<T>(helpers: Vec<Helper>, cores: &[usize], owner: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for (at, mut helper) in helpers.into_iter().enumerate() {
            let (core, stop) = (cores.get(at).copied(), &stop);
            scope.spawn(move || {
                if let Some(core) = core {
                    to_core(core);
                }
                let mut idle = 0;
                while !stop.load(Ordering::Acquire) {
                    if helper.step() {
                        idle = 0;
                    } else if idle < SPINS {
                        idle += 1;
                        std::hint::spin_loop();
                    } else {
                        thread::yield_now();
                    }
                }
            });
        }
        // Also when the owner panics: its helpers must not keep the scope open.
        let _stop = StopAtEnd(&stop);
        owner()
    })
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
