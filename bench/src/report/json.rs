//! How JSON is laid out: objects over lines, as serde_json's pretty form has them, but lists of plain values in one
//! line each. A series of a thousand bins is a line, not a thousand.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

/// Objects over lines, lists of values within one.
#[derive(Debug, Default)]
struct Layout {
    depth: usize,
    /// Whether the value that was just written was an object: what follows it in a list begins a new line.
    object: bool,
    /// The object at hand has a member.
    members: bool,
}

impl Layout {
    fn line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        out.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| out.write_all(b"  "))
    }
}

impl Formatter for Layout {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        match (first, self.object) {
            (true, _) => Ok(()),
            (false, true) => {
                out.write_all(b",")?;
                self.line(out)
            }
            (false, false) => out.write_all(b", "),
        }
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.object = false;
        CompactFormatter.begin_array(out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.object = false;
        CompactFormatter.end_array(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.members = false;
        CompactFormatter.begin_object(out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.members {
            self.line(out)?;
        }
        // The object around this one has a member: this one.
        (self.members, self.object) = (true, true);
        CompactFormatter.end_object(out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        self.line(out)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        (self.members, self.object) = (true, false);
        Ok(())
    }
}

/// `value` as JSON, a newline at its end.
///
/// # Errors
/// What JSON cannot say: a map whose keys are no text.
pub fn text(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Layout::default()))?;
    bytes.push(b'\n');
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_values_stay_in_a_line_and_objects_do_not() {
        let value =
            serde_json::json!({ "a": [1, 2, [3]], "b": [{ "c": {} }, { "d": "x" }], "e": [], "f": null });
        let laid_out = text(&value).unwrap();
        let expected = "{\n  \"a\": [1, 2, [3]],\n  \"b\": [{\n    \"c\": {}\n  },\n  {\n    \"d\": \"x\"\n  }],\n  \
                        \"e\": [],\n  \"f\": null\n}\n";
        assert_eq!(laid_out, expected);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&laid_out).unwrap(), value);
    }
}
