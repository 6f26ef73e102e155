//! What happens to a packet before its body is read: RFC 2328 section 8.2, and the reasons for which packets are not
//! taken.

use std::net::Ipv4Addr;

use espalier_wire::ospf::{ALL_D_ROUTERS, ALL_SPF_ROUTERS, Body, View};
use espalier_wire::{IfIndex, RouterId};

use super::config::NetworkKind;
use super::interface::Interface;
use super::neighbour::NeighbourState;
use super::{Ospf, Trace};

macro_rules! discards {
    ($($variant:ident => $text:literal,)+) => {
        /// Why a packet, or an LSA in it, was not taken. Counted per interface.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "text() says it")]
        pub enum Discard { $($variant,)+ }

        impl Discard {
            /// The reason, in a few words.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

discards! {
    Malformed => "malformed packet",
    NotSpoken => "OSPF is passive or down on the interface",
    Destination => "not addressed to us",
    Source => "the source is not on the interface's network",
    Area => "mismatch of area id",
    OwnRouterId => "duplicate router id",
    Authentication => "mismatch of authentication",
    AuthSequence => "cryptographic sequence number runs backwards",
    Mask => "mismatch of network mask",
    HelloInterval => "mismatch of hello interval",
    DeadInterval => "mismatch of dead interval",
    StubFlag => "mismatch of option E (stub area)",
    NoNeighbour => "from no known neighbour",
    NeighbourState => "not expected in the neighbour's state",
    Mtu => "the neighbour's MTU is bigger",
    LsaChecksum => "wrong LSA checksum",
    LsaType => "unknown LS type",
    LsaMalformed => "malformed LSA",
    LsaTooSoon => "LSA arrived within MinLSArrival",
}

impl Ospf {
    pub(super) fn receive(&mut self, index: IfIndex, src: Ipv4Addr, dst: Ipv4Addr, payload: &[u8]) {
        if let Err(reason) = self.accept(index, src, dst, payload) {
            self.discard(index, src, reason);
        }
    }

    pub(super) fn discard(&mut self, index: IfIndex, src: Ipv4Addr, reason: Discard) {
        if let Some(iface) = self.interfaces.get_mut(&index) {
            *iface.discards.entry(reason).or_default() += 1;
        }
        self.trace(Trace::Discarded { iface: index, src, reason });
    }

    fn accept(
        &mut self,
        index: IfIndex,
        src: Ipv4Addr,
        dst: Ipv4Addr,
        payload: &[u8],
    ) -> Result<(), Discard> {
        let Some(iface) = self.interfaces.get(&index) else { return Ok(()) };
        // Our own multicast come back: not an error, nothing to count.
        if src == iface.address() {
            return Ok(());
        }
        let view = View::new_checked(payload).map_err(|_| Discard::Malformed)?;
        admit(iface, &view, src, dst)?;
        let sequence = view.verify(&iface.config.auth).map_err(|_| Discard::Authentication)?;
        if view.router() == self.config.router_id {
            return Err(Discard::OwnRouterId);
        }
        let packet = view.parse().map_err(|_| Discard::Malformed)?;
        self.check_sequence(index, src, sequence)?;
        match packet.body {
            Body::Hello(hello) => self.receive_hello(index, src, packet.router, sequence, &hello),
            Body::DatabaseDescription(dd) => {
                self.require(index, src, packet.router, NeighbourState::Init)?;
                self.receive_description(index, src, &dd)
            }
            Body::LinkStateRequest(keys) => {
                self.require(index, src, packet.router, NeighbourState::Exchange)?;
                self.receive_request(index, src, &keys);
                Ok(())
            }
            Body::LinkStateUpdate(lsas) => {
                self.require(index, src, packet.router, NeighbourState::Exchange)?;
                self.receive_update(index, src, lsas);
                Ok(())
            }
            Body::LinkStateAck(headers) => {
                self.require(index, src, packet.router, NeighbourState::Exchange)?;
                self.receive_ack(index, src, &headers);
                Ok(())
            }
        }
    }

    /// All but Hellos come from a neighbour (section 8.2), and are taken in some of its states only.
    fn require(
        &self,
        index: IfIndex,
        src: Ipv4Addr,
        id: RouterId,
        at_least: NeighbourState,
    ) -> Result<(), Discard> {
        let neighbour = self.neighbour(index, src).filter(|n| n.id == id).ok_or(Discard::NoNeighbour)?;
        if neighbour.state < at_least { Err(Discard::NeighbourState) } else { Ok(()) }
    }

    /// Section D.5: sequence numbers of one neighbour never run backwards.
    fn check_sequence(
        &mut self,
        index: IfIndex,
        src: Ipv4Addr,
        sequence: Option<u32>,
    ) -> Result<(), Discard> {
        let (Some(sequence), Some(neighbour)) = (sequence, self.neighbour_mut(index, src)) else {
            return Ok(());
        };
        if neighbour.auth_sequence.is_some_and(|last| sequence < last) {
            return Err(Discard::AuthSequence);
        }
        neighbour.auth_sequence = Some(sequence);
        Ok(())
    }
}

/// The checks of section 8.2 that need no authentication.
fn admit(iface: &Interface, view: &View<'_>, src: Ipv4Addr, dst: Ipv4Addr) -> Result<(), Discard> {
    if !iface.speaks() {
        return Err(Discard::NotSpoken);
    }
    let for_designated = dst == ALL_D_ROUTERS && iface.is_designated_or_backup();
    if dst != ALL_SPF_ROUTERS && dst != iface.address() && !for_designated {
        return Err(Discard::Destination);
    }
    if view.area() != iface.config.area {
        return Err(Discard::Area);
    }
    let on_network = iface.config.address.contains(&src);
    if iface.config.network == NetworkKind::Broadcast && !on_network {
        return Err(Discard::Source);
    }
    Ok(())
}
