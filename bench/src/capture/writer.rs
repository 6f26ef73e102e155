//! Capture files: an [`Encoder`] over a file that appears whole or not at all, gzip if its name says so.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use espalier_wire::Instant;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Encoder, Format, Interface, WriteError};
use crate::staged::Staged;

const BUFFER: usize = 256 * 1024;

/// A capture file being written. Dropped before [`Writer::finish`], it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    encoder: Encoder<Sink>,
}

#[derive(Debug)]
enum Sink {
    Plain(BufWriter<Staged>),
    Gzip(GzEncoder<BufWriter<Staged>>),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // A flush in mid-stream would only make the gzip worse; `finish` ends it.
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(_) => Ok(()),
        }
    }
}

impl Format {
    /// The format that a file of this name should have: `.pcapng` is pcapng, all else pcap; `.gz` may follow. Times are
    /// kept to the microsecond only when they have no more (`micros`).
    pub fn of_name(path: &Path, micros: bool) -> Self {
        let name = path.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        match name.strip_suffix(".gz").unwrap_or(&name) {
            plain if plain.ends_with(".pcapng") => Self::Pcapng,
            _ if micros => Self::PcapMicros,
            _ => Self::PcapNanos,
        }
    }
}

impl Writer {
    /// Begin a capture of this name and format; the name's `.gz` decides whether it is compressed. `comment` describes
    /// the file, where the format has room for it.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn create(path: &Path, format: Format, comment: &str) -> Result<Self, WriteError> {
        let file = BufWriter::with_capacity(BUFFER, Staged::create(path)?);
        let gzip = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
        let sink =
            if gzip { Sink::Gzip(GzEncoder::new(file, Compression::default())) } else { Sink::Plain(file) };
        Ok(Self { encoder: Encoder::new(sink, format, comment)? })
    }

    /// See [`Encoder::interface`].
    ///
    /// # Errors
    /// As there.
    pub fn interface(&mut self, interface: &Interface) -> Result<usize, WriteError> {
        self.encoder.interface(interface)
    }

    /// See [`Encoder::packet`].
    ///
    /// # Errors
    /// As there.
    pub fn packet(
        &mut self,
        interface: usize,
        time: Instant,
        parts: &[&[u8]],
        missing: u32,
        comment: &str,
    ) -> Result<(), WriteError> {
        self.encoder.packet(interface, time, parts, missing, comment)
    }

    /// End the file: from here on it is there, whole.
    ///
    /// # Errors
    /// A full disk, a rename that fails; then there is no file.
    pub fn finish(self) -> Result<(), WriteError> {
        let file = match self.encoder.finish()? {
            Sink::Plain(file) => file,
            Sink::Gzip(gzip) => gzip.finish()?,
        };
        let staged = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(staged.persist()?)
    }
}
