//! The console of an attached router from any bytes, whole and in two pieces: the same requests, and lines of bounded length.
#![no_main]

use espalier::drive::host::console::Lines;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let whole = Lines::default().take(bytes);
    let (head, tail) = bytes.split_at(usize::from(cut).min(bytes.len()));
    let mut lines = Lines::default();
    let mut pieces = lines.take(head);
    pieces.extend(lines.take(tail));
    // What is too long is noticed where it is cut.
    if bytes.split(|b| *b == b'\n').all(|line| line.len() < 4000) {
        assert_eq!(whole, pieces);
    }
});
