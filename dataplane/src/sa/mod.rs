//! Security associations as the dataplane holds them. Direction is a type: what seals and what opens share little.
//!
//! An SA belongs to one worker, which alone touches its sequence number, its window and its counters.

mod inbound;
mod iv;
mod lifetime;
mod outbound;
mod shape;
mod table;
mod template;
mod window;

pub use inbound::Inbound;
pub use iv::IvSource;
pub use lifetime::{Life, Meter, Reached};
pub use outbound::Outbound;
pub use shape::Shape;
pub use table::{InboundRef, SaTable};
pub use template::{Outer, Template};
pub use window::{WINDOW_MAX, Window};

use espalier_wire::Spi;

use crate::crypto::KeyError;

/// An SA that cannot be installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SaError {
    /// Its keys do not fit its transform, or the engine does not know it.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// SPI 0 never stands on the wire (RFC 4303 section 2.1).
    #[error("SPI 0 is reserved for local use")]
    ZeroSpi,
    /// Outer addresses of two families.
    #[error("SA {0}: outer source and destination are not of one family")]
    Family(Spi),
    /// A window larger than there can be.
    #[error("SA {spi}: a replay window of {size} packets, more than {WINDOW_MAX}")]
    Window {
        /// The SA.
        spi: Spi,
        /// The window asked for.
        size: u32,
    },
}
