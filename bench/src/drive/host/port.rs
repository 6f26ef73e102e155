//! One interface of the router bound to one of the machine: frames in, frames out, and what was lost on the way.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use espalier_dataplane::frame::Frame;
use espalier_dataplane::mem::Pool;
use espalier_wire::cause::CauseCounts;
use espalier_wire::{Cause, IfIndex, Instant, Mac};

use super::device::{self, Device, Kind, Place};
use super::offload;
use super::socket;
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
    /// No right to.
    #[error("{host}: not allowed to {what}: this needs root, or {needs}")]
    NotAllowed {
        /// The machine's interface.
        host: String,
        /// To do what.
        what: &'static str,
        /// What would allow it.
        needs: &'static str,
    },
    /// Somebody has it for himself.
    #[error("{0}: {1}")]
    Taken(String, &'static str),
    /// This kernel has no such thing.
    #[error("{0}: this kernel has no {1}")]
    Unsupported(String, &'static str),
    /// Anything else.
    #[error("{0}: {1}")]
    Other(String, io::Error),
}

impl BindError {
    /// What an error of the kernel's means for a place.
    fn of(place: &Place, e: io::Error) -> Self {
        let host = place.host.clone();
        let (what, needs, name, taken) = match place.kind {
            Kind::Packet | Kind::Batch => {
                ("open a raw socket", "CAP_NET_RAW", "AF_PACKET", "somebody has it")
            }
            Kind::Tap => {
                ("make or open a TAP interface", "CAP_NET_ADMIN", "TAP", "somebody holds its far end")
            }
            Kind::Xdp => (
                "open an AF_XDP socket and load its program",
                "CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF",
                "AF_XDP",
                "another program has its XDP hook",
            ),
        };
        match e.raw_os_error() {
            Some(libc::ENODEV) if place.kind != Kind::Tap => Self::NoInterface(host),
            Some(libc::EPERM | libc::EACCES) => Self::NotAllowed { host, what, needs },
            Some(libc::EBUSY) => Self::Taken(host, taken),
            Some(libc::EAFNOSUPPORT | libc::ENOSYS | libc::ENOENT | libc::ENOPROTOOPT) => {
                Self::Unsupported(host, name)
            }
            Some(libc::EINVAL) if place.kind == Kind::Tap => Self::Taken(host, "it is no TAP interface"),
            Some(libc::EINVAL | libc::EOPNOTSUPP) if place.kind == Kind::Xdp => {
                Self::Unsupported(host, "AF_XDP for this interface")
            }
            Some(libc::ERANGE) if place.kind == Kind::Xdp => Self::Taken(host, "its MTU is too big for XDP"),
            _ => Self::Other(host, e),
        }
    }
}

/// A bound interface, as the dataplane has it.
pub(super) struct Port {
    /// Its index in the router's configuration.
    pub(super) iface: IfIndex,
    /// The router has switched it on.
    pub(super) enabled: bool,
    /// What was lost here, outside the dataplane.
    pub(super) lost: CauseCounts,
    /// Frames that the kernel lost before they got here.
    pub(super) overflowed: u64,
    device: Box<dyn Device>,
    /// It would wake us for nothing: the interface is gone.
    mute: bool,
    waiting: VecDeque<Frame>,
    capture: Option<Writer>,
    failed: Option<WriteError>,
}

/// A bound interface, as the control plane has it.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// Its index in the router's configuration.
    pub(super) iface: IfIndex,
    /// Its name there.
    pub(super) name: String,
    /// The machine's interface.
    pub(super) place: Place,
    /// The router's own address on it.
    pub(super) mac: Mac,
    /// It has a link.
    pub(super) running: bool,
    /// The router has switched it on.
    pub(super) enabled: bool,
    /// The kernel's number for the interface.
    index: libc::c_int,
}

impl Link {
    /// The router would hear something now.
    pub(super) const fn is_up(&self) -> bool {
        self.running && self.enabled
    }

    /// Ask the machine whether there is a link. A vanished interface has none, and neither has another of its name.
    pub(super) fn look(&mut self) {
        let now = socket::status(&self.place.host);
        self.running = now.is_ok_and(|now| now.running && now.index == self.index);
    }
}

/// The router's address on an interface: the interface's own with one bit turned, so that the kernel's stack does not
/// take the router's packets for its own. Locally administered, for one host.
fn own_mac(host: Mac) -> Mac {
    let [first, rest @ ..] = host.0;
    let [a, b, c, d, e] = rest;
    Mac([((first ^ 0x04) | 0x02) & 0xfe, a, b, c, d, e])
}

