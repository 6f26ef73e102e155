//! ISAKMP messages as IKEv1 uses them (RFC 2408, 2407, 2409): the header, the chain of payloads, and what is inside
//! the ones IKEv1 has.
//!
//! [`Header`] and [`Chain`] are checked views: a `Chain` has walked every length before it hands out a payload, so
//! a hostile length is an error there and nowhere else. SA, identification, notification and delete payloads are
//! values that read themselves from a body and write themselves to one. Encryption is not done here: an encrypted
//! message is a header and opaque bytes until the control plane has opened it.

mod body;
mod builder;
mod chain;
mod header;
mod number;
mod sa;
#[cfg(test)]
mod tests;

pub use body::{Delete, IdKind, Identification, Notification, responder_lifetime};
pub use builder::{Builder, whole};
pub use chain::{Chain, MAX_PAYLOADS, Payload};
pub use header::{Cookie, Exchange, Flags, HEADER_LEN, Header};
pub use number::{ExchangeKind, NotifyType, PayloadKind, Protocol, attribute, esp, ipsec, oakley};
pub use sa::{Attribute, Proposal, SaBody, TransformOffer};
