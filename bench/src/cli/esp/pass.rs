//! The pass itself: packets read in batches, through a worker in host mode, and written in the order they were read.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use espalier_dataplane::batch::Batch;
use espalier_dataplane::crypto::Choice;
use espalier_dataplane::frame::Frame;
use espalier_dataplane::host::{HOST, HostFate, HostOutput};
use espalier_dataplane::worker::{Config, Worker};
use espalier_wire::plane::{Command, PolicyId};
use espalier_wire::random::Random;
use espalier_wire::{Cause, Tag};

use super::Verb;
use super::report::Counts;
use crate::capture::link::{self, Located};
use crate::capture::{Break, Interface, LinkType, Packet, Reader, WriteError, Writer};
use crate::sa_file::SaFile;

/// Packets that go through the worker at once.
const BATCH: usize = 256;

/// One packet on its way.
#[derive(Default)]
struct Item {
    packet: Packet,
    link: Option<LinkType>,
    located: Option<Located>,
    /// The worker has it, or had it.
    given: bool,
    /// Its fate is told in this batch.
    answered: bool,
}

impl Item {
    /// Whether it is a fragment that waits for others, or has become part of a packet with them.
    const fn waits(&self) -> bool {
        self.given && !self.answered
    }
}

/// A worker, what goes in and what comes out.
pub(super) struct Pass {
    worker: Worker,
    verb: Verb,
    only: bool,
    writer: Writer,
    /// The writer's interface for each of the reader's.
    interfaces: Vec<usize>,
    items: Vec<Item>,
    batch: Batch,
    fates: VecDeque<(Frame, HostFate)>,
    output: HostOutput,
    header: Vec<u8>,
    counts: Counts,
}

