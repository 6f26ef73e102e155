//! The laws of the house that no lint keeps: who may know whom, what a file may hold, and how big it may grow.
//! ARCHITECTURE.md says why each of them is there.

use std::fs;
use std::path::{Path, PathBuf};

use espalier_tests::root;

/// Files are about one thing; past this many lines they are about two.
const MAX_LINES: usize = 500;

/// The only files that may hold `unsafe`, relative to the root (a folder counts for what is in it).
const UNSAFE: &[&str] = &[
    "dataplane/src/crypto/ipsec_mb/ffi.rs",
    "dataplane/src/crypto/simd/",
    "dataplane/src/mem/",
    "dataplane/src/port/",
    // System calls, and memory shared with the kernel.
    "bench/src/drive/host/socket.rs",
    "bench/src/drive/host/device/",
];

/// Where the clock may be read and threads may be made: the drives, and what measures the machine itself.
const CLOCK: &[&str] = &[
    "bench/src/drive/",
    "bench/src/cli/",
    "bench/src/measure/clock.rs",
    "bench/src/measure/load.rs",
    "bench/src/measure/scaling.rs",
    "bench/src/measure/stages.rs",
    "bench/src/measure/throughput/",
];

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The part before the file's own tests.
    fn code(&self) -> &str {
        self.text.split("#[cfg(test)]").next().unwrap_or_default()
    }

    fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }

    fn lines_with<'a>(&'a self, needles: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
        self.code().lines().enumerate().filter_map(move |(n, line)| {
            let code = line.split("//").next().unwrap_or_default();
            needles
                .iter()
                .find(|needle| code.contains(**needle))
                .map(|x| format!("{}:{}: {x}", self.path, n + 1))
        })
    }
}

fn walk(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != ".git" && name != "corpus" {
            walk(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
}

fn files(ending: &str) -> Vec<Source> {
    let (root, mut paths) = (root(), Vec::new());
    walk(&root, ending, &mut paths);
    paths.sort();
    let relative = |p: &Path| p.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
    paths.iter().map(|p| Source { path: relative(p), text: fs::read_to_string(p).unwrap() }).collect()
}

fn assert_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

fn in_any(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path.starts_with(place))
}

#[test]
fn the_diamond_holds() {
    let forbidden: &[(&str, &[&str])] = &[
        ("dataplane/wire/", &["espalier_dataplane", "espalier_control", "espalier::"]),
        ("dataplane/src/", &["espalier_control", "espalier::"]),
        ("control/src/", &["espalier_dataplane", "espalier::"]),
        (
            "dataplane/src/crypto/",
            &["crate::frame", "crate::sa", "crate::worker", "crate::stage", "crate::batch"],
        ),
        ("bench/src/report/", &["crate::drive"]),
    ];
    let mut found = Vec::new();
    for file in files(".rs") {
        for (place, words) in forbidden {
            if file.path.starts_with(place) {
                found.extend(file.lines_with(words));
            }
        }
    }
    assert_none("a crate or module knows one that it must not know", found);
}

#[test]
fn only_the_drives_read_a_clock_or_make_threads() {
    let words = ["Instant::now", "SystemTime::now", "thread::spawn", "thread::scope", "thread::sleep"];
    let found = files(".rs")
        .iter()
        .filter(|f| !f.is_test() && !in_any(&f.path, CLOCK) && !f.path.contains("/benches/"))
        .flat_map(|f| f.lines_with(&words).collect::<Vec<_>>())
        .collect();
    assert_none("clocks and threads belong to bench/src/drive", found);
}

#[test]
fn unsafe_lives_in_listed_files_and_says_why() {
    let mut found = Vec::new();
    for file in files(".rs").iter().filter(|f| !f.is_test()) {
        if !in_any(&file.path, UNSAFE) {
            found.extend(file.lines_with(&["unsafe {", "unsafe fn", "unsafe impl"]));
        }
    }
    assert_none("unsafe outside the listed files", found);
}

#[test]
fn files_are_about_one_thing() {
    let mut found = Vec::new();
    for file in files(".rs") {
        let lines = file.text.lines().count();
        if lines > MAX_LINES && !file.is_test() {
            found.push(format!("{} has {lines} lines", file.path));
        }
        if !file.text.trim_start().starts_with("//!") {
            found.push(format!("{} does not open with //! and what it is", file.path));
        }
        let name = Path::new(&file.path).file_stem().unwrap().to_string_lossy().into_owned();
        if matches!(name.as_str(), "utils" | "util" | "helpers" | "common" | "misc") {
            found.push(format!("{} is named after nothing", file.path));
        }
        found.extend(file.lines_with(&["fn get_"]));
    }
    assert_none("files that want another shape", found);
}

#[test]
fn nothing_is_left_open_and_no_test_sleeps_without_a_reason() {
    let open = ["todo!(", "unimplemented!(", "dbg!("];
    let mut found: Vec<String> = Vec::new();
    for file in files(".rs").iter().filter(|f| f.path != "tests/tidy.rs") {
        found.extend(file.lines_with(&open));
        let marks = ["TODO", "FIXME", "XXX", "#[ignore]"];
        for (n, line) in file.text.lines().enumerate() {
            if let Some(mark) = marks.iter().find(|m| line.contains(**m)) {
                found.push(format!("{}:{}: {mark}", file.path, n + 1));
            }
        }
    }
    assert_none("left open", found);
}

#[test]
fn the_root_holds_its_documents_and_nothing_else() {
    let mut names: Vec<String> = fs::read_dir(root())
        .unwrap()
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.retain(|n| !matches!(n.as_str(), ".git" | "target" | "espalier-out"));
    names.sort();
    let folders: Vec<&String> =
        names.iter().filter(|n| !n.starts_with('.') && root().join(n).is_dir()).collect();
    assert_eq!(folders, ["bench", "control", "dataplane", "pcaps", "results", "tests"]);
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "results/README.md"] {
        assert!(root().join(document).is_file(), "{document} is missing");
    }
}
