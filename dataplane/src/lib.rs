//! ESP on cores: the packet pipeline, its security associations, its crypto engines.
//!
//! START HERE. A [`worker::Worker`] is the dataplane of one core. It has no clock, no thread and no port: whoever
//! drives it gives it the time, commands and frames, and takes what it puts out.
//!
//! ```text
//!  frames --> punt::link --> arrive --+--> ours --> locate --> [reassemble] --> decap::prepare --> crypt --> decap::finish --+
//!             (MAC, type)    |        |                 \--> punt: ARP, IKE, local, groups        (engine)                   |
//!                            |        +--> transit --> forward::take_hop --+                                                 |
//!                            ^---------------------------------------------|------- what was inside arrives again -----------+
//!  packets born here ------------------------------------------------------+--> depart
//!
//!  depart --> route --> policy --+--> clear --------------------------------------------------------------+--> send
//!                                +--> encap::fit --> [fragment] --> encap::prepare --> crypt --> finish --+   route, MTU,
//!                                +--> no SA: wait, or lost, and NeedSa                 (engine)               neighbour, link
//! ```
//!
//! A packet's life, outbound. `receive` is given a batch. Each frame's link header is looked at
//! ([`stage::punt`]) and its IP headers are read once ([`stage::classify`]). A packet in transit loses a hop
//! ([`stage::forward`]), finds its route ([`fib`]) and its rule ([`policy`]): an SA, the clear, or the end. For an SA,
//! [`stage::encap`] gives it a sequence number and writes all but ciphertext and ICV around it: headers into the
//! frame's headroom, padding and ICV into its tailroom; the packet itself does not move ([`frame`]). When the batch is
//! through, the engine seals it whole ([`stage::crypt`], [`crypto`]), and the outer packets are routed and sent.
//!
//! Inbound, the SPI finds the SA ([`sa::SaTable`]) and the window has a first look ([`sa::Window`]); the engine opens
//! the batch; only then the window moves, the trailer is read, ECN is combined ([`stage::ecn`]), the selector is
//! compared ([`stage::decap`]), and the inner packet goes on like any that arrives.
//!
//! Most packets need no decision: their flow was asked about before, and nothing was commanded since. They take the
//! express way, batch by batch through five stages (express/mod.rs draws them), and the rest of this picture is the long
//! way, which express packets repeat and never change.
//!
//! Whatever goes in comes out once: sent, punted, or dropped with its [`Cause`](espalier_wire::Cause) and its tag
//! ([`fate`]); or it is held, for an SA or for the rest of its fragments, and [`worker::Worker::held`] counts it.
//!
//! An SA belongs to one worker: no lock, no atomic. What another core may help with is `crypt` alone, which needs
//! frames, plans and keys: a [`worker::Helper`] does it for its owner. [`host`] is the same pipeline without links and routes: IP packets in, IP packets out.
//!
//! Where to look: the order of the stages in [`pipeline`], one verb a file in [`stage`], what is kept in [`sa`],
//! [`policy`], [`fib`] and [`mem`]. On the path of a packet nothing allocates, locks, logs or reads a clock
//! (tests/allocation.rs holds the first).
#![deny(unsafe_code)]

pub mod batch;
pub mod crypto;
mod express;
pub mod fate;
pub mod fib;
pub mod frame;
pub mod hash;
pub mod host;
pub mod lifetimes;
pub mod mem;
pub mod pipeline;
pub mod policy;
mod router;
pub mod sa;
pub mod stage;
#[cfg(test)]
mod testing;
pub mod watch;
pub mod worker;
