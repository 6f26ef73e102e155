//! `espalier new`: a first scenario from pasted configurations.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use espalier_control::ios::{self, Diagnostic};

use super::{Failure, print, report};
use crate::scenario::sketch::{Given, sketch};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  espalier new head-1.cfg head-2.cfg branch.cfg -o mine\n  \
    espalier check mine/mine.toml\n  espalier mine/mine.toml")]
pub(super) struct Arguments {
    /// What `show running-config` printed, one file a router
    #[arg(required = true, value_name = "ROUTER.cfg")]
    files: Vec<PathBuf>,
    /// The folder that the scenario and copies of the files go to; its name is the scenario's
    #[arg(short, long, value_name = "DIR", default_value = "my-network")]
    out: PathBuf,
}

fn input(message: impl ToString) -> Failure {
    Failure::Input(message.to_string())
}

fn read(path: &Path) -> Result<(Given, Vec<u8>), Failure> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| input(format!("{shown}:1:1: {e}")))?;
    let refused = |d: Vec<Diagnostic>| input(d.iter().map(Diagnostic::pretty).collect::<Vec<_>>().join("\n"));
    let parsed = ios::parse_bytes(&shown, &bytes).map_err(refused)?;
    espalier_control::router::check(&parsed.config).map_err(refused)?;
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((Given { file, config: parsed.config }, bytes))
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let read = arguments.files.iter().map(|f| read(f)).collect::<Result<Vec<_>, _>>()?;
    let given: Vec<Given> = read.iter().map(|(g, _)| g.clone()).collect();
    for (i, g) in given.iter().enumerate() {
        let earlier = given.iter().take(i);
        if earlier.clone().any(|o| o.file == g.file) {
            return Err(input(format!("two files are called {}", g.file)));
        }
        if earlier.clone().any(|o| o.config.hostname() == g.config.hostname()) {
            let name = g.config.hostname();
            return Err(input(format!("{}:1:1: another router is called {name}, too", g.file)));
        }
    }
    let dir = &arguments.out;
    let name = dir.file_name().map_or_else(|| "my-network".into(), |n| n.to_string_lossy());
    let file = dir.join(format!("{name}.toml"));
    if file.exists() {
        return Err(input(format!("{}:1:1: is there already; -o names another folder", file.display())));
    }
    let made = sketch(&name, &given);
    std::fs::create_dir_all(dir).map_err(|e| input(format!("{}: {e}", dir.display())))?;
    for (g, bytes) in &read {
        let copy = dir.join(&g.file);
        std::fs::write(&copy, bytes).map_err(|e| input(format!("{}: {e}", copy.display())))?;
    }
    if let Some(provider) = &made.provider {
        report::write(&dir.join("provider.cfg"), provider)?;
    }
    report::write(&file, &made.toml)?;
    let mut text = String::new();
    for note in &made.notes {
        let _ = writeln!(text, "note: {note}");
    }
    let file = file.display();
    let _ = writeln!(text, "{file} is made. Next:\n  espalier check {file}\n  espalier {file}");
    print(&text)
}
