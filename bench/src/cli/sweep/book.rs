//! The file of a sweep's runs: its plan in the first line, then one line of JSON a run. What was cut off in the middle of
//! a line is run again.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::super::Failure;
use crate::place::Place;
use crate::report::runs::{self, RunsFile};
use crate::report::sweep::{Plan, Run};

/// An open file of runs.
pub(super) struct Book {
    file: File,
    path: PathBuf,
    pub(super) runs: Vec<Run>,
}

/// Where a plan's files go without `--out`: another plan, another folder.
pub(super) fn folder(plan: &Plan) -> PathBuf {
    let text = serde_json::to_string(plan).unwrap_or_default();
    let digest: String = Sha256::digest(text.as_bytes()).iter().take(4).map(|b| format!("{b:02x}")).collect();
    let stem = Path::new(&plan.scenario).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    super::super::local().join(format!("sweep-{stem}-{digest}"))
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Failure + '_ {
    move |e| Failure::Input(format!("{}: {e}", path.display()))
}

fn read(path: &Path) -> Result<RunsFile, Failure> {
    let bytes = std::fs::read(path).map_err(failed(path))?;
    runs::read(&path.display().to_string(), &bytes).map_err(|m| Failure::Input(m.to_string()))
}

fn line(value: &impl serde::Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string(value).map_err(|e| Failure::Check(e.to_string()))? + "\n")
}

impl Book {
    /// Go on with a file, or begin one.
    pub(super) fn open(path: &Path, plan: &Plan) -> Result<Self, Failure> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(failed(dir))?;
        }
        let length = std::fs::metadata(path).map_or(0, |m| m.len());
        let (mut runs, mut whole) = (Vec::new(), 0u64);
        if length > 0 {
            let found = read(path)?;
            if found.plan != *plan {
                let place = Place::start(&path.display().to_string());
                let why = "holds the runs of another sweep; --out names another folder";
                return Err(Failure::Input(place.says(why).to_string()));
            }
            (runs, whole) = (found.runs, found.whole as u64);
        }
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let mut file = open.map_err(failed(path))?;
        file.set_len(whole).map_err(failed(path))?;
        file.seek(SeekFrom::End(0)).map_err(failed(path))?;
        if whole == 0 {
            file.write_all(line(plan)?.as_bytes()).map_err(failed(path))?;
        }
        Ok(Self { file, path: path.to_owned(), runs })
    }

    /// What need not be run again.
    pub(super) fn done(&self) -> BTreeSet<(usize, u64)> {
        self.runs.iter().map(|r| (r.point, r.seed)).collect()
    }

    /// Keep a run.
    pub(super) fn add(&mut self, run: Run) -> Result<(), Failure> {
        self.file.write_all(line(&run)?.as_bytes()).map_err(failed(&self.path))?;
        self.runs.push(run);
        Ok(())
    }
}

/// The runs of several files of one plan.
pub(super) fn joined(files: &[PathBuf]) -> Result<(Plan, Vec<Run>), Failure> {
    let mut all: Option<(Plan, Vec<Run>)> = None;
    for path in files {
        let RunsFile { plan, runs, .. } = read(path)?;
        match &mut all {
            None => all = Some((plan, runs)),
            Some((first, joined)) if *first == plan => joined.extend(runs),
            Some(_) => {
                let place = Place::start(&path.display().to_string());
                return Err(Failure::Input(
                    place.says("is of another sweep than the first file").to_string(),
                ));
            }
        }
    }
    let (plan, mut runs) = all.ok_or_else(|| Failure::Input("no file of runs was named".to_owned()))?;
    runs.sort_by_key(|r| (r.point, r.seed));
    runs.dedup_by_key(|r| (r.point, r.seed));
    Ok((plan, runs))
}

/// A file of these runs, whole or not at all.
pub(super) fn write(path: &Path, plan: &Plan, runs: &[Run]) -> Result<(), Failure> {
    let mut text = line(plan)?;
    for run in runs {
        text.push_str(&line(run)?);
    }
    super::report::write(path, &text)
}
