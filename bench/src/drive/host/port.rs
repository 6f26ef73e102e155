//! One interface of the router bound to one of the machine: frames in, frames out, and what was lost on the way.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::Duration;

use espalier_dataplane::frame::Frame;
use espalier_dataplane::mem::Pool;
use espalier_wire::cause::CauseCounts;
use espalier_wire::{Cause, IfIndex, Instant, Mac};

use super::offload;
use super::socket::{self, PacketSocket, Received, Status};
use crate::capture::{Format, Interface, LinkType, WriteError, Writer};

/// How long a full interface may take to send something before what waits is lost.
const PATIENCE: Duration = Duration::from_millis(5);

/// Why an interface cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It is not there.
    #[error("{0}: there is no such interface in this network namespace")]
    NoInterface(String),
    /// It is of another kind.
    #[error("{0} is no Ethernet interface")]
    NotEthernet(String),
    /// The kernel would answer for its own address.
    #[error(
        "{0}: the kernel has an IPv4 address on it; the router needs the interface for itself (ip address flush dev {0})"
    )]
    Addressed(String),
    /// Frames of that size do not fit.
    #[error("{host}: its MTU is {has}, {name} needs {needs} (ip link set {host} mtu {needs})")]
    Mtu {
        /// The machine's interface.
        host: String,
        /// The router's.
        name: String,
        /// What the one has.
        has: usize,
        /// What the other wants.
        needs: u16,
    },
    /// No right to open raw sockets.
    #[error("{0}: not allowed to open a raw socket: this needs root, or CAP_NET_RAW")]
    NotAllowed(String),
    /// Anything else.
    #[error("{0}: {1}")]
    Other(String, io::Error),
}

/// A bound interface.
pub(super) struct Port {
    /// Its index in the router's configuration.
    pub(super) iface: IfIndex,
    /// Its name there.
    pub(super) name: String,
    /// The machine's interface.
    pub(super) host: String,
    /// The router's own address on it.
    pub(super) mac: Mac,
    /// It has a link.
    pub(super) running: bool,
    /// The router has switched it on.
    pub(super) enabled: bool,
    /// What was lost here, outside the dataplane.
    pub(super) lost: CauseCounts,
    /// The socket.
    pub(super) socket: PacketSocket,
    waiting: VecDeque<Frame>,
    capture: Option<Writer>,
    failed: Option<WriteError>,
}

/// The router's address on an interface: the interface's own with one bit turned, so that the kernel's stack does not
/// take the router's packets for its own. Locally administered, for one host.
fn own_mac(host: Mac) -> Mac {
    let [first, rest @ ..] = host.0;
    let [a, b, c, d, e] = rest;
    Mac([((first ^ 0x04) | 0x02) & 0xfe, a, b, c, d, e])
}

