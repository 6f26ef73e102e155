//! The shared time axis: what was delivered and lost of each flow over time, and below it the swimlanes of every
//! machine. Drawn once for the whole run, where the page's script zooms, and once around each fault.

use super::super::given::{Failover, Flow, Lane, Span, Stretch};
use super::super::markup::{Escaped, put, rate, seconds};
use super::super::scale::{Linear, step};

/// Places in the drawing, in its own units.
const WIDTH: f64 = 1080.0;
const LEFT: f64 = 178.0;
const RIGHT: f64 = WIDTH - 18.0;
const FLOW_HEIGHT: f64 = 46.0;
const FLOW_GAP: f64 = 10.0;
const LANE_HEIGHT: f64 = 15.0;
const TOP: f64 = 26.0;
/// A text needs about this much for a character.
const CHARACTER: f64 = 5.6;
/// What is drawn of one lane at most; a machine that flaps more is summed up.
const MOST_SPANS: usize = 2000;

/// What is drawn, and how.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Window {
    pub(in super::super) from: f64,
    pub(in super::super) to: f64,
    /// Zoomable by the page's script.
    pub(in super::super) live: bool,
}

struct Drawing<'a> {
    run: &'a Failover,
    axis: Linear,
    window: Window,
    out: String,
    y: f64,
}

/// The drawing of one window.
pub(in super::super) fn draw(run: &Failover, window: Window) -> String {
    let axis = Linear { from: window.from, to: window.to, start: LEFT, end: RIGHT };
    let mut drawing = Drawing { run, axis, window, out: String::new(), y: TOP };
    drawing.flows();
    drawing.lanes();
    drawing.finish()
}

