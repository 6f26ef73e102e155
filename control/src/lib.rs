//! The protocols as pure state machines: `(now, event) -> actions`.
#![forbid(unsafe_code)]

pub mod arp;
pub mod crypto_map;
pub mod event;
pub mod host;
pub mod hsrp;
pub mod ike;
pub mod ios;
pub mod machine;
pub mod ospf;
pub mod profile;
pub mod rib;
pub mod router;
pub mod rri;
pub mod spelling;
pub mod track;

pub use machine::Machine;
