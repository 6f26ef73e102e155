//! The file of a sweep's runs from any bytes: runs that the summary and its page are made of, or a mistake with a place.
#![no_main]

use espalier::manifest::Manifest;
use espalier::report::runs::read;
use espalier::report::sweep::{Document, text};
use espalier::report::text::Style;
use espalier::report::{html, json};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

fuzz_target!(|bytes: &[u8]| {
    static MANIFEST: OnceLock<Manifest> = OnceLock::new();
    let read = match read("runs.jsonl", bytes) {
        Ok(read) => read,
        Err(mistake) => return assert!(mistake.to_string().starts_with("runs.jsonl:")),
    };
    if read.space.points > 1000 {
        return;
    }
    let manifest = MANIFEST.get_or_init(|| Manifest::here("virtual", None)).clone();
    let document = Document::of(&read.plan, &read.space, read.runs, manifest);
    text(&document, Style { colour: false, width: 80 });
    let source = html::Source { file: "f".into(), name: "n".into(), text: json::text(&document).unwrap() };
    html::page(&[source]).unwrap();
});
