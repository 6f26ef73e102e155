//! What is known of a run at this moment, folded from its news: rates, states, the last that was said.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use espalier_control::event::{GONE, Mark, StateOf};
use espalier_wire::{IfIndex, Instant, Spi};

use super::{Core, Count, Network, News, Ring, Tally};
use crate::measure::recording::Struck;

/// Seconds that a curve goes back.
pub(super) const MINUTE: usize = 60;
/// Lines that are remembered.
const LINES: usize = 100;
/// A rate is that of the last second.
const WINDOW_NS: u64 = 1_000_000_000;

/// One flow or interface: how many, and how many a second.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// The newest count.
    pub count: Count,
    /// The older ones of the last second, and one before.
    recent: VecDeque<(Instant, [u64; 3])>,
    /// The count at the end of the last whole second, and which that was.
    whole: (u64, u64, u64),
    /// By second, the oldest first, packets drawn and packets lost.
    pub minute: VecDeque<(f64, f64)>,
}

impl Row {
    /// Packets a second, over the last second.
    pub fn rates(&self) -> [f64; 3] {
        let (Some((from, first)), Some((to, last))) = (self.recent.front(), self.recent.back()) else {
            return [0.0; 3];
        };
        let s = (*to - *from).as_s();
        let rate = |(new, old): (&u64, &u64)| if s > 0.0 { new.saturating_sub(*old) as f64 / s } else { 0.0 };
        let mut rates = [0.0; 3];
        for (rate_of, pair) in rates.iter_mut().zip(last.iter().zip(first)) {
            *rate_of = rate(pair);
        }
        rates
    }

    fn count(&mut self, at: Instant, count: &Count) {
        self.recent.push_back((at, count.packets));
        while self.recent.get(1).is_some_and(|(old, _)| old.as_ns() + WINDOW_NS <= at.as_ns()) {
            self.recent.pop_front();
        }
        let [.., lost] = count.packets;
        let (second, drawn_before, lost_before) = self.whole;
        let now = at.as_ns() / WINDOW_NS;
        if now > second {
            // Nobody counted in between: what came is spread over it.
            let passed = (now - second) as f64;
            let each = |new: u64, old: u64| new.saturating_sub(old) as f64 / passed;
            let of_one = (each(count.drawn, drawn_before), each(lost, lost_before));
            let seconds = usize::try_from(now - second).unwrap_or(MINUTE).min(MINUTE);
            self.minute.extend(std::iter::repeat_n(of_one, seconds));
            let old = self.minute.len().saturating_sub(MINUTE);
            self.minute.drain(..old);
            self.whole = (now, count.drawn, lost);
        }
        self.count = count.clone();
    }
}

/// The machines of one router.
#[derive(Debug, Clone, Default)]
pub struct Router {
    /// Whether anything was heard of it since it was last switched off.
    pub on: bool,
    /// By interface and group.
    pub hsrp: BTreeMap<(IfIndex, u16), &'static str>,
    /// By peer and connection.
    pub ike: BTreeMap<(Ipv4Addr, u32), &'static str>,
    /// By our SPI: whose.
    pub sas: BTreeMap<Spi, Ipv4Addr>,
    /// By interface and address.
    pub neighbours: BTreeMap<(IfIndex, Ipv4Addr), &'static str>,
}

impl Router {
    fn hear(&mut self, mark: Mark) {
        self.on = true;
        match mark {
            Mark::State { of: StateOf::Hsrp { iface, group }, state } => {
                put(&mut self.hsrp, (iface, group), state);
            }
            Mark::State { of: StateOf::Isakmp { connection, peer }, state } => {
                put(&mut self.ike, (peer, connection), state);
            }
            Mark::State { of: StateOf::Neighbour { iface, addr }, state } => {
                put(&mut self.neighbours, (iface, addr), state);
            }
            Mark::SaUp { peer, inbound, .. } => {
                self.sas.insert(inbound, peer);
            }
            Mark::SaDown { inbound, .. } => {
                self.sas.remove(&inbound);
            }
            _ => {}
        }
    }

