//! Markup written so that nothing from outside can be taken for it: every text goes through [`Escaped`].

use std::fmt::{self, Display, Write as _};

/// A value whose text stands for itself wherever HTML or SVG has text or an attribute in double quotes.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Through<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl fmt::Write for Through<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for c in text.chars() {
                    match c {
                        '&' => self.0.write_str("&amp;")?,
                        '<' => self.0.write_str("&lt;")?,
                        '>' => self.0.write_str("&gt;")?,
                        '"' => self.0.write_str("&quot;")?,
                        '\'' => self.0.write_str("&#39;")?,
                        // Control characters are no characters of HTML.
                        c if c.is_control() && c != '\n' && c != '\t' => self.0.write_char('\u{fffd}')?,
                        c => self.0.write_char(c)?,
                    }
                }
                Ok(())
            }
        }
        write!(Through(f), "{}", self.0)
    }
}

/// Add formatted markup; writing to a `String` cannot fail.
macro_rules! put {
    ($out:expr, $($format:tt)*) => {{
        use std::fmt::Write as _;
        let _ = write!($out, $($format)*);
    }};
}
pub(super) use put;

/// Seconds with as many digits as tell something.
pub(super) fn seconds(s: f64) -> String {
    let a = s.abs();
    if a == 0.0 {
        "0 s".to_owned()
    } else if a >= 100.0 {
        format!("{s:.1} s")
    } else if a >= 1.0 {
        format!("{s:.3} s")
    } else if a >= 1e-3 {
        format!("{} ms", digits(s * 1e3))
    } else if a >= 1e-6 {
        format!("{} µs", digits(s * 1e6))
    } else {
        format!("{} ns", digits(s * 1e9))
    }
}

/// Seconds at an axis: no zeros at the end.
pub(super) fn tick(s: f64) -> String {
    if s.abs() >= 1.0 { format!("{} s", digits(s)) } else { seconds(s) }
}

/// Three or four digits that count, without zeros at the end.
pub(super) fn digits(x: f64) -> String {
    let a = x.abs();
    let text = match a {
        _ if a >= 100.0 => format!("{x:.0}"),
        _ if a >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.2}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A count with its thousands apart (narrow no-break spaces).
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(c);
    }
    text
}

/// `n` with its noun.
pub(super) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A rate, a second.
pub(super) fn rate(pps: f64) -> String {
    match pps {
        _ if pps >= 1e6 => format!("{} M/s", digits(pps / 1e6)),
        _ if pps >= 1e4 => format!("{} k/s", digits(pps / 1e3)),
        _ => format!("{}/s", digits(pps)),
    }
}

/// JSON for a `<script type="application/json">`: nothing in it can end the element.
pub(super) fn inert(json: &serde_json::Value) -> String {
    json.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hostile_becomes_text() {
        let hostile = "</script><img src=x onerror=\"alert('1')\">&\u{0}";
        let escaped = Escaped(hostile).to_string();
        assert_eq!(
            escaped,
            "&lt;/script&gt;&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;\u{fffd}"
        );
        let json = inert(&serde_json::json!({ "a": hostile }));
        assert!(!json.contains(['<', '>', '&']));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["a"], hostile);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(seconds(8.52), "8.520 s");
        assert_eq!(seconds(0.02), "20 ms");
        assert_eq!(seconds(0.00005), "50 µs");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((digits(0.5), digits(12.34), digits(100.4)), ("0.5".into(), "12.3".into(), "100".into()));
    }
}
