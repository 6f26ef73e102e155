//! The exits: whatever goes into a worker comes out of it by exactly one of these.

use espalier_wire::plane::Notice;
use espalier_wire::{Cause, IfIndex};

use crate::frame::Frame;

/// What a stage decides about one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// On to the next stage, or out.
    Forward,
    /// To the control plane of this node.
    Punt(Why),
    /// Lost.
    Drop(Cause),
}

/// Why a packet is handed to the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// An ARP packet; the frame begins with it, behind the Ethernet header.
    Arp,
    /// An IP packet for one of the node's own addresses.
    Local,
    /// An IP packet for a multicast or broadcast address.
    Multicast,
    /// IKE behind RFC 3948's non-ESP marker: an IP packet, the marker still in it.
    Ike,
    /// An RFC 3948 keepalive: an IP packet, to be ignored.
    Keepalive,
}

/// A packet for the control plane.
#[derive(Debug)]
pub struct Punt {
    /// Where it arrived.
    pub iface: IfIndex,
    /// The packet from its IP header on (ARP: from the ARP packet on).
    pub frame: Frame,
    /// Why.
    pub why: Why,
}

/// A lost packet, its tag still on it.
#[derive(Debug)]
pub struct Dropped {
    /// As it was when it was lost, whole or not.
    pub frame: Frame,
    /// Why.
    pub cause: Cause,
}

/// What a worker puts out. The caller empties it (and puts the frames back into a pool) and gives it again.
#[derive(Debug, Default)]
pub struct Output {
    /// Ethernet frames to send, in order.
    pub transmit: Vec<(IfIndex, Frame)>,
    /// Packets for the control plane.
    pub punts: Vec<Punt>,
    /// Lost packets.
    pub drops: Vec<Dropped>,
    /// Events for the control plane.
    pub notices: Vec<Notice>,
}

impl Output {
    /// Put what `later` holds behind what is there.
    pub fn append(&mut self, mut later: Self) {
        self.transmit.append(&mut later.transmit);
        self.punts.append(&mut later.punts);
        self.drops.append(&mut later.drops);
        self.notices.append(&mut later.notices);
    }
}
