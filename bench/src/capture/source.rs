//! Bytes of a capture file in order, gzip undone, with the offset reached. It knows no capture format.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::Flaw;

const BUFFER: usize = 256 * 1024;

/// The uncompressed bytes of a file.
pub(super) struct Source {
    bytes: Box<dyn BufRead + Send>,
    offset: u64,
    raw: Arc<AtomicU64>,
}

/// Counts what is taken from the file itself, compressed or not, for a progress bar.
struct Counted {
    inner: Box<dyn Read + Send>,
    raw: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.raw.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl Source {
    /// Undo gzip if the first two bytes say so (RFC 1952 section 2.3.1).
    pub(super) fn new(inner: Box<dyn Read + Send>) -> io::Result<Self> {
        let raw = Arc::new(AtomicU64::new(0));
        let mut inner = Counted { inner, raw: Arc::clone(&raw) };
        let mut first = Vec::with_capacity(2);
        Read::by_ref(&mut inner).take(2).read_to_end(&mut first)?;
        let gzip = first == [0x1f, 0x8b];
        let whole = BufReader::with_capacity(BUFFER, Cursor::new(first).chain(inner));
        let bytes: Box<dyn BufRead + Send> = if gzip {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(whole)))
        } else {
            Box::new(whole)
        };
        Ok(Self { bytes, offset: 0, raw })
    }

    /// Uncompressed bytes taken so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the file itself taken so far, shared.
    pub(super) fn raw(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.raw)
    }

    /// Fill `buf` as far as the file reaches; the number of bytes filled.
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.bytes.read(rest) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }

    /// Fill all of `buf`.
    pub(super) fn exact(&mut self, buf: &mut [u8]) -> Result<(), Flaw> {
        let have = self.fill(buf)?;
        if have < buf.len() {
            return Err(Flaw::Cut { need: buf.len() as u64, have: have as u64 });
        }
        Ok(())
    }

    /// Fill all of `buf`, or nothing because the file ends here: `false`.
    pub(super) fn exact_or_end(&mut self, buf: &mut [u8]) -> Result<bool, Flaw> {
        match self.fill(buf)? {
            0 => Ok(false),
            n if n < buf.len() => Err(Flaw::Cut { need: buf.len() as u64, have: n as u64 }),
            _ => Ok(true),
        }
    }

    /// Replace what `buf` holds by the next `len` bytes.
    pub(super) fn take(&mut self, buf: &mut Vec<u8>, len: usize) -> Result<(), Flaw> {
        buf.clear();
        buf.resize(len, 0);
        self.exact(buf)
    }

    /// Pass over `len` bytes.
    pub(super) fn skip(&mut self, len: u64) -> Result<(), Flaw> {
        let mut left = len;
        while left > 0 {
            let there = self.bytes.fill_buf()?.len();
            if there == 0 {
                return Err(Flaw::Cut { need: len, have: len - left });
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(there);
            self.bytes.consume(step);
            self.offset += step as u64;
            left -= step as u64;
        }
        Ok(())
    }
}

/// The byte order of a file, a section or a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The 16 bits at `at`; 0 beyond the end.
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let b = array(bytes, at);
        if self == Self::Little { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) }
    }

    /// The 32 bits at `at`; 0 beyond the end.
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let b = array(bytes, at);
        if self == Self::Little { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) }
    }

    /// The 64 bits at `at`; 0 beyond the end.
    pub(super) fn u64(self, bytes: &[u8], at: usize) -> u64 {
        let b = array(bytes, at);
        if self == Self::Little { u64::from_le_bytes(b) } else { u64::from_be_bytes(b) }
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    if let Some(there) = bytes.get(at..).and_then(|rest| rest.get(..N)) {
        out.copy_from_slice(there);
    }
    out
}
