//! What carries frames between a port and the machine, of several kinds that a port cannot tell apart. They know how the
//! kernel hands frames over and nothing of what is in them.
//!
//! | `--bind IF=` | what it is | received by | sent by |
//! |---|---|---|---|
//! | `veth0`, `packet:veth0` | AF_PACKET | a ring that the kernel writes (`TPACKET_V2`), else as `batch:` | `sendmmsg` |
//! | `batch:veth0` | AF_PACKET | `recvmmsg` | `sendmmsg` |
//! | `tap:NAME` | the far end of a TAP interface | `read` | `write` |
//! | `xdp:veth0` | AF_XDP, copy mode | rings over memory of ours | the same |
//!
//! The ring is version 2 for its latency: version 3 hands frames over by the block, when one is full or a timer of a
//! millisecond at least has run out. There is no ring for sending: on a virtual Ethernet the kernel copies out of it
//! before it lets the frame go, so that `sendmmsg` copies no more, and it alone takes frames of any length.

mod map;
mod packet;
mod program;
mod ring;
mod tap;
mod xdp;

use std::io;
use std::os::fd::AsFd;
use std::str::FromStr;

use super::offload::Offload;
use super::socket::Status;

/// Frames that a device gives, or takes, at once.
pub(super) const BATCH: usize = 32;
/// Bytes of a frame at most: the longest IP packet of an offloading sender, its Ethernet header and a tag.
const SLOT: usize = 65_536 + 64;

/// What carries frames.
pub(in crate::drive) trait Device: AsFd + Send {
    /// Give `each` the frames that have arrived, a batch at most. How many there were; none is no error.
    ///
    /// # Errors
    /// What the kernel reports of the interface: it went down, or is gone.
    fn receive(&mut self, each: &mut dyn FnMut(&[u8], &Offload)) -> io::Result<usize>;

    /// Send a batch of frames, at most. How many of them, from the first on, the kernel took.
    ///
    /// # Errors
    /// Why it did not take the first one.
    fn send(&mut self, frames: &mut dyn Iterator<Item = &[u8]>) -> io::Result<usize>;

    /// Arriving frames that the kernel lost since the last question, because too many waited, or they fit nowhere.
    fn lost(&mut self) -> u64;

    /// Frames that [`Device::send`] gave to the kernel and that the interface did not take, since the last question.
    fn unsent(&mut self) -> u64 {
        0
    }

    /// The descriptor woke us. `false`: it would always do so from now on, for nothing: the interface is gone.
    fn woken(&mut self) -> bool {
        true
    }
}

/// Which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Kind {
    /// AF_PACKET, received from a ring where the kernel gives one.
    #[default]
    Packet,
    /// AF_PACKET without a ring.
    Batch,
    /// TAP: the kernel is a station on the other side.
    Tap,
    /// AF_XDP in copy mode.
    Xdp,
}

impl Kind {
    /// As reports call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packet => "packet",
            Self::Batch => "batch",
            Self::Tap => "tap",
            Self::Xdp => "xdp",
        }
    }
}

/// A machine's interface, and how its frames are had: `veth0` (or `packet:veth0`), `batch:veth0`, `tap:NAME` or
/// `xdp:veth0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "names say it")]
pub struct Place {
    pub kind: Kind,
    pub host: String,
}

/// The text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no kind of port: NAME (or packet:NAME), batch:NAME, tap:NAME or xdp:NAME is wanted")]
pub struct NoPlace(String);

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        // No name of an interface has a colon in it.
        let (kind, host) = match text.split_once(':') {
            None => (Kind::Packet, text),
            Some(("packet", host)) => (Kind::Packet, host),
            Some(("batch", host)) => (Kind::Batch, host),
            Some(("tap", host)) => (Kind::Tap, host),
            Some(("xdp", host)) => (Kind::Xdp, host),
            Some(_) => return Err(NoPlace(text.to_owned())),
        };
        Ok(Self { kind, host: host.to_owned() })
    }
}

/// Make sure that a TAP interface of that name is there, with room for packets of `mtu` bytes if it had to be made.
///
/// # Errors
/// No right to, no TAP in this kernel, or an interface of another kind.
pub(super) fn tap(host: &str, mtu: u16) -> io::Result<Box<dyn Device>> {
    Ok(Box::new(tap::Tap::open(host, mtu)?))
}

/// Open a device on an interface that is there already; and the kind that it turned out to be.
///
/// # Errors
/// No right to, or what the kernel cannot do.
pub(in crate::drive) fn open(kind: Kind, host: &str, of: &Status) -> io::Result<(Kind, Box<dyn Device>)> {
    let device: Box<dyn Device> = match kind {
        Kind::Packet => match ring::Mapped::open(of.index) {
            Ok(ring) => Box::new(ring),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Err(e),
            // Short of memory, or a kernel without rings.
            Err(_) => return open(Kind::Batch, host, of),
        },
        Kind::Batch => Box::new(packet::Batched::open(of.index)?),
        Kind::Tap => tap(host, 0)?,
        Kind::Xdp => Box::new(xdp::Xsk::open(host, of.index)?),
    };
    Ok((kind, device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let place = |kind, host: &str| Ok(Place { kind, host: host.to_owned() });
        assert_eq!("veth0".parse(), place(Kind::Packet, "veth0"));
        assert_eq!("packet:veth0".parse(), place(Kind::Packet, "veth0"));
        assert_eq!("xdp:veth0".parse(), place(Kind::Xdp, "veth0"));
        assert_eq!("tap:t0".parse(), place(Kind::Tap, "t0"));
        assert!("dpdk:veth0".parse::<Place>().unwrap_err().to_string().contains("dpdk:veth0"));
    }
}
