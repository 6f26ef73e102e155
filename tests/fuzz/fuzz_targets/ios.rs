//! Any text as a configuration: it is refused with its place, or means the same when it is printed and read again.
#![no_main]

use espalier_control::ios;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match ios::parse_bytes("fuzz.cfg", bytes) {
        Ok(parsed) => {
            let printed = ios::print(&parsed.config);
            let again = ios::parse("printed.cfg", &printed);
            let again = again.unwrap_or_else(|errors| panic!("{errors:?}\n{printed}"));
            assert_eq!(ios::print(&again.config), printed);
        }
        Err(diagnostics) => assert!(!diagnostics.is_empty()),
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = ios::parse_exec(text);
    }
});