impl Drawing<'_> {
    fn within(&self, from: f64, to: f64) -> bool {
        to >= self.window.from && from <= self.window.to
    }

    fn flows(&mut self) {
        let run = self.run;
        for (i, flow) in run.flows.iter().enumerate() {
            let top = self.y;
            let bottom = top + FLOW_HEIGHT;
            let most = peak(flow, self.window).max(1.0);
            let y = Linear { from: 0.0, to: most, start: bottom, end: top };
            self.label(&flow.name, bottom - FLOW_HEIGHT / 2.0 + 3.5, "flow");
            put!(
                self.out,
                "<line class=\"base\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{bottom}\" y2=\"{bottom}\"/>"
            );
            put!(
                self.out,
                "<text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 4.0,
                top + 8.0,
                Escaped(rate(most))
            );
            put!(self.out, "<g class=\"moves\">");
            self.area(flow, y, "delivered", |s, i| (0.0, f64::from(s.delivered[i])));
            self.area(flow, y, "lost", |s, i| {
                let (d, l) = (f64::from(s.delivered[i]), f64::from(s.lost[i]));
                if l > 0.0 { (d, d + l) } else { (0.0, 0.0) }
            });
            self.out.push_str("</g>");
            self.outages(i, flow, top);
            self.y = bottom + FLOW_GAP;
        }
    }

    /// One colour of a flow: a band from the lower to the upper of two values, bin by bin.
    fn area(&mut self, flow: &Flow, y: Linear, class: &str, band: impl Fn(&Stretch, usize) -> (f64, f64)) {
        let mut steps: Vec<[f64; 4]> = Vec::new();
        for stretch in flow.series.iter().filter(|s| s.bin_s > 0.0) {
            for bin in 0..stretch.delivered.len().min(stretch.lost.len()) {
                let from = stretch.from_s + bin as f64 * stretch.bin_s;
                let to = from + stretch.bin_s;
                if !self.within(from, to) {
                    continue;
                }
                let (low, high) = band(stretch, bin);
                let (low, high) = (y.clamped(low / stretch.bin_s), y.clamped(high / stretch.bin_s));
                let (from, to) = (self.axis.clamped(from), self.axis.clamped(to));
                match steps.last_mut() {
                    // Bins alike are one step of the outline.
                    Some([_, end, l, h]) if (*l - low).abs() < 0.05 && (*h - high).abs() < 0.05 => *end = to,
                    _ => steps.push([from, to, low, high]),
                }
            }
        }
        // A band of no height would still be a line.
        let flat = |s: &[f64; 4]| (s[2] - s[3]).abs() < 0.05;
        put!(self.out, "<path class=\"{class}\" d=\"");
        for band in steps.split(flat).filter(|band| !band.is_empty()) {
            put!(self.out, "M{:.3} {:.1}", band[0][0], band[0][2]);
            for [from, to, _, high] in band {
                put!(self.out, "L{from:.3} {high:.1}H{to:.3}");
            }
            for [from, to, low, _] in band.iter().rev() {
                put!(self.out, "L{to:.3} {low:.1}H{from:.3}");
            }
            self.out.push('Z');
        }
        self.out.push_str("\"/>");
    }

    /// Each outage as a link to where its packets went.
    fn outages(&mut self, number: usize, flow: &Flow, top: f64) {
        for (n, o) in flow.outages.iter().enumerate() {
            let end = o.end_s.unwrap_or(self.run.duration_s);
            if !self.within(o.start_s, end) {
                continue;
            }
            let (from, to) = (self.axis.clamped(o.start_s), self.axis.clamped(end));
            let wide = (to - from).max(3.0);
            let took = o.tbm_s.map_or_else(|| "never recovered".to_owned(), seconds);
            put!(
                self.out,
                "<a href=\"#outage-{number}-{n}\"><rect class=\"outage\" x=\"{from:.2}\" y=\"{top:.1}\" \
                 width=\"{wide:.2}\" height=\"{FLOW_HEIGHT}\" data-a=\"{}\" data-b=\"{end}\"><title>{}: {} lost, {} \
                 (click: where and why)</title></rect></a>",
                o.start_s,
                Escaped(&flow.name),
                o.lost,
                Escaped(took)
            );
        }
    }

    fn label(&mut self, text: &str, y: f64, class: &str) {
        let room = ((LEFT - 44.0) / CHARACTER) as usize;
        put!(self.out, "<text class=\"label {class}\" x=\"4\" y=\"{y:.1}\">{}", Escaped(short(text, room)));
        put!(self.out, "<title>{}</title></text>", Escaped(text));
    }

    fn lanes(&mut self) {
        let run = self.run;
        let mut node = "";
        let window = self.window;
        for lane in run.lanes.iter().filter(|l| matters(run, l, window)) {
            if lane.node != node {
                node = &lane.node;
                self.y += 6.0;
                put!(
                    self.out,
                    "<text class=\"router\" x=\"4\" y=\"{:.1}\">{}</text><line class=\"base\" x1=\"4\" \
                     x2=\"{RIGHT}\" y1=\"{2:.1}\" y2=\"{2:.1}\"/>",
                    self.y + 11.0,
                    Escaped(node),
                    self.y + 15.0
                );
                self.y += 18.0;
            }
            self.lane(lane);
        }
    }

    fn lane(&mut self, lane: &Lane) {
        let rows = rows(lane);
        let count = rows.iter().map(|r| r + 1).max().unwrap_or(1);
        let height = if count > 1 { 11.0 } else { LANE_HEIGHT - 2.0 };
        let name = match (lane.machine.as_str(), lane.name.as_str()) {
            ("spf", _) => "SPF runs".to_owned(),
            ("power", _) => "power".to_owned(),
            (machine, name) => format!("{} {}", word(machine), name.replace("FastEthernet", "Fa")),
        };
        self.label(&name, self.y + height - 2.5, "");
        self.out.push_str("<g class=\"moves\">");
        for (span, row) in lane.spans.iter().zip(&rows).take(MOST_SPANS) {
            let end = span.end_s.unwrap_or(self.run.duration_s);
            if self.within(span.start_s, end) {
                self.span(lane, span, self.y + *row as f64 * (height + 1.0), height);
            }
        }
        self.out.push_str("</g>");
        self.y += count as f64 * (height + 1.0) + 2.0;
    }

    fn span(&mut self, lane: &Lane, span: &Span, y: f64, height: f64) {
        let end = span.end_s.unwrap_or(self.run.duration_s);
        let (from, to) = (self.axis.clamped(span.start_s), self.axis.clamped(end));
        let least = if lane.machine == "spf" { 2.0 } else { 0.7 };
        let wide = (to - from).max(least);
        let took = seconds(end - span.start_s);
        let until = span.end_s.map_or_else(|| "the end".to_owned(), |e| format!("{e:.6} s"));
        put!(
            self.out,
            "<rect class=\"span {}\" x=\"{from:.2}\" y=\"{y:.1}\" width=\"{wide:.2}\" height=\"{height}\" rx=\"2\" \
             data-a=\"{}\" data-b=\"{end}\"><title>{} {} {}: {} from {:.6} s to {until} ({took})</title></rect>",
            class(lane, span),
            span.start_s,
            Escaped(&lane.node),
            Escaped(word(&lane.machine)),
            Escaped(&lane.name),
            Escaped(&span.state),
            span.start_s
        );
        let text = &span.state;
        if wide > text.chars().count() as f64 * CHARACTER + 6.0 {
            let y = y + height - 2.8;
            put!(
                self.out,
                "<text class=\"in\" x=\"{:.2}\" y=\"{y:.1}\">{}</text>",
                from + 4.0,
                Escaped(text)
            );
        }
    }

    fn faults(&self, bottom: f64) -> String {
        let mut out = String::new();
        for (i, fault) in self.run.faults.iter().enumerate().filter(|(_, f)| self.within(f.at_s, f.at_s)) {
            let x = self.axis.at(fault.at_s);
            put!(
                out,
                "<g class=\"fault\" data-at=\"{}\"><line x1=\"{x:.2}\" x2=\"{x:.2}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>\
                 <circle cx=\"{x:.2}\" cy=\"13\" r=\"7.5\"/><text x=\"{x:.2}\" y=\"16.5\" \
                 text-anchor=\"middle\">{}</text><title>{} {} at {:.6} s</title></g>",
                fault.at_s,
                TOP - 6.0,
                i + 1,
                Escaped(&fault.action),
                Escaped(&fault.target),
                fault.at_s
            );
        }
        out
    }

    fn finish(self) -> String {
        let (bottom, height) = (self.y + 4.0, self.y + 30.0);
        let mut ticks = String::new();
        let every = step((self.window.to - self.window.from) / 8.0);
        let decimals = (-every.log10().floor()).clamp(0.0, 9.0) as usize;
        for t in self.axis.ticks(8) {
            let x = self.axis.at(t);
            put!(
                ticks,
                "<line class=\"grid\" x1=\"{x:.2}\" x2=\"{x:.2}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/><text class=\"tick\" \
                 x=\"{x:.2}\" y=\"{:.1}\" text-anchor=\"middle\">{t:.decimals$} s</text>",
                bottom + 14.0
            );
        }
        let (live, from, to) =
            (if self.window.live { " live" } else { "" }, self.window.from, self.window.to);
        let mut out = String::new();
        put!(
            out,
            "<svg class=\"timeline{live}\" viewBox=\"0 0 {WIDTH} {height:.0}\" data-from=\"{from}\" data-to=\"{to}\" \
             data-left=\"{LEFT}\" data-right=\"{RIGHT}\" data-top=\"{TOP}\" data-bottom=\"{bottom:.1}\" role=\"img\" \
             aria-label=\"Delivered and lost packets and the states of all machines, {from:.3} s to {to:.3} s\">\
             <g class=\"axis\">{ticks}</g>"
        );
        // What moves under zoom is cut off at the axis's ends.
        let id = format!(
            "cut-{}",
            if self.window.live { "all".to_owned() } else { format!("{}", from.to_bits()) }
        );
        put!(
            out,
            "<clipPath id=\"{id}\"><rect x=\"0\" y=\"0\" width=\"{RIGHT}\" height=\"{height:.0}\"/></clipPath>\
             <g clip-path=\"url(#{id})\">{}</g>{}",
            self.out,
            self.faults(bottom)
        );
        out.push_str("</svg>");
        out
    }
}

