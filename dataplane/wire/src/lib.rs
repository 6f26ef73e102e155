//! Whatever crosses a boundary in Espalier: time, identifiers, addresses, packet formats, the commands the control
//! plane gives the dataplane, and the one vocabulary of loss.
//!
//! Nothing here has state, reads a clock or depends on another crate of the workspace. A format is a checked *view*
//! over bytes plus, where it is built as well as read, a *value*; every view is safe on any bytes.
#![forbid(unsafe_code)]

pub mod addr;
pub mod arp;
mod bytes;
pub mod cause;
pub mod checksum;
pub mod error;
pub mod esp;
pub mod ether;
pub mod hsrp;
pub mod icmp;
pub mod id;
pub mod ike;
pub mod ipv4;
pub mod ipv6;
pub mod ospf;
pub mod plane;
pub mod random;
pub mod time;
pub mod transform;
pub mod udp;

pub use addr::{Ipv4Prefix, Mac, Prefix};
pub use cause::Cause;
pub use error::Malformed;
pub use id::{IfIndex, RouterId, Seq, Spi, Tag};
pub use time::{Duration, Instant};
pub use transform::{Cipher, Integrity, Transform};
