//! An SA file from any text: SAs, or a mistake whose place lies in the text.
#![no_main]

use espalier::sa_file::SaFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match SaFile::parse("sa.toml", text) {
        Ok(file) => {
            for sa in &file.sas {
                assert_eq!(sa.key.bytes().len(), sa.transform.key_len());
                assert_eq!(sa.auth_key.bytes().len(), sa.transform.auth_key_len());
            }
            assert!(file.rules().len() >= file.sas.len());
        }
        Err(mistake) => assert!(mistake.place.line <= text.matches('\n').count() + 1),
    }
});