/// The rate that a flow hardly ever exceeds in a window: one bin that holds two packets by chance sets no scale.
fn peak(flow: &Flow, window: Window) -> f64 {
    let mut rates: Vec<(f64, f64)> = Vec::new();
    for stretch in flow.series.iter().filter(|s| s.bin_s > 0.0) {
        for (bin, (delivered, lost)) in stretch.delivered.iter().zip(&stretch.lost).enumerate() {
            let from = stretch.from_s + bin as f64 * stretch.bin_s;
            let rate = (f64::from(*delivered) + f64::from(*lost)) / stretch.bin_s;
            if from + stretch.bin_s >= window.from && from <= window.to && rate > 0.0 {
                rates.push((rate, stretch.bin_s));
            }
        }
    }
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let enough = rates.iter().map(|r| r.1).sum::<f64>() * 0.98;
    let mut seen = 0.0;
    let found = rates.iter().find(|(_, width)| {
        seen += width;
        seen >= enough
    });
    found.or(rates.last()).map_or(0.0, |r| r.0)
}

/// Whether a lane tells anything in this window that its router's being there does not.
fn matters(run: &Failover, lane: &Lane, window: Window) -> bool {
    let first = run.faults.iter().map(|f| f.at_s).fold(f64::INFINITY, f64::min);
    let settled = if first.is_finite() { first } else { 0.0 };
    let changes = |s: &Span| {
        let edges = [Some(s.start_s), s.end_s];
        edges.into_iter().flatten().any(|t| t >= settled && t >= window.from && t <= window.to)
    };
    let here = |s: &Span| s.end_s.is_none_or(|e| e >= window.from) && s.start_s <= window.to;
    match lane.machine.as_str() {
        "hsrp" | "vrrp" | "sa" | "missing" => lane.spans.iter().any(here),
        "power" => lane.spans.iter().any(|s| s.end_s.is_some()) && lane.spans.iter().any(here),
        "ike" | "rri" | "spf" => lane.spans.iter().any(|s| here(s) && (window.live || changes(s))),
        _ => lane.spans.iter().any(changes),
    }
}

