//! The story of any capture: its gaps' parts sum to them, nothing is told before it began, and it prints.
#![no_main]

use espalier::capture::Reader;
use espalier::explain::told;
use espalier::report::explain::{document, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = Reader::from_bytes(bytes.to_vec()) else { return };
    let story = told(vec![("fuzzed".to_owned(), reader)]);
    for gap in &story.gaps {
        assert!(gap.from <= gap.to);
    }
    text(&story);
    serde_json::to_string(&document(&story)).unwrap();
});
