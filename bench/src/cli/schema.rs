//! `espalier schema NAME`: the JSON schema of a command's output, or the vocabulary of loss.

use std::fmt::Write as _;

use espalier_wire::Cause;

use super::esp::Report;
use super::{Failure, print};
use crate::report::document::Document;

/// What can be asked for.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Name {
    /// `espalier.esp/1`, of encap and decap
    #[value(alias = "espalier.esp/1")]
    Esp,
    /// `espalier.failover/1`, of failover
    #[value(alias = "espalier.failover/1")]
    Failover,
    /// `espalier.bench/1`, of bench
    #[value(alias = "espalier.bench/1")]
    Bench,
    /// `espalier.compare/1`, of compare
    #[value(alias = "espalier.compare/1")]
    Compare,
    /// `espalier.cores/1`, of cores
    #[value(alias = "espalier.cores/1")]
    Cores,
    /// `espalier.profile/1`, of profile
    #[value(alias = "espalier.profile/1")]
    Profile,
    /// `espalier.sweep/1`, of sweep
    #[value(alias = "espalier.sweep/1")]
    Sweep,
    /// `espalier.attach/1`, of attach
    #[value(alias = "espalier.attach/1")]
    Attach,
    /// `espalier.explain/1`, of explain
    #[value(alias = "espalier.explain/1")]
    Explain,
    /// The causes of loss and what each means
    Causes,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    name: Name,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.name {
        Name::Esp => schema(&schemars::schema_for!(Report)),
        Name::Failover => schema(&schemars::schema_for!(Document<'_>)),
        Name::Bench => schema(&schemars::schema_for!(crate::report::bench::Document)),
        Name::Compare => schema(&schemars::schema_for!(crate::report::compare::Document)),
        Name::Cores => schema(&schemars::schema_for!(crate::report::cores::Document)),
        Name::Profile => schema(&schemars::schema_for!(crate::report::profile::Document)),
        Name::Sweep => schema(&schemars::schema_for!(crate::report::sweep::Document)),
        Name::Attach => schema(&schemars::schema_for!(crate::report::attach::Document)),
        Name::Explain => schema(&schemars::schema_for!(crate::report::explain::Document)),
        Name::Causes => {
            let mut text = String::new();
            for cause in Cause::ALL {
                let _ = writeln!(text, "{:<22} {}", cause.name(), cause.meaning());
            }
            print(&text)
        }
    }
}

fn schema(schema: &schemars::Schema) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(schema).map_err(|e| Failure::Check(e.to_string()))?;
    print(&(text + "\n"))
}