/// Bind a place of the machine to the router's interface `iface`, which is called `name` and carries packets of `mtu`
/// bytes.
///
/// # Errors
/// Why it cannot be.
pub(super) fn bind(iface: IfIndex, name: &str, place: &Place, mtu: u16) -> Result<(Link, Port), BindError> {
    let host = &place.host;
    let refused = |e: io::Error| BindError::of(place, e);
    // A TAP interface may not be there before it is opened; the kernel's address on it is what it is for.
    let tap = (place.kind == Kind::Tap).then(|| device::tap(host, mtu)).transpose().map_err(refused)?;
    let told = socket::status(host).map_err(refused)?;
    if !told.ethernet {
        return Err(BindError::NotEthernet(host.clone()));
    }
    if told.addressed && tap.is_none() {
        return Err(BindError::Addressed(host.clone()));
    }
    if told.mtu < usize::from(mtu) {
        let (host, name) = (host.clone(), name.to_owned());
        return Err(BindError::Mtu { host, name, has: told.mtu, needs: mtu });
    }
    let (kind, device) = match tap {
        Some(tap) => (Kind::Tap, tap),
        None => device::open(place.kind, host, &told).map_err(refused)?,
    };
    let link = Link {
        iface,
        name: name.to_owned(),
        place: Place { kind, host: host.clone() },
        mac: own_mac(told.mac),
        running: told.running,
        enabled: false,
        index: told.index,
    };
    Ok((link, Port::on(iface, device)))
}

impl Port {
    /// A port over a device, switched off.
    pub(super) fn on(iface: IfIndex, device: Box<dyn Device>) -> Self {
        Self {
            iface,
            enabled: false,
            lost: CauseCounts::default(),
            overflowed: 0,
            device,
            mute: false,
            waiting: VecDeque::new(),
            capture: None,
            failed: None,
        }
    }

    /// What it can be waited for by, unless it never has anything to say again.
    pub(super) fn source(&self) -> Option<BorrowedFd<'_>> {
        (!self.mute).then(|| self.device.as_fd())
    }

    /// Its descriptor woke us.
    pub(super) fn woken(&mut self) {
        self.mute = !self.device.woken();
    }

    /// Write what passes to `HOST.pcapng` in `dir`.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub(super) fn record(&mut self, dir: &Path, router: &str, link: &Link) -> Result<(), WriteError> {
        let (name, host) = (&link.name, &link.place.host);
        let path = dir.join(format!("{host}.pcapng"));
        let mut writer = Writer::create(&path, Format::Pcapng, &format!("{router} {name} on {host}"))?;
        let name = Some(format!("{router}:{name}"));
        writer.interface(&Interface { link: LinkType::ETHERNET, name })?;
        self.capture = Some(writer);
        Ok(())
    }

    /// Take up to a batch of frames in. How many the kernel had.
    pub(super) fn receive(&mut self, now: Instant, pool: &mut Pool, into: &mut Vec<Frame>) -> usize {
        let Self { enabled, lost, capture, failed, device, .. } = self;
        let received = device.receive(&mut |frame, how| {
            if !*enabled || how.vlan.is_some_and(|vlan| vlan != 0) {
                lost.add(if *enabled { Cause::UnknownEthertype } else { Cause::InterfaceDown });
                return;
            }
            let known = offload::complete(frame, how, |one| {
                note(capture, failed, now, one);
                match pool.copy_of(one) {
                    Some(frame) => into.push(frame),
                    None => lost.add(Cause::NoFrame),
                }
            });
            if !known {
                lost.add(Cause::TooBig);
            }
        });
        // The only errors are that the link went, which LinkNews tells, and frames the kernel cannot describe.
        received.unwrap_or(0)
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
            let sent = self.device.send(&mut self.waiting.iter().map(|frame| frame.bytes()));
            let cause = match sent {
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

    /// Ask what the kernel lost since the last question.
    fn ask(&mut self) {
        self.overflowed += self.device.lost();
        self.lost.add_many(Cause::QueueFull, self.device.unsent());
    }

    /// All that was lost here until now, what overflowed among it.
    pub(super) fn losses(&mut self) -> u64 {
        self.ask();
        self.overflowed + self.lost.iter().map(|(_, n)| n).sum::<u64>()
    }

    /// End the capture, and count what the kernel lost.
    ///
    /// # Errors
    /// The first thing that went wrong with the capture.
    pub(super) fn close(&mut self) -> Result<(), WriteError> {
        self.ask();
        self.lost.add_many(Cause::QueueFull, self.overflowed);
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
        let error = |host: &str| {
            let place = Place { kind: Kind::Packet, host: host.to_owned() };
            bind(IfIndex(0), "FastEthernet0/0", &place, 1500).err().unwrap()
        };
        assert!(matches!(error("no-such-if"), BindError::NoInterface(_)));
        assert!(matches!(error("a-name-longer-than-any"), BindError::NoInterface(_)));
        assert!(matches!(error("lo"), BindError::NotEthernet(_)));
    }
}
