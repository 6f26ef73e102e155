//! The machines' typed talk as one stream of events, in IOS's words.

use espalier_wire::IfIndex;

use super::{Cx, Names, Output, Router};
use crate::event::{Event, GONE, Level, Mark, Source, StateOf};
use crate::hsrp::trace::Class;
use crate::ospf::{NeighbourEvent, NeighbourState};
use crate::{arp, hsrp, ike, ospf};

impl Router {
    pub(super) fn say(
        &self,
        cx: &mut Cx<'_>,
        source: Source,
        level: Level,
        text: String,
        mark: Option<Mark>,
    ) {
        cx.out.push(Output::Event(Event { source, level, text, mark }));
    }

    pub(super) fn name(&self, iface: IfIndex) -> String {
        use crate::spelling::InterfaceNames as _;
        Names(&self.config).long(iface)
    }

    pub(super) fn log_hsrp(&self, cx: &mut Cx<'_>, trace: &hsrp::Trace) {
        let level = match trace.class() {
            Class::Syslog => Level::Syslog,
            Class::Event => Level::Debug,
            // Every Hello twice: the captures have them.
            Class::Packet => return,
        };
        let mark = match (&trace.what, trace.group) {
            (hsrp::trace::What::State { to, .. }, Some(group)) => {
                let of = StateOf::Hsrp { iface: trace.iface, group };
                Some(Mark::State { of, state: hsrp::trace::word(*to) })
            }
            _ => None,
        };
        self.say(cx, Source::Hsrp, level, trace.line(&Names(&self.config), false), mark);
    }

    pub(super) fn log_arp(&self, cx: &mut Cx<'_>, trace: &arp::text::Trace) {
        let level = match trace.what {
            arp::text::What::Duplicate { .. } => Level::Syslog,
            arp::text::What::Sent(_)
            | arp::text::What::Received(_)
            | arp::text::What::Incomplete(_)
            | arp::text::What::Failed(_) => Level::Debug,
        };
        self.say(cx, Source::Arp, level, trace.line(&Names(&self.config)), None);
    }

    pub(super) fn log_ike(&self, cx: &mut Cx<'_>, trace: &ike::Trace) {
        let (source, level) = match trace.source() {
            ike::trace::Source::Isakmp => (Source::Ike, Level::Debug),
            ike::trace::Source::Ipsec => (Source::Ipsec, Level::Debug),
            ike::trace::Source::Log => (Source::Ike, Level::Syslog),
            ike::trace::Source::Key => {
                if let ike::Trace::Key { initiator, key } = trace {
                    let key = key.bytes().to_vec();
                    cx.out.push(Output::IkeKey { initiator: initiator.0, key });
                }
                return;
            }
        };
        let mut mark = ike_mark(trace);
        for line in trace.lines() {
            self.say(cx, source, level, line, mark.take());
        }
    }

    pub(super) fn log_ospf(&self, cx: &mut Cx<'_>, trace: &ospf::Trace) {
        let Some(process) = &self.process else { return };
        let name = |iface: IfIndex| self.name(iface);
        let logged = self.config.ospf.get(&process.number).and_then(|o| o.log_adjacency_changes);
        if let Some(line) = trace.syslog(process.number, name).filter(|_| logged.unwrap_or(true)) {
            self.say(cx, Source::Ospf, Level::Syslog, line, None);
        }
        let mark = match trace {
            ospf::Trace::Spf { .. } => Some(Mark::Spf),
            ospf::Trace::Neighbour { addr, to, event: NeighbourEvent::InactivityTimer, .. }
                if *to == NeighbourState::Down =>
            {
                Some(Mark::NeighbourDead { addr: *addr })
            }
            _ => None,
        };
        self.say(cx, Source::Ospf, Level::Debug, trace.debug(name), mark);
        if let ospf::Trace::Neighbour { iface, addr, to, .. } = trace {
            let state = if *to == NeighbourState::Down { GONE } else { to.ios() };
            let of = StateOf::Neighbour { iface: *iface, addr: *addr };
            let text = format!("OSPF: Nbr {addr} is {}", to.ios());
            self.say(cx, Source::Ospf, Level::Report, text, Some(Mark::State { of, state }));
        }
    }
}

/// What IKE's talk means: a phase 1 that stands, moves on, or goes.
fn ike_mark(trace: &ike::Trace) -> Option<Mark> {
    use ike::MainMode;
    use ike::trace::Isakmp;
    let ike::Trace::Isakmp { id, what } = trace else { return None };
    let state = |peer: &std::net::Ipv4Addr, state| {
        let of = StateOf::Isakmp { connection: id.0, peer: *peer };
        Some(Mark::State { of, state })
    };
    match what {
        Isakmp::Authenticated { peer } => Some(Mark::IkeUp { peer: *peer }),
        Isakmp::Sending { peer, state: Some(new @ MainMode::SaSent), .. } => state(peer, new.ios()),
        Isakmp::State { peer, new, .. } => state(peer, new.ios()),
        Isakmp::DeletingSa { peer, .. } => state(peer, GONE),
        _ => None,
    }
}
