//! `espalier man` and `espalier completions`: both made of the command line's own definition.

use std::path::PathBuf;

use clap::CommandFactory as _;

use super::{Failure, print};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  espalier man | man -l -\n  espalier man --out /usr/local/share/man/man1"
)]
pub(super) struct Man {
    /// Write a page for espalier and one for each verb into this folder instead of printing the first
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  espalier completions bash > /etc/bash_completion.d/espalier")]
pub(super) struct Completions {
    /// For which shell
    shell: clap_complete::Shell,
}

pub(super) fn man(arguments: &Man) -> Result<(), Failure> {
    let command = super::Arguments::command();
    if let Some(dir) = &arguments.out {
        std::fs::create_dir_all(dir).map_err(|e| Failure::Input(format!("{}: {e}", dir.display())))?;
        clap_mangen::generate_to(command, dir)
            .map_err(|e| Failure::Input(format!("{}: {e}", dir.display())))?;
        return print(&format!("{}\n", dir.join("espalier.1").display()));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    print(&String::from_utf8_lossy(&page))
}

pub(super) fn completions(arguments: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "espalier", &mut script);
    print(&String::from_utf8_lossy(&script))
}
