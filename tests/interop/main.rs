//! Routers on real interfaces beside programs that we did not write, in network namespaces, and a run under the wall clock.
//! Each case has namespaces of its own and waits for timers most of the time, so many run side by side. What keeps a core
//! busy is a test of its own.

mod attach;
mod hsrp;
mod ike;
mod impaired;
mod ospf;
mod pinned;
mod pluto;
mod ports;

use espalier_tests::peers_are_required;
use libtest_mimic::{Arguments, Trial};

const PROGRAM: &str = env!("CARGO_BIN_EXE_espalier-tested");
/// Cases at once, unless the command line says otherwise.
const TOGETHER: usize = 12;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(TOGETHER));
    // The longest first.
    let parts = [
        ike::cases(),
        pinned::cases(),
        attach::cases(),
        impaired::cases(),
        hsrp::cases(),
        pluto::cases(),
        ospf::cases(),
        ports::cases(),
    ];
    libtest_mimic::run(&arguments, parts.into_iter().flatten().collect()).exit();
}

/// One of a module's cases. What is absent stands in its name, and then it is ignored, unless every peer is required.
fn case(part: &str, name: &str, absent: Option<&String>, test: impl FnOnce() + Send + 'static) -> Trial {
    let why = absent.map_or_else(String::new, |why| format!(" ({why})"));
    let run = move || {
        test();
        Ok(())
    };
    Trial::test(format!("{part}: {name}{why}"), run)
        .with_ignored_flag(absent.is_some() && !peers_are_required())
}
