//! What is seen on the segments: a digest over every frame, and a capture file for each segment when one is wanted.

use std::path::Path;

use espalier_wire::{Instant, Tag};
use sha2::{Digest, Sha256};

use crate::capture::{Format, Interface, LinkType, WriteError, Writer};
use crate::measure::ledger::PacketId;

/// A listener on every segment.
pub(super) struct Tap {
    digest: Option<Sha256>,
    /// Packets of the traffic are not heard.
    control_only: bool,
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
        Self { digest: Some(Sha256::new()), control_only: false, captures: Vec::new(), failed: None }
    }

    /// Make no digest.
    pub(super) fn skip_digest(&mut self) {
        self.digest = None;
    }

    /// Leave the traffic out of the captures.
    pub(super) fn skip_traffic(&mut self) {
        self.control_only = true;
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
    pub(super) fn frame(&mut self, now: Instant, (segment, port): (usize, usize), tag: Tag, frame: &[u8]) {
        self.digest_frame(now, (segment, port), frame);
        let left_out = self.control_only && PacketId::of(tag).is_some();
        let Some(capture) = self.captures.get_mut(segment).filter(|_| !left_out) else { return };
        let comment = std::mem::take(&mut capture.comment);
        if let Err(error) = capture.writer.packet(port, now, &[frame], 0, &comment) {
            self.failed.get_or_insert(error);
        }
    }

    fn digest_frame(&mut self, now: Instant, (segment, port): (usize, usize), frame: &[u8]) {
        let Some(digest) = &mut self.digest else { return };
        let mut head = [0; 16];
        head[..8].copy_from_slice(&now.as_ns().to_be_bytes());
        head[8..12].copy_from_slice(&(segment as u32).to_be_bytes());
        head[12..].copy_from_slice(&(port as u32).to_be_bytes());
        digest.update(head);
        digest.update(frame);
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

    /// End the files. The digest over everything, if one was made.
    ///
    /// # Errors
    /// The first thing that went wrong with a file; then none is there.
    pub(super) fn finish(self) -> Result<Option<[u8; 32]>, WriteError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        for capture in self.captures {
            capture.writer.finish()?;
        }
        Ok(self.digest.map(|digest| digest.finalize().into()))
    }
}