impl Pass {
    pub(super) fn new(sas: &SaFile, verb: Verb, writer: Writer, only: bool) -> Result<Self, String> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| format!("no randomness for IVs: {e}"))?;
        let mut worker = Worker::new(Choice::Auto, Random::from_entropy(seed), Config::default());
        let now = Default::default();
        if verb == Verb::Encap {
            let policy = Command::Policy { iface: HOST, rules: sas.rules() };
            worker.command(now, policy).map_err(|e| e.to_string())?;
        }
        for (policy, sa) in (0..).map(PolicyId).zip(&sas.sas) {
            let sa = Box::new(sa.clone());
            let command = match verb {
                Verb::Encap => Command::SwapOutbound { policy, sa },
                Verb::Decap => Command::InstallInbound { policy, sa },
            };
            worker.command(now, command).map_err(|e| e.to_string())?;
        }
        let mut items = Vec::new();
        items.resize_with(BATCH, Item::default);
        Ok(Self {
            worker,
            verb,
            only,
            writer,
            interfaces: Vec::new(),
            items,
            batch: Batch::new(),
            fates: VecDeque::new(),
            output: HostOutput::default(),
            header: Vec::new(),
            counts: Counts::default(),
        })
    }

    /// Pass everything; where the capture breaks off, if it does.
    pub(super) fn all(
        &mut self,
        reader: &mut Reader,
        bar: &indicatif::ProgressBar,
    ) -> Result<Option<Break>, WriteError> {
        let position = reader.position();
        loop {
            let (read, broken) = self.fill(reader);
            self.announce(reader.interfaces())?;
            // Tags number the packets of the whole capture, from 1: a fragment may wait over many batches.
            let base = self.counts.packets + 1;
            self.through(base, read);
            self.write(base, read)?;
            bar.set_position(position.load(Ordering::Relaxed));
            if broken.is_some() || read < BATCH {
                self.worker.flush_ip(&mut self.output);
                self.fates.extend(self.output.packets.drain(..));
                self.write(self.counts.packets + 1, 0)?;
                return Ok(broken);
            }
        }
    }

    /// End the file.
    pub(super) fn finish(mut self) -> Result<Counts, WriteError> {
        if self.interfaces.is_empty() {
            self.writer.interface(&Interface { link: LinkType::ETHERNET, name: None })?;
        }
        self.writer.finish()?;
        Ok(self.counts)
    }

    /// Read up to a batch.
    fn fill(&mut self, reader: &mut Reader) -> (usize, Option<Break>) {
        for (n, item) in self.items.iter_mut().enumerate() {
            match reader.read(&mut item.packet) {
                Ok(true) => {
                    item.link = reader.interfaces().get(item.packet.interface).map(|i| i.link);
                    item.located = item.link.and_then(|l| link::locate(l, &item.packet.bytes));
                }
                Ok(false) => return (n, None),
                Err(broken) => return (n, Some(broken)),
            }
        }
        (self.items.len(), None)
    }

    /// Tell the writer of interfaces that it has not heard of.
    fn announce(&mut self, interfaces: &[Interface]) -> Result<(), WriteError> {
        for interface in interfaces.iter().skip(self.interfaces.len()) {
            let written = Interface { link: link::written(interface.link), name: interface.name.clone() };
            self.interfaces.push(self.writer.interface(&written)?);
        }
        Ok(())
    }

    /// Give the batch's IP packets to the worker, tagged from `base` on.
    fn through(&mut self, base: u64, read: usize) {
        self.counts.packets += read as u64;
        let now = self.items.first().map_or(Default::default(), |item| item.packet.time);
        for (tag, item) in (base..).zip(&mut self.items[..read]) {
            item.given = false;
            let Some(located) = &item.located else { continue };
            let ip = item.packet.bytes.get(located.ip.clone()).unwrap_or_default();
            if let Some(mut frame) = self.worker.pool().copy_of(ip) {
                frame.meta.tag = Tag(tag);
                item.given = true;
                self.batch.push(frame);
            }
        }
        match self.verb {
            Verb::Encap => self.worker.seal_ip(now, &mut self.batch, &mut self.output),
            Verb::Decap => self.worker.open_ip(now, &mut self.batch, &mut self.output),
        }
        self.output.notices.clear();
        self.fates.extend(self.output.packets.drain(..));
    }

    /// Write the batch in the order it was read. A packet put together of fragments stands where its last one came.
    fn write(&mut self, base: u64, read: usize) -> Result<(), WriteError> {
        let place =
            |frame: &Frame| frame.meta.tag.0.checked_sub(base).map(|n| n as usize).filter(|n| *n < read);
        for item in &mut self.items[..read] {
            item.answered = false;
        }
        for (frame, _) in &self.fates {
            if let Some(n) = place(frame) {
                self.items[n].answered = true;
            }
        }
        let (mut next, mut last) = (0, Tag::NONE);
        while let Some((frame, fate)) = self.fates.pop_front() {
            let first = frame.meta.tag != last;
            let at = match place(&frame) {
                Some(n) if n >= next => n,
                _ if !first => next.saturating_sub(1),
                early => {
                    // Counted as one that waits, when its batch was written.
                    self.counts.joined -= u64::from(early.is_none());
                    self.completing(next, read, fate)
                }
            };
            self.write_before(next, at)?;
            next = next.max(at + 1).min(read);
            last = frame.meta.tag;
            self.write_fate(at, &frame, fate, first)?;
            self.worker.pool().put(frame);
        }
        self.write_before(next, read)
    }

    /// Where a packet stands that was tagged before `next`: a lost fragment nowhere, a whole packet where the fragment
    /// came that made it whole, which is the next one that nothing else became of.
    fn completing(&mut self, next: usize, read: usize, fate: HostFate) -> usize {
        let last = match fate {
            HostFate::Drop(_) => None,
            _ => (next..read).find(|n| self.items[*n].waits()),
        };
        self.counts.joined += u64::from(last.is_some());
        last.unwrap_or(next.saturating_sub(1))
    }

    /// Write what stands between two packets of the worker's, and count the fragments that wait for others.
    fn write_before(&mut self, from: usize, to: usize) -> Result<(), WriteError> {
        for n in from..to {
            if self.items[n].waits() {
                self.counts.joined += 1;
            } else if !self.items[n].given {
                self.bypass(n)?;
            }
        }
        Ok(())
    }

    fn write_fate(&mut self, n: usize, frame: &Frame, fate: HostFate, first: bool) -> Result<(), WriteError> {
        match fate {
            HostFate::Bypassed => self.bypass(n),
            HostFate::Drop(cause) => {
                self.counts.dropped.add(cause);
                if self.verb == Verb::Decap && cause != Cause::Malformed {
                    self.counts.esp += 1;
                }
                Ok(())
            }
            HostFate::Passed => {
                self.counts.passed += u64::from(first);
                self.counts.esp += u64::from(first || self.verb == Verb::Encap);
                let item = &self.items[n];
                let Some(located) = &item.located else { return Ok(()) };
                located.header_before(&item.packet.bytes, frame.bytes(), &mut self.header);
                let parts = [&self.header[..], frame.bytes()];
                let interface = self.interfaces.get(item.packet.interface).copied().unwrap_or(0);
                self.writer.packet(interface, item.packet.time, &parts, 0, "")
            }
        }
    }

    /// Pass a packet through as it is.
    fn bypass(&mut self, n: usize) -> Result<(), WriteError> {
        self.counts.bypassed += 1;
        if self.only {
            return Ok(());
        }
        let item = &self.items[n];
        let packet = &item.packet;
        let interface = self.interfaces.get(packet.interface).copied().unwrap_or(0);
        // A bare IP packet is written under the one link type that takes both families; all else keeps its bytes.
        let missing =
            packet.original_len.saturating_sub(u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX));
        self.writer.packet(interface, packet.time, &[&packet.bytes], missing, "")
    }
}
