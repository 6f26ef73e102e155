//! Quantities as a scenario writes them: `400s`, `50us`, `100pps`, `1Mpps`, `100Mbps`. Text to number and nothing else.

use espalier_wire::Duration;

/// Digits (with an optional fraction), then a unit that `scale` knows; the value in the unit's base.
fn scaled(text: &str, scale: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let number: f64 = digits.replace('_', "").parse().ok()?;
    let value = number * scale(unit.trim())?;
    value.is_finite().then_some(value)
}

/// A span: `400s`, `1.5 s`, `50us`, `250ms`, `2m`, `1h`.
///
/// # Errors
/// A sentence that says what is expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    scaled(text, |unit| {
        Some(match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" | "min" => 60e9,
            "h" => 3600e9,
            _ => return None,
        })
    })
    .filter(|ns| *ns < u64::MAX as f64)
    .map(|ns| Duration::from_ns(ns.round() as u64))
    .ok_or_else(|| format!("\"{text}\" is no duration (such as 400s, 250ms, 50us)"))
}

/// Packets per second: `100pps`, `2.5kpps`, `1Mpps`.
///
/// # Errors
/// A sentence that says what is expected.
pub fn packet_rate(text: &str) -> Result<f64, String> {
    scaled(text, |unit| {
        Some(match unit {
            "pps" => 1.0,
            "kpps" | "Kpps" => 1e3,
            "Mpps" => 1e6,
            _ => return None,
        })
    })
    .filter(|pps| *pps > 0.0 && *pps <= 1e9)
    .ok_or_else(|| format!("\"{text}\" is no packet rate (such as 100pps, 10kpps, 1Mpps)"))
}

/// Bits per second: `100Mbps`, `1Gbps`, `64kbps`.
///
/// # Errors
/// A sentence that says what is expected.
pub fn bit_rate(text: &str) -> Result<u64, String> {
    scaled(text, |unit| {
        Some(match unit {
            "bps" => 1.0,
            "kbps" | "Kbps" => 1e3,
            "Mbps" => 1e6,
            "Gbps" => 1e9,
            _ => return None,
        })
    })
    .filter(|bps| *bps >= 1.0 && *bps <= 1e13)
    .map(|bps| bps as u64)
    .ok_or_else(|| format!("\"{text}\" is no bit rate (such as 10Mbps, 1Gbps)"))
}

/// The sizes, in bytes of IP packet, that an IMIX genome names (RFC 6985 section 4: a = 64 … g = 1518 bytes of
/// Ethernet frame with FCS, less 18 bytes of Ethernet here).
///
/// # Errors
/// A sentence that names the letter without a size.
pub fn imix(text: &str) -> Result<Vec<u16>, String> {
    let sizes: Result<Vec<u16>, String> = text
        .chars()
        .map(|letter| {
            let frame = match letter {
                'a' => 64,
                'b' => 128,
                'c' => 256,
                'd' => 512,
                'e' => 1024,
                'f' => 1280,
                'g' => 1518,
                'h' => 2112,
                'i' => 9000,
                'j' => 16000,
                other => return Err(format!("IMIX letter '{other}' has no size (RFC 6985 names a to j)")),
            };
            Ok(frame - 18)
        })
        .collect();
    sizes.and_then(|s| if s.is_empty() { Err("an IMIX genome needs a letter".into()) } else { Ok(s) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_read() {
        assert_eq!(duration("400s"), Ok(Duration::from_s(400)));
        assert_eq!(duration("0.5ms"), Ok(Duration::from_us(500)));
        assert_eq!(packet_rate("1Mpps"), Ok(1e6));
        assert_eq!(bit_rate("100Mbps"), Ok(100_000_000));
        assert_eq!(imix("ag"), Ok(vec![46, 1500]));
        for bad in ["", "s", "4", "-1s", "1e400s", "4 parsecs", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(packet_rate("0pps").is_err());
        assert!(imix("az").is_err());
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC{0,12}") {
            let _ = (duration(&text), packet_rate(&text), bit_rate(&text), imix(&text));
        }
    }
}
