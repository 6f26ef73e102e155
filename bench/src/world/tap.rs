//! What is seen on the segments: a digest over every frame, and a capture file for each segment when one is wanted.

use std::path::Path;

use espalier_wire::Instant;
use sha2::{Digest, Sha256};

use crate::capture::{Format, Interface, LinkType, WriteError, Writer};

/// A listener on every segment.
pub(super) struct Tap {
    digest: Sha256,
    captures: Vec<Capture>,
    failed: Option<WriteError>,
}

struct Capture {
    writer: Writer,
    /// What happened since the last frame.
    comment: String,
}

impl Tap {
    /// A listener that keeps nothing but the digest.
    pub(super) fn deaf() -> Self {
        Self { digest: Sha256::new(), captures: Vec::new(), failed: None }
    }

    /// A listener that writes `SEGMENT.pcapng` into `dir`; each segment's ports are its interfaces.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub(super) fn into_dir(
        dir: &Path,
        about: &str,
        segments: &[(String, Vec<String>)],
    ) -> Result<Self, WriteError> {
        let mut captures = Vec::new();
        for (name, ports) in segments {
            let path = dir.join(format!("{name}.pcapng"));
            let mut writer = Writer::create(&path, Format::Pcapng, about)?;
            for port in ports {
                let interface = Interface { link: LinkType::ETHERNET, name: Some(port.clone()) };
                writer.interface(&interface)?;
            }
            captures.push(Capture { writer, comment: String::new() });
        }
        Ok(Self { captures, ..Self::deaf() })
    }

    /// A frame enters a segment at a port.
    pub(super) fn frame(&mut self, now: Instant, segment: usize, port: usize, frame: &[u8]) {
        let mut head = [0; 16];
        head[..8].copy_from_slice(&now.as_ns().to_be_bytes());
        head[8..12].copy_from_slice(&(segment as u32).to_be_bytes());
        head[12..].copy_from_slice(&(port as u32).to_be_bytes());
        self.digest.update(head);
        self.digest.update(frame);
        let Some(capture) = self.captures.get_mut(segment) else { return };
        let comment = std::mem::take(&mut capture.comment);
        if let Err(error) = capture.writer.packet(port, now, &[frame], 0, &comment) {
            self.failed.get_or_insert(error);
        }
    }

    /// Something happened: the next frame of each segment carries it as a comment.
    pub(super) fn comment(&mut self, text: &str) {
        for capture in &mut self.captures {
            if !capture.comment.is_empty() {
                capture.comment.push_str("; ");
            }
            capture.comment.push_str(text);
        }
    }

    /// End the files. The digest over everything.
    ///
    /// # Errors
    /// The first thing that went wrong with a file; then none is there.
    pub(super) fn finish(self) -> Result<[u8; 32], WriteError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        for capture in self.captures {
            capture.writer.finish()?;
        }
        Ok(self.digest.finalize().into())
    }
}