/// In which row of its lane each span goes, so that none covers another.
fn rows(lane: &Lane) -> Vec<usize> {
    let mut free: Vec<f64> = Vec::new();
    let mut place = |s: &Span| {
        let end = s.end_s.unwrap_or(f64::INFINITY);
        if let Some(row) = free.iter().position(|until| *until <= s.start_s) {
            free[row] = end;
            return row;
        }
        // More rows than this help nobody.
        if free.len() < 6 {
            free.push(end);
        }
        free.len() - 1
    };
    lane.spans.iter().map(&mut place).collect()
}

/// What a machine is called on the page.
fn word(machine: &str) -> &str {
    match machine {
        "hsrp" => "HSRP",
        "vrrp" => "VRRP",
        "ike" => "IKE",
        "sa" => "SAs",
        "rri" => "RRI",
        "spf" => "SPF",
        "neighbour" => "OSPF",
        other => other,
    }
}

/// The colour of a state.
fn class(lane: &Lane, span: &Span) -> &'static str {
    match (lane.machine.as_str(), span.state.as_str()) {
        ("hsrp", "Active")
        | ("vrrp", _)
        | ("neighbour", "FULL" | "heard")
        | ("ike", "phase 1")
        | ("link" | "power", _)
        | ("ike", "QM_IDLE") => "good",
        ("hsrp", "Standby") | ("neighbour", "2WAY") => "ready",
        ("hsrp" | "neighbour" | "ike", _) => "busy",
        ("missing", _) => "missing",
        ("sa", _) => "sa",
        ("rri", _) => "rri",
        ("spf", _) => "spf",
        _ => "route",
    }
}

/// `text` with its middle left out where it is longer than `room` characters.
pub(super) fn short(text: &str, room: usize) -> String {
    let n = text.chars().count();
    if n <= room || room < 5 {
        return text.to_owned();
    }
    let (head, tail) = (room / 2, room - room / 2 - 1);
    text.chars().take(head).chain(['…']).chain(text.chars().skip(n - tail)).collect()
}
