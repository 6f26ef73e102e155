//! The shipped main.

use std::process::ExitCode;

fn main() -> ExitCode {
    espalier::cli::main()
}