impl Port {
    /// Bind `host` to the router's interface `iface`, which is called `name` and carries packets of `mtu` bytes.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) fn bind(iface: IfIndex, name: &str, host: &str, mtu: u16) -> Result<Self, BindError> {
        let of = || host.to_owned();
        let told = socket::status(host).map_err(|e| match e.raw_os_error() {
            Some(libc::ENODEV) => BindError::NoInterface(of()),
            _ => BindError::Other(of(), e),
        })?;
        if !told.ethernet {
            return Err(BindError::NotEthernet(of()));
        }
        if told.addressed {
            return Err(BindError::Addressed(of()));
        }
        if told.mtu < usize::from(mtu) {
            return Err(BindError::Mtu { host: of(), name: name.to_owned(), has: told.mtu, needs: mtu });
        }
        let socket = PacketSocket::open(told.index).map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => BindError::NotAllowed(of()),
            _ => BindError::Other(of(), e),
        })?;
        Ok(Self {
            iface,
            name: name.to_owned(),
            host: of(),
            mac: own_mac(told.mac),
            running: told.running,
            enabled: false,
            lost: CauseCounts::default(),
            socket,
            waiting: VecDeque::new(),
            capture: None,
            failed: None,
        })
    }

    /// Write what passes to `HOST.pcapng` in `dir`.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub(super) fn record(&mut self, dir: &Path, router: &str) -> Result<(), WriteError> {
        let path = dir.join(format!("{}.pcapng", self.host));
        let about = format!("{router} {} on {}", self.name, self.host);
        let mut writer = Writer::create(&path, Format::Pcapng, &about)?;
        let name = Some(format!("{router}:{}", self.name));
        writer.interface(&Interface { link: LinkType::ETHERNET, name })?;
        self.capture = Some(writer);
        Ok(())
    }

    /// The router would hear something now.
    pub(super) const fn is_up(&self) -> bool {
        self.running && self.enabled
    }

    /// Ask the machine whether there is a link. A vanished interface has none.
    pub(super) fn look(&mut self) {
        self.running = socket::status(&self.host).is_ok_and(|Status { running, .. }| running);
    }

    /// Take up to a batch of frames in. How many the kernel had.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        memory: &mut Received,
        pool: &mut Pool,
        into: &mut Vec<Frame>,
    ) -> usize {
        // The only errors are that the link went, which LinkNews tells, and frames the kernel cannot describe.
        let Ok(n) = self.socket.receive(memory) else { return 0 };
        for (frame, how) in memory.frames() {
            if !self.enabled || how.vlan.is_some_and(|vlan| vlan != 0) {
                let cause = if self.enabled { Cause::UnknownEthertype } else { Cause::InterfaceDown };
                self.lost.add(cause);
                continue;
            }
            let (capture, failed) = (&mut self.capture, &mut self.failed);
            let mut lost = 0;
            let known = offload::complete(frame, &how, |one| {
                note(capture, failed, now, one);
                match pool.copy_of(one) {
                    Some(frame) => into.push(frame),
                    None => lost += 1,
                }
            });
            self.lost.add_many(Cause::NoFrame, lost);
            if !known {
                self.lost.add(Cause::TooBig);
            }
        }
        n
    }

    /// Have a frame sent with the next [`Port::flush`].
    pub(super) fn send(&mut self, now: Instant, frame: Frame) {
        note(&mut self.capture, &mut self.failed, now, frame.bytes());
        self.waiting.push_back(frame);
    }

    /// Send what waits.
    pub(super) fn flush(&mut self, pool: &mut Pool) {
        let mut patient = true;
        while !self.waiting.is_empty() {
            let cause = match self.socket.send(self.waiting.iter().map(|frame| frame.bytes())) {
                Ok(sent) => {
                    for frame in self.waiting.drain(..sent.min(self.waiting.len())) {
                        pool.put(frame);
                    }
                    patient = true;
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && patient => {
                    std::thread::sleep(PATIENCE);
                    patient = false;
                    continue;
                }
                Err(e) => match e.raw_os_error() {
                    Some(libc::EMSGSIZE) => Cause::TooBig,
                    Some(libc::EAGAIN | libc::ENOBUFS) => Cause::QueueFull,
                    _ => Cause::InterfaceDown,
                },
            };
            // The first one is what the kernel spoke of; the others have their own chance.
            self.lost.add(cause);
            if let Some(frame) = self.waiting.pop_front() {
                pool.put(frame);
            }
        }
    }

    /// End the capture, and count what the kernel lost.
    ///
    /// # Errors
    /// The first thing that went wrong with the capture.
    pub(super) fn close(&mut self) -> Result<(), WriteError> {
        self.lost.add_many(Cause::QueueFull, self.socket.overflowed());
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.capture.take().map_or(Ok(()), Writer::finish)
    }
}

fn note(capture: &mut Option<Writer>, failed: &mut Option<WriteError>, now: Instant, frame: &[u8]) {
    if let Some(writer) = capture
        && let Err(error) = writer.packet(0, now, &[frame], 0, "")
    {
        failed.get_or_insert(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routers_address_is_nearly_the_interfaces() {
        assert_eq!(own_mac(Mac([0x52, 1, 2, 3, 4, 5])), Mac([0x56, 1, 2, 3, 4, 5]));
        assert_eq!(own_mac(Mac([0x00, 1, 2, 3, 4, 5])), Mac([0x06, 1, 2, 3, 4, 5]));
    }

    #[test]
    fn what_cannot_be_bound_is_said() {
        let error = |host: &str| Port::bind(IfIndex(0), "FastEthernet0/0", host, 1500).err().unwrap();
        assert!(matches!(error("no-such-if"), BindError::NoInterface(_)));
        assert!(matches!(error("a-name-longer-than-any"), BindError::NoInterface(_)));
        assert!(matches!(error("lo"), BindError::NotEthernet(_)));
    }
}
