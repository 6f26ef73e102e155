//! Crypt: hand a batch to the engine. It needs the frames, their plans and their keys, and nothing of SAs, counters or
//! windows, so it can run on another core than the one that owns the SAs.

use arrayvec::ArrayVec;

use crate::batch::BATCH_MAX;
use crate::crypto::{self, Job, Key};
use crate::frame::Frame;

/// Where in a frame the ESP is, and what the engine said of it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Where the SPI is, from the packet's first byte.
    pub at: u32,
    /// Bytes from the SPI to the end of the ICV.
    pub len: u32,
    /// The high half of the sequence number.
    pub seq_hi: u32,
    /// Sealing: done. Opening: the ICV was right. Until then, false.
    pub done: bool,
}

impl Plan {
    /// Nothing to do.
    pub const NONE: Self = Self { at: 0, len: 0, seq_hi: 0, done: true };
}

/// Frames on their way through the engine, each with its plan and what its owner wants to know of it afterwards.
#[derive(Debug)]
pub struct Work<T> {
    /// The frames.
    pub frames: Vec<Frame>,
    /// Their plans, in the same order.
    pub plans: Vec<Plan>,
    /// Their owner's notes, in the same order.
    pub notes: Vec<T>,
}

impl<T> Default for Work<T> {
    fn default() -> Self {
        Self { frames: Vec::new(), plans: Vec::new(), notes: Vec::new() }
    }
}

impl<T> Work<T> {
    /// Add a prepared frame.
    pub fn push(&mut self, frame: Frame, plan: Plan, note: T) {
        self.frames.push(frame);
        self.plans.push(plan);
        self.notes.push(note);
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Take everything out, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = (Frame, Plan, T)> + '_ {
        let frames = self.frames.drain(..).zip(self.plans.drain(..));
        frames.zip(self.notes.drain(..)).map(|((frame, plan), note)| (frame, plan, note))
    }

    /// Seal every frame whose key `key` gives, asked by the frame's place and note; the others stay undone.
    pub fn seal<'k>(&mut self, key: impl Fn(usize, &T) -> Option<&'k Key>) {
        self.run(key, crypto::seal);
    }

    /// Open every frame whose key `key` gives, asked by the frame's place and note; the others stay undone.
    pub fn open<'k>(&mut self, key: impl Fn(usize, &T) -> Option<&'k Key>) {
        self.run(key, crypto::open);
    }

    fn run<'k>(&mut self, key: impl Fn(usize, &T) -> Option<&'k Key>, engine: impl Fn(&mut [Job<'_>])) {
        let (frames, plans) = (self.frames.chunks_mut(BATCH_MAX), self.plans.chunks_mut(BATCH_MAX));
        let mut at = 0;
        for ((frames, plans), notes) in frames.zip(plans).zip(self.notes.chunks(BATCH_MAX)) {
            let mut jobs = ArrayVec::<Job<'_>, BATCH_MAX>::new();
            for ((frame, plan), note) in frames.iter_mut().zip(plans.iter_mut()).zip(notes) {
                let bytes = frame.part_mut(plan.at as usize, plan.len as usize);
                at += 1;
                match key(at - 1, note) {
                    Some(key) if !bytes.is_empty() => jobs.push(Job::new(key, bytes, plan.seq_hi)),
                    _ => plan.len = 0,
                }
            }
            engine(&mut jobs);
            let given = plans.iter_mut().filter(|plan| plan.len > 0);
            for (plan, job) in given.zip(&jobs) {
                plan.done = job.verified;
            }
        }
    }
}
