//! The network drawn from left to right: routers as boxes, segments as bars, in the order in which the traffic meets
//! them, with what struck where.

use std::collections::BTreeMap;

use super::super::given::{Failover, Interface};
use super::super::markup::{Escaped, put};
use super::timeline::short;

const BOX: f64 = 118.0;
const BAR: f64 = 10.0;
const BETWEEN: f64 = 84.0;
const ROW: f64 = 92.0;
const BOX_HEIGHT: f64 = 44.0;
const TOP: f64 = 34.0;

/// A router or a segment by its place in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Router(usize),
    Segment(usize),
}

struct Edge<'a> {
    router: usize,
    segment: usize,
    interface: &'a str,
}

fn edges(run: &Failover) -> Vec<Edge<'_>> {
    let router = |name: &str| run.topology.routers.iter().position(|r| r.name == name);
    let mut edges = Vec::new();
    for (segment, s) in run.topology.segments.iter().enumerate() {
        for end in &s.attached {
            // An interface's name holds no colon; a router's might.
            if let Some((name, interface)) = end.rsplit_once(':')
                && let Some(router) = router(name)
            {
                edges.push(Edge { router, segment, interface });
            }
        }
    }
    edges
}

/// By distance from where the first traffic begins; what is not reached comes last.
fn columns(run: &Failover, edges: &[Edge<'_>]) -> Vec<Vec<Thing>> {
    let begin = run.topology.paths.first().and_then(|p| p.from.rsplit_once(':'));
    let first = begin.and_then(|(name, _)| run.topology.routers.iter().position(|r| r.name == name));
    let mut depth: BTreeMap<Thing, usize> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([(Thing::Router(first.unwrap_or(0)), 0)]);
    while let Some((thing, far)) = queue.pop_front() {
        if depth.contains_key(&thing) {
            continue;
        }
        depth.insert(thing, far);
        for e in edges {
            match thing {
                Thing::Router(r) if r == e.router => queue.push_back((Thing::Segment(e.segment), far + 1)),
                Thing::Segment(s) if s == e.segment => queue.push_back((Thing::Router(e.router), far + 1)),
                _ => {}
            }
        }
    }
    let routers = (0..run.topology.routers.len()).map(Thing::Router);
    let segments = (0..run.topology.segments.len()).map(Thing::Segment);
    let deepest = depth.values().max().copied().unwrap_or(0);
    // Routers stand in even columns and segments in odd ones: what hangs together alternates by itself.
    let last = deepest + 2 + deepest % 2;
    let mut columns: Vec<Vec<Thing>> = Vec::new();
    for thing in routers.chain(segments) {
        let otherwise = if matches!(thing, Thing::Router(_)) { last } else { last + 1 };
        let at = depth.get(&thing).copied().unwrap_or(otherwise);
        while columns.len() <= at {
            columns.push(Vec::new());
        }
        columns[at].push(thing);
    }
    columns
}

struct Placed {
    /// Left edge and middle, by thing.
    at: BTreeMap<Thing, (f64, f64)>,
    width: f64,
    height: f64,
}

fn place(columns: &[Vec<Thing>]) -> Placed {
    let rows = columns.iter().map(Vec::len).max().unwrap_or(1).max(1);
    let height = TOP + rows as f64 * ROW + 26.0;
    let (mut x, mut at) = (8.0, BTreeMap::new());
    for column in columns.iter().filter(|c| !c.is_empty()) {
        let wide = if matches!(column[0], Thing::Router(_)) { BOX } else { BAR };
        let used = column.len() as f64 * ROW;
        let top = TOP + (rows as f64 * ROW - used) / 2.0;
        for (i, thing) in column.iter().enumerate() {
            at.insert(*thing, (x, top + (i as f64 + 0.5) * ROW));
        }
        x += wide + BETWEEN;
    }
    Placed { at, width: (x - BETWEEN + 8.0).max(320.0), height }
}

fn interface<'a>(run: &'a Failover, edge: &Edge<'_>) -> Option<&'a Interface> {
    run.topology.routers.get(edge.router)?.interfaces.iter().find(|i| i.name == edge.interface)
}

fn abbreviated(interface: &str) -> String {
    for (long, brief) in [
        ("FastEthernet", "Fa"),
        ("GigabitEthernet", "Gi"),
        ("TenGigabitEthernet", "Te"),
        ("Ethernet", "Et"),
        ("Loopback", "Lo"),
    ] {
        if let Some(rest) = interface.strip_prefix(long) {
            return format!("{brief}{rest}");
        }
    }
    interface.to_owned()
}

/// The numbers of the faults that struck `target`.
fn struck(run: &Failover, target: &str) -> Vec<usize> {
    run.faults.iter().enumerate().filter(|(_, f)| f.target == target).map(|(i, _)| i + 1).collect()
}

fn mark(out: &mut String, x: f64, y: f64, numbers: &[usize]) {
    for (i, n) in numbers.iter().take(4).enumerate() {
        let x = x + i as f64 * 17.0;
        put!(
            out,
            "<g class=\"fault\"><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"7.5\"/><text x=\"{x:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\">{n}</text></g>",
            y + 3.5
        );
    }
}

/// One wire: from a router's box to a segment's bar.
fn wire(out: &mut String, run: &Failover, placed: &Placed, edge: &Edge<'_>) {
    let (Some(router), Some(segment)) = (
        placed.at.get(&Thing::Router(edge.router)).copied(),
        placed.at.get(&Thing::Segment(edge.segment)).copied(),
    ) else {
        return;
    };
    let right = segment.0 > router.0;
    let x1 = if right { router.0 + BOX } else { router.0 };
    let x2 = if right { segment.0 } else { segment.0 + BAR };
    let (y, middle) = (router.1, f64::midpoint(x1, x2));
    put!(out, "<line class=\"wire\" x1=\"{x1:.1}\" y1=\"{y:.1}\" x2=\"{x2:.1}\" y2=\"{y:.1}\"/>");
    put!(
        out,
        "<text class=\"port\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        y - 5.0,
        Escaped(abbreviated(edge.interface))
    );
    if let Some(address) = interface(run, edge).and_then(|i| i.address.as_deref()) {
        let bare = address.split('/').next().unwrap_or(address);
        put!(
            out,
            "<text class=\"address\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}<title>{}</title></text>",
            y + 12.0,
            Escaped(bare),
            Escaped(address)
        );
    }
    let name = run.topology.routers.get(edge.router).map_or("", |r| r.name.as_str());
    let numbers = struck(run, &format!("{name}:{}", edge.interface));
    mark(out, middle - (numbers.len() as f64 - 1.0) * 8.5, y - 22.0, &numbers);
}

fn bar(out: &mut String, run: &Failover, edges: &[Edge<'_>], placed: &Placed, segment: usize) {
    let (Some((x, middle)), Some(s)) =
        (placed.at.get(&Thing::Segment(segment)).copied(), run.topology.segments.get(segment))
    else {
        return;
    };
    let own = || edges.iter().filter(|e| e.segment == segment);
    let ys: Vec<f64> =
        own().filter_map(|e| placed.at.get(&Thing::Router(e.router))).map(|p| p.1).chain([middle]).collect();
    let (top, bottom) = ys.iter().fold((f64::MAX, f64::MIN), |(a, b), y| (a.min(*y), b.max(*y)));
    let (top, bottom) = (top - 24.0, bottom + 24.0);
    put!(
        out,
        "<rect class=\"segment\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{BAR}\" height=\"{:.1}\" rx=\"5\"/>\
         <text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        bottom - top,
        x + BAR / 2.0,
        top - 7.0,
        Escaped(short(&s.name, 16))
    );
    mark(out, x + BAR / 2.0, top + 12.0, &struck(run, &s.name));
    let mut virtuals: Vec<&String> =
        own().filter_map(|e| interface(run, e)).flat_map(|i| &i.virtual_addresses).collect();
    virtuals.sort();
    virtuals.dedup();
    for (i, address) in virtuals.iter().take(3).enumerate() {
        put!(
            out,
            "<text class=\"virtual\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} virtual</text>",
            x + BAR / 2.0,
            bottom + 13.0 + i as f64 * 11.0,
            Escaped(address)
        );
    }
}

/// The drawing; nothing where the document has no topology.
pub(super) fn draw(run: &Failover) -> String {
    if run.topology.routers.is_empty() {
        return String::new();
    }
    let edges = edges(run);
    let placed = place(&columns(run, &edges));
    let mut out = String::new();
    put!(
        out,
        "<svg class=\"topology\" viewBox=\"0 0 {:.0} {:.0}\" style=\"max-width:{:.0}px\" role=\"img\" \
         aria-label=\"The network\">",
        placed.width,
        placed.height,
        placed.width * 1.15
    );
    edges.iter().for_each(|e| wire(&mut out, run, &placed, e));
    (0..run.topology.segments.len()).for_each(|s| bar(&mut out, run, &edges, &placed, s));
    for (i, router) in run.topology.routers.iter().enumerate() {
        let Some((x, y)) = placed.at.get(&Thing::Router(i)).copied() else { continue };
        let top = y - BOX_HEIGHT / 2.0;
        let ends = run.topology.paths.iter().any(|p| {
            [&p.from, &p.to].into_iter().any(|e| e.rsplit_once(':').is_some_and(|(n, _)| n == router.name))
        });
        let class = if ends { "box end" } else { "box" };
        put!(
            out,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{BOX}\" height=\"{BOX_HEIGHT}\" rx=\"7\"/>\
             <text class=\"host\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}<title>{}</title></text>",
            x + BOX / 2.0,
            y + if ends { -1.0 } else { 4.5 },
            Escaped(short(&router.name, 15)),
            Escaped(&router.name)
        );
        if ends {
            put!(
                out,
                "<text class=\"role\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">traffic</text>",
                x + BOX / 2.0,
                y + 13.0
            );
        }
        mark(&mut out, x + BOX - 4.0, top, &struck(run, &router.name));
    }
    out.push_str("</svg>");
    out
}
