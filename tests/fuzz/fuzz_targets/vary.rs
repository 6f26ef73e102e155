//! A sweep's settings from any text: a space whose every corner has values and settings, or a reason.
#![no_main]

use espalier::scenario::vary::{Space, Vary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(vary) = text.lines().map(str::parse).collect::<Result<Vec<Vary>, _>>() else { return };
    let Ok(space) = Space::new(vary) else { return };
    for point in [0, space.points / 2, space.points - 1] {
        let values = space.values(point);
        assert_eq!(values.len(), space.factors.len());
        let settings = space.settings(point);
        assert!(settings.iter().all(|setting| setting.contains('=')));
        assert!(space.factors.iter().zip(&values).all(|(factor, value)| factor.values.contains(value)));
    }
});
