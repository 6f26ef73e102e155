//! The one binary. It parses the command line and hands over; see `espalier::cli`.
fn main() {}