    /// Of each peer, what `show crypto session` calls it and how many pairs of SAs it has.
    pub fn sessions(&self) -> BTreeMap<Ipv4Addr, (&'static str, usize)> {
        let peers = self.ike.keys().map(|(peer, _)| *peer).chain(self.sas.values().copied());
        let session = |peer: Ipv4Addr| {
            let pairs = self.sas.values().filter(|of| **of == peer).count();
            let mut phase1 = self.ike.iter().filter(|((of, _), _)| *of == peer).map(|(_, state)| *state);
            let known = self.ike.keys().any(|(of, _)| *of == peer);
            let word = match (pairs > 0, phase1.any(|state| state == "QM_IDLE"), known) {
                (true, true, _) => "UP-ACTIVE",
                (true, false, _) => "UP-NO-IKE",
                (false, true, _) => "UP-IDLE",
                (false, false, true) => "DOWN-NEGOTIATING",
                (false, false, false) => "DOWN",
            };
            (peer, (word, pairs))
        };
        peers.map(session).collect()
    }
}

fn put<K: Ord>(states: &mut BTreeMap<K, &'static str>, key: K, state: &'static str) {
    if state == GONE {
        states.remove(&key);
    } else {
        states.insert(key, state);
    }
}

/// Something that was said, or struck.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "names say it")]
pub struct Line {
    pub at: Instant,
    /// The router; of a fault nobody.
    pub node: Option<String>,
    pub text: String,
}

/// A run at this moment.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// What is run.
    pub network: Network,
    /// What time it is.
    pub at: Instant,
    /// In the order in which they were first counted.
    pub rows: Vec<Row>,
    /// As [`Network::routers`].
    pub routers: Vec<Router>,
    /// As last counted.
    pub rings: Vec<Ring>,
    /// Likewise.
    pub cores: Vec<Core>,
    /// The last, the newest at the end.
    pub lines: VecDeque<Line>,
}

impl Status {
    /// Of a run that has not begun.
    pub fn new(network: Network) -> Self {
        let routers = vec![Router::default(); network.routers.len()];
        Self { network, routers, ..Self::default() }
    }

    /// Take in what is told.
    pub fn hear(&mut self, news: News) {
        match news {
            News::Tally(tally) => self.count(tally),
            News::Over => {}
            News::Struck(struck) => self.strike(&struck),
            News::Said(at, node, event) => {
                if let (Some(router), Some(mark)) = (self.routers.get_mut(node), event.mark) {
                    router.hear(mark);
                }
                if event.level != espalier_control::event::Level::Debug {
                    let node = self.network.routers.get(node).map(|name| name.name.clone());
                    self.line(Line { at, node, text: event.text });
                }
            }
        }
    }

    fn line(&mut self, line: Line) {
        self.at = self.at.max(line.at);
        self.lines.push_back(line);
        if self.lines.len() > LINES {
            self.lines.pop_front();
        }
    }

    fn strike(&mut self, struck: &Struck) {
        if matches!(struck.action, "crash" | "reload")
            && let Some(router) = self.routers.get_mut(usize::from(struck.node.0))
        {
            *router = Router::default();
        }
        let text = format!("{} {}", struck.action, struck.target);
        self.line(Line { at: struck.at, node: None, text });
    }

    fn count(&mut self, tally: Tally) {
        self.at = self.at.max(tally.at);
        for count in &tally.counts {
            let at = self.rows.iter().position(|row| row.count.name == count.name);
            let at = at.unwrap_or_else(|| {
                // Its curve begins now.
                let whole = (tally.at.as_ns() / WINDOW_NS, 0, 0);
                self.rows.push(Row { whole, ..Row::default() });
                self.rows.len() - 1
            });
            if let Some(row) = self.rows.get_mut(at) {
                row.count(tally.at, count);
            }
        }
        (self.rings, self.cores) = (tally.rings, tally.cores);
    }
}
