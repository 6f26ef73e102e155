//! Packets on their way through the engine: what they have in common that go the same way one behind the other, and what is
//! each one's own, in sixteen bytes.

use arrayvec::ArrayVec;
use espalier_wire::IfIndex;

use crate::batch::BATCH_MAX;
use crate::crypto::{self, Job, Key};
use crate::frame::Frame;
use crate::stage::crypt::Plan;

/// What the engine does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Nothing,
    Seal,
    Open,
}

/// Packets of one look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// The policy they are sealed for, or the slot of the SA they are opened by …
    pub(super) place: u32,
    /// … and which SA that is.
    pub(super) generation: u32,
    /// How many they are, and the bytes of their frames when they leave; of what is opened this is not known yet, …
    pub(super) count: u32,
    pub(super) bytes: u64,
    /// … nor where they leave.
    pub(super) iface: IfIndex,
    pub(super) task: Task,
    /// Where the SPI is, from the frame's first byte.
    pub(super) at: u8,
    /// Of what is opened: where its text begins, and how many bytes stand behind it.
    pub(super) text_at: u8,
    pub(super) icv_len: u8,
}

pub(super) const CLEAR: Span = Span {
    place: 0,
    generation: 0,
    count: 0,
    bytes: 0,
    iface: IfIndex(0),
    task: Task::Nothing,
    at: 0,
    text_at: 0,
    icv_len: 0,
};

/// What is a packet's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Its sequence number.
    pub(super) seq: u64,
    /// Its span's number, whether the engine did it, the outer ECN of what is opened, and the bytes from the SPI to the end of
    /// the ICV; none, where the engine is not to have it. One word, so that it is one store.
    rest: u64,
}

/// Frames of more bytes than this there are none.
const LEN: u64 = (1 << 24) - 1;
const ECN: u32 = 24;
const DONE: u64 = 1 << 31;
const SPAN: u32 = 32;

impl Row {
    pub(super) const NONE: Self = Self { seq: 0, rest: 0 };

    #[inline(always)]
    pub(super) const fn new(seq: u64, span: u32, len: u32, ecn: u8) -> Self {
        Self { seq, rest: (span as u64) << SPAN | (ecn as u64 & 3) << ECN | len as u64 & LEN }
    }

    #[inline(always)]
    pub(super) const fn len(&self) -> u32 {
        (self.rest & LEN) as u32
    }

    #[inline(always)]
    pub(super) const fn span(&self) -> u32 {
        (self.rest >> SPAN) as u32
    }

    #[inline(always)]
    pub(super) const fn ecn(&self) -> u8 {
        (self.rest >> ECN) as u8 & 3
    }

    /// That of a packet in clear, which is done from the first.
    #[inline(always)]
    pub(super) const fn clear(span: u32) -> Self {
        Self { seq: 0, rest: (span as u64) << SPAN | DONE }
    }

    /// Whether it is of the same span as another packet, with the same outer ECN, and done if that is.
    #[inline(always)]
    pub(super) const fn follows(&self, other: &Self) -> bool {
        (self.rest ^ other.rest) & !LEN == 0
    }
}

/// Frames, with what is known of each. Behind those of the last frame, rows of earlier ones may stand.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) frames: Vec<Frame>,
    pub(super) rows: Vec<Row>,
    pub(super) spans: Vec<Span>,
    /// The engine did all that it was given, and was given all: no row need say so then.
    all_done: bool,
}

impl Work {
    /// As many rows as there are frames; what they say is to be written. Nothing is known of any.
    pub(super) fn make_room(&mut self) {
        self.spans.clear();
        self.all_done = false;
        if self.rows.len() < self.frames.len() {
            self.rows.resize(self.frames.len(), Row::NONE);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    #[inline(always)]
    pub(super) fn span_of(&self, row: &Row) -> Span {
        self.spans.get(row.span() as usize).copied().unwrap_or(CLEAR)
    }

    /// Whether there is nothing that was to be done and is not.
    pub(super) fn is_all_done(&self) -> bool {
        self.all_done
    }

    /// Sealing: done. Opening: the ICV was right. What goes in clear is done, too.
    #[inline(always)]
    pub(super) fn is_done(&self, row: &Row) -> bool {
        self.all_done || row.rest & DONE != 0
    }

    /// A packet as the long way knows it.
    pub(super) fn plan(&self, row: &Row) -> Plan {
        let (at, done) = (u32::from(self.span_of(row).at), self.is_done(row));
        Plan { at, len: row.len(), seq_hi: (row.seq >> 32) as u32, done }
    }

    /// Seal every packet whose key `key` gives, asked by its span's number and span; the others stay undone.
    pub(super) fn seal<'k>(&mut self, key: impl Fn(usize, &Span) -> Option<&'k Key>) {
        self.run(key, crypto::seal);
    }

    /// Open every packet whose key `key` gives, likewise.
    pub(super) fn open<'k>(&mut self, key: impl Fn(usize, &Span) -> Option<&'k Key>) {
        self.run(key, crypto::open);
    }

    fn run<'k>(&mut self, key: impl Fn(usize, &Span) -> Option<&'k Key>, engine: impl Fn(&mut [Job<'_>])) {
        // An engine that panics leaves this so.
        self.all_done = false;
        let Self { frames, rows, spans, .. } = self;
        let (rows, is_long) = (rows.get_mut(..frames.len()).unwrap_or_default(), frames.len() > BATCH_MAX);
        let mut all_done = true;
        let (mut number, mut span, mut its_key) = (u32::MAX, CLEAR, None);
        for (frames, rows) in frames.chunks_mut(BATCH_MAX).zip(rows.chunks_mut(BATCH_MAX)) {
            let mut jobs = ArrayVec::<Job<'_>, BATCH_MAX>::new();
            for (frame, row) in frames.iter_mut().zip(rows.iter_mut()) {
                if row.span() != number {
                    number = row.span();
                    span = spans.get(number as usize).copied().unwrap_or(CLEAR);
                    its_key = key(number as usize, &span);
                }
                let bytes = frame.part_mut(usize::from(span.at), row.len() as usize);
                match its_key {
                    Some(key) if !bytes.is_empty() => jobs.push(Job::new(key, bytes, (row.seq >> 32) as u32)),
                    _ => {
                        row.rest &= !LEN;
                        all_done &= span.task == Task::Nothing;
                    }
                }
            }
            engine(&mut jobs);
            all_done &= jobs.iter().all(|job| job.verified);
            if is_long || !all_done {
                note_each(rows, &jobs);
            }
        }
        self.all_done = all_done;
    }
}

/// Not all was done: each row says what was, of this chunk. What has no length was no job.
#[cold]
fn note_each(rows: &mut [Row], jobs: &[Job<'_>]) {
    let rows = rows.iter_mut().filter(|row| row.len() > 0);
    for (row, job) in rows.zip(jobs) {
        row.rest |= if job.verified { DONE } else { 0 };
    }
}
