//! The one binary. It hands the command line over; see `espalier::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    espalier::cli::main()
}
