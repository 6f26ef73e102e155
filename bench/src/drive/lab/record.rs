//! What passes on each segment, kept as `SEGMENT.pcapng`: a thread listens at each bridge. Times are when the frame was
//! taken in, since the Unix epoch, one clock for all of them.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use espalier_wire::{Duration, Instant};

use crate::capture::{Format, Interface, LinkType, WriteError, Writer};
use crate::drive::host::device::{self, Device, Kind};
use crate::drive::host::offload;
use crate::drive::host::socket::{enter, status, wait};

/// Its bridge's name in a switch's namespace.
const BRIDGE: &str = "br0";

/// A listener at one segment. Dropped before [`Recorder::finish`], it leaves no file.
pub(super) struct Recorder {
    segment: String,
    thread: Option<JoinHandle<Result<Missing, WriteError>>>,
    stop: UnixStream,
    comment: Arc<Mutex<String>>,
}

struct Listener {
    device: Box<dyn Device>,
    stop: UnixStream,
    writer: Writer,
    comment: Arc<Mutex<String>>,
    missing: Missing,
}

/// Frames that passed and are not in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Missing {
    /// The kernel lost them: too many waited.
    lost: u64,
    /// A sender left them to hardware in a way that is not known here.
    unknown: u64,
}

impl Missing {
    /// What to say of it, if there is anything to say.
    fn warning(self, segment: &str) -> Option<String> {
        let Self { lost, unknown } = self;
        let what = match (lost, unknown) {
            (0, 0) => return None,
            (_, 0) => format!("{lost} frames that the kernel lost because too many waited"),
            (0, _) => format!("{unknown} frames that a sender left unfinished in a way not known here"),
            _ => format!("{lost} frames that the kernel lost, and {unknown} that a sender left unfinished"),
        };
        Some(format!("{segment}.pcapng is without {what}"))
    }
}

impl Recorder {
    /// Listen in a switch's namespace from now on; the file appears in `dir` when it is finished.
    ///
    /// # Errors
    /// A place that cannot be written, or no raw socket.
    pub(super) fn start(switch: &str, segment: &str, about: &str, dir: &Path) -> Result<Self, WriteError> {
        let (stop, theirs) = UnixStream::pair()?;
        let comment = Arc::new(Mutex::new(String::new()));
        let path: PathBuf = dir.join(format!("{segment}.pcapng"));
        let mut writer = Writer::create(&path, Format::Pcapng, about)?;
        writer.interface(&Interface { link: LinkType::ETHERNET, name: Some(segment.to_owned()) })?;
        let (switch, shared) = (switch.to_owned(), Arc::clone(&comment));
        let (ready, opened) = std::sync::mpsc::channel();
        // Entering a namespace is for good: a thread of its own does it.
        let thread = std::thread::spawn(move || {
            let open = || {
                enter(&switch)?;
                device::open(Kind::Batch, BRIDGE, &status(BRIDGE)?).map(|(_, device)| device)
            };
            match open() {
                Ok(device) => {
                    let _ = ready.send(Ok(()));
                    let missing = Missing::default();
                    Listener { device, stop: theirs, writer, comment: shared, missing }.listen()
                }
                Err(why) => {
                    let _ = ready.send(Err(why));
                    Ok(Missing::default())
                }
            }
        });
        opened.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { segment: segment.to_owned(), thread: Some(thread), stop, comment })
    }

    /// Something happened: the next frame carries it as a comment.
    pub(super) fn comment(&self, text: &str) {
        let mut comment = self.comment.lock().unwrap_or_else(PoisonError::into_inner);
        if !comment.is_empty() {
            comment.push_str("; ");
        }
        comment.push_str(text);
    }

    /// End the file. What must be said of it, if frames are missing there.
    ///
    /// # Errors
    /// The first thing that went wrong with it.
    pub(super) fn finish(mut self) -> Result<Option<String>, WriteError> {
        let _ = self.stop.write_all(b"x");
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(done)) => done.map(|missing| missing.warning(&self.segment)),
            _ => Err(io::Error::other("a segment's recorder broke down").into()),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Its thread has the unfinished file, and removes it on its way out.
        let _ = self.stop.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Listener {
    fn listen(mut self) -> Result<Missing, WriteError> {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = Instant::from_ns(u64::try_from(epoch.as_nanos()).unwrap_or_default());
        let start = std::time::Instant::now();
        loop {
            let woke = wait(&[self.device.as_fd(), self.stop.as_fd()], None);
            let now =
                epoch + Duration::from_ns(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
            // An error is a link that went down; what was on it was on it.
            while self.write_batch(now)? > 0 {}
            if woke.get(1) == Some(&true) {
                // Its owner has either said that it is over, or gone in the middle.
                let over = self.stop.read(&mut [0]).is_ok_and(|n| n > 0);
                self.missing.lost = self.device.lost();
                if over {
                    self.writer.finish()?;
                }
                return Ok(self.missing);
            }
        }
    }

    /// How many frames had arrived.
    fn write_batch(&mut self, now: Instant) -> Result<usize, WriteError> {
        let (mut failed, writer, comment) = (None, &mut self.writer, &self.comment);
        let unknown = &mut self.missing.unknown;
        let arrived = self.device.receive(&mut |frame, how| {
            let known = offload::complete(frame, how, |one| {
                let text = std::mem::take(&mut *comment.lock().unwrap_or_else(PoisonError::into_inner));
                if let Err(why) = writer.packet(0, now, &[one], 0, &text) {
                    failed.get_or_insert(why);
                }
            });
            *unknown += u64::from(!known);
        });
        failed.map_or(Ok(arrived.unwrap_or(0)), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_its_segment() {
        let said = |lost, unknown| Missing { lost, unknown }.warning("outside");
        assert_eq!(said(0, 0), None);
        assert!(said(3, 0).unwrap().starts_with("outside.pcapng is without 3 frames"));
        assert!(said(0, 4).unwrap().contains("4 frames"));
        let both = said(3, 4).unwrap();
        assert!(both.contains("3 frames") && both.contains("and 4 "), "{both}");
    }
}
