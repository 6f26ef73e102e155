//! The one error of every view in this crate: what format, and what is wrong with it.

/// Bytes that are not what they claim to be. Cheap to make (no allocation), so a dataplane can count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Fewer bytes than the header, or than a length inside it, promises.
    #[error("{format}: {need} bytes needed, {have} there")]
    Truncated {
        /// The format, as the field calls it: "IPv4", "ESP".
        format: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// A field has a value that its format forbids.
    #[error("{format}: {field} is not valid")]
    Field {
        /// The format.
        format: &'static str,
        /// The field, in the words of its RFC.
        field: &'static str,
    },
    /// The checksum does not match the bytes.
    #[error("{format}: wrong checksum")]
    Checksum {
        /// The format.
        format: &'static str,
    },
}

impl Malformed {
    /// `Ok` when `have >= need`.
    pub fn need(format: &'static str, need: usize, have: usize) -> Result<(), Self> {
        if have < need { Err(Self::Truncated { format, need, have }) } else { Ok(()) }
    }

    /// A field with a forbidden value.
    pub const fn field(format: &'static str, field: &'static str) -> Self {
        Self::Field { format, field }
    }
}
