//! A status as lines of text: a pure function of it, of the room there is, and of whether colours are wanted.
//!
//! What there is no room for is left out from below: first what was said, then rings and cores, then states. States are
//! spelled out where a line has room for all of a router, else told in their words alone.

use espalier_wire::{IfIndex, Instant};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::spark;
use super::status::{MINUTE, Router, Row, Status};

/// The narrowest that anything is laid out for: what is narrower shows the left of it.
const NARROWEST: usize = 60;
/// Columns of one of the numbers.
const NUMBER: usize = 11;

/// Styles, or none of them.
#[derive(Debug, Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    const fn of(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    const fn quiet(self) -> Style {
        self.of(Color::DarkGray)
    }

    const fn strong(self) -> Style {
        if self.colour { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() }
    }

    const fn good(self) -> Style {
        self.of(Color::Green)
    }

    const fn bad(self) -> Style {
        self.of(Color::Red)
    }

    /// A state by its word: it carries traffic, it stands by, it is on its way, it is down.
    fn state(self, word: &str) -> Style {
        match word {
            "Active" | "QM_IDLE" | "UP-ACTIVE" | "FULL" => self.good(),
            "Standby" | "UP-IDLE" | "2WAY" | "UP-NO-IKE" => self.of(Color::Cyan),
            "Init" | "DOWN" | "off" => self.bad(),
            _ => self.of(Color::Yellow),
        }
    }
}

/// The screen.
pub fn lines(status: &Status, width: u16, height: u16, colour: bool) -> Vec<Line<'static>> {
    let (width, height) = (usize::from(width).max(NARROWEST), usize::from(height));
    let paint = Paint { colour };
    let mut lines = vec![head(status, width, paint)];
    traffic(&mut lines, status, (width, height), paint);
    states(&mut lines, status, width, paint);
    machine(&mut lines, status, width, paint);
    // One line stays for how to end it.
    let room = height.saturating_sub(lines.len() + 1);
    said(&mut lines, status, (width, room), paint);
    if height > 1 {
        lines.truncate(height - 1);
        lines.resize(height - 1, Line::default());
        lines.push(Line::styled(" q or Ctrl-C ends the run", paint.quiet()));
    }
    lines
}

/// `m:ss`, or `h:mm:ss`.
fn time(at: Instant) -> String {
    let s = at.as_ns() / 1_000_000_000;
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

fn head(status: &Status, width: usize, paint: Paint) -> Line<'static> {
    let network = &status.network;
    let (title, how) = (format!(" {}", network.title), format!("  {}", network.how));
    let clock = match network.duration {
        Some(length) => format!("{} of {} ", time(status.at), time(Instant::ZERO + length)),
        None => format!("{} ", time(status.at)),
    };
    let used = columns(&title) + columns(&how) + columns(&clock) + 3;
    let room = width.saturating_sub(used).min(30);
    let share = network.duration.map(|length| (status.at.as_s() / length.as_s().max(1e-9)).clamp(0.0, 1.0));
    let bar = share.map_or((String::new(), String::new()), |share| meter(share, room));
    let gap = width.saturating_sub(used + columns(&bar.0) + columns(&bar.1)) + 2;
    Line::from(vec![
        Span::styled(title, paint.strong()),
        Span::styled(how, paint.quiet()),
        Span::raw(" ".repeat(gap)),
        Span::styled(bar.0, paint.of(Color::Blue)),
        Span::styled(bar.1, paint.quiet()),
        Span::raw(" "),
        Span::raw(clock),
    ])
}

/// A meter of that many columns: the filled part, and the rest.
fn meter(share: f64, columns: usize) -> (String, String) {
    let full = ((share * columns as f64).round() as usize).min(columns);
    ("━".repeat(full), "─".repeat(columns - full))
}

fn section(name: &str, width: usize, paint: Paint) -> Line<'static> {
    let rest = "─".repeat(width.saturating_sub(columns(name) + 5));
    Line::from(vec![
        Span::styled(" ─ ", paint.quiet()),
        Span::styled(name.to_owned(), paint.strong()),
        Span::styled(format!(" {rest}"), paint.quiet()),
    ])
}

/// A number with its thousands apart.
fn number(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn traffic(lines: &mut Vec<Line<'static>>, status: &Status, (width, height): (usize, usize), paint: Paint) {
    lines.push(section("Packets a second", width, paint));
    let longest = status.rows.iter().map(|row| columns(&row.count.name)).max().unwrap_or_default();
    let name = longest.clamp(8, width.saturating_sub(4 * NUMBER + 14).max(8));
    let room = width.saturating_sub(name + 4 * NUMBER + 4);
    let (curve, broad) = (room.min(MINUTE), (room / MINUTE).max(1));
    let [first, second, third] = status.network.columns;
    let all = format!("all {third}");
    let mut head = format!(" {:name$}{first:>NUMBER$}{second:>NUMBER$}{third:>NUMBER$}{all:>NUMBER$}", "");
    if curve > 12 {
        head.push_str(&format!("  last {curve} s"));
    }
    lines.push(Line::styled(head, paint.quiet()));
    let tall = if height >= 40 && status.rows.len() <= 6 { 2 } else { 1 };
    for row in &status.rows {
        let seconds = row.minute.iter().copied();
        let mut curves = spark::lines(seconds, (curve, tall, broad), (paint.good(), paint.bad()));
        let last = curves.pop().unwrap_or_default();
        let before = " ".repeat(name + 4 * NUMBER + 3);
        for upper in curves {
            lines.push(Line::from([vec![Span::raw(before.clone())], upper].concat()));
        }
        lines.push(Line::from([figures(row, name, paint), last].concat()));
    }
    if status.rows.is_empty() {
        lines.push(Line::styled(" nothing yet", paint.quiet()));
    }
}

fn figures(row: &Row, name: usize, paint: Paint) -> Vec<Span<'static>> {
    let [offered, delivered, lost] = row.rates();
    let [.., all] = row.count.packets;
    let cell = |value: f64| format!("{:>NUMBER$}", number(value));
    let alarm = |value: f64| if value > 0.0 { paint.bad() } else { paint.quiet() };
    vec![
        Span::raw(format!(" {:name$}", cut(&row.count.name, name))),
        Span::raw(cell(offered)),
        Span::raw(cell(delivered)),
        Span::styled(cell(lost), alarm(lost)),
        Span::styled(cell(all as f64), alarm(all as f64)),
        Span::raw("  "),
    ]
}

/// One column of one router: each state, where it holds, and its word.
type Cell = Vec<(String, String)>;

fn cells(status: &Status, router: &Router, number: usize) -> [Cell; 4] {
    let name = |iface: IfIndex| {
        let names = status.network.routers.get(number).map_or(&[][..], |n| n.interfaces.as_slice());
        names.get(usize::from(iface.0)).cloned().unwrap_or_default()
    };
    let hsrp =
        router.hsrp.iter().map(|((iface, group), s)| (format!("{} {group}", name(*iface)), (*s).to_owned()));
    let ike = router.ike.iter().map(|((peer, _), s)| (peer.to_string(), (*s).to_owned()));
    let ipsec = router.sessions().into_iter().map(|(peer, (word, pairs))| {
        let place = match pairs {
            0 => peer.to_string(),
            1 => format!("{peer} 1 pair"),
            n => format!("{peer} {n} pairs"),
        };
        (place, word.to_owned())
    });
    let ospf = router.neighbours.iter().map(|((_, addr), s)| (addr.to_string(), (*s).to_owned()));
    [hsrp.collect(), ike.collect(), ipsec.collect(), ospf.collect()]
}

/// `Fa0/0 1 Active, Fa0/1 2 Active`, or in words alone `Active ×2`.
fn spelled(cell: &Cell, long: bool) -> Vec<(String, String)> {
    if long {
        return cell.iter().map(|(place, word)| (format!("{place} "), word.clone())).collect();
    }
    let mut words: Vec<(&String, usize)> = Vec::new();
    for (_, word) in cell {
        match words.iter_mut().find(|(seen, _)| *seen == word) {
            Some((_, n)) => *n += 1,
            None => words.push((word, 1)),
        }
    }
    let count = |(word, n): (&String, usize)| if n > 1 { format!("{word} ×{n}") } else { word.clone() };
    words.into_iter().map(|one| (String::new(), count(one))).collect()
}

fn breadth(cell: &[(String, String)]) -> usize {
    let each = cell.iter().map(|(place, word)| columns(place) + columns(word) + 2).sum::<usize>();
    each.saturating_sub(2)
}

fn states(lines: &mut Vec<Line<'static>>, status: &Status, width: usize, paint: Paint) {
    const HEADS: [&str; 4] = ["HSRP", "IKE", "IPsec", "OSPF"];
    let name = status.network.routers.iter().map(|n| columns(&n.name)).max().unwrap_or_default().clamp(6, 20);
    let all: Vec<[Cell; 4]> =
        status.routers.iter().enumerate().map(|(n, router)| cells(status, router, n)).collect();
    let measured = |long: bool| {
        let mut breadths = HEADS.map(columns);
        for row in &all {
            for (widest, cell) in breadths.iter_mut().zip(row) {
                *widest = (*widest).max(breadth(&spelled(cell, long)));
            }
        }
        breadths
    };
    let fits = |breadths: &[usize; 4]| name + 1 + breadths.iter().map(|b| b + 2).sum::<usize>() <= width;
    let (long, breadths) = match measured(true) {
        breadths if fits(&breadths) => (true, breadths),
        _ => (false, measured(false)),
    };
    lines.push(section("Routers", width, paint));
    let mut head = format!(" {:name$}", "");
    for (title, breadth) in HEADS.iter().zip(breadths) {
        head.push_str(&format!("  {title:breadth$}"));
    }
    lines.push(Line::styled(head, paint.quiet()));
    for (number, (row, router)) in all.iter().zip(&status.routers).enumerate() {
        let Some(known) = status.network.routers.get(number) else { continue };
        let mut spans = vec![Span::raw(format!(" {:name$}", cut(&known.name, name)))];
        match known.foreign {
            Some(program) => spans.push(Span::styled(format!("  played by {program}"), paint.quiet())),
            None if !router.on => spans.push(Span::styled("  off", paint.state("off"))),
            None => {
                for (cell, breadth) in row.iter().zip(breadths) {
                    state(&mut spans, &spelled(cell, long), breadth, paint);
                }
            }
        }
        lines.push(Line::from(spans));
    }
}

fn state(spans: &mut Vec<Span<'static>>, cell: &[(String, String)], room: usize, paint: Paint) {
    if cell.is_empty() {
        return spans.push(Span::styled(format!("  {:room$}", "–"), paint.quiet()));
    }
    for (i, (place, word)) in cell.iter().enumerate() {
        let state = word.split(" ×").next().unwrap_or_default();
        spans.push(Span::raw(if i == 0 { "  " } else { ", " }));
        spans.push(Span::styled(place.clone(), paint.quiet()));
        spans.push(Span::styled(word.clone(), paint.state(state)));
    }
    spans.push(Span::raw(" ".repeat(room.saturating_sub(breadth(cell)))));
}

/// Rings and cores, side by side as many as fit; nothing where a drive has none.
fn machine(lines: &mut Vec<Line<'static>>, status: &Status, width: usize, paint: Paint) {
    const METER: usize = 12;
    if status.rings.is_empty() && status.cores.is_empty() {
        return;
    }
    let ring = |ring: &super::Ring| {
        let share = ring.depth as f64 / ring.capacity.max(1) as f64;
        (ring.name.clone(), share, format!("{}/{}", ring.depth, ring.capacity))
    };
    let core = |core: &super::Core| {
        (format!("core {}", core.core), core.busy.clamp(0.0, 1.0), format!("{:.0}% busy", core.busy * 100.0))
    };
    let meters: Vec<(String, f64, String)> =
        status.cores.iter().map(core).chain(status.rings.iter().map(ring)).collect();
    let name = meters.iter().map(|(name, ..)| columns(name)).max().unwrap_or_default();
    let text = meters.iter().map(|(.., text)| columns(text)).max().unwrap_or_default();
    let one = name + METER + text + 5;
    lines.push(section(if status.rings.is_empty() { "Cores" } else { "Cores and rings" }, width, paint));
    for few in meters.chunks((width / one).max(1)) {
        let mut spans = Vec::new();
        for (of, share, figure) in few {
            let (full, rest) = meter(*share, METER);
            let style = if *share > 0.9 { paint.bad() } else { paint.of(Color::Blue) };
            spans.push(Span::raw(format!(" {of:name$} ")));
            spans.push(Span::styled(full, style));
            spans.push(Span::styled(rest, paint.quiet()));
            spans.push(Span::raw(format!(" {figure:text$}  ")));
        }
        lines.push(Line::from(spans));
    }
}

/// What was said last, the newest at the bottom.
fn said(lines: &mut Vec<Line<'static>>, status: &Status, (width, room): (usize, usize), paint: Paint) {
    let Some(room) = room.checked_sub(1).filter(|room| *room > 0) else { return };
    lines.push(section("Events", width, paint));
    let name = status.network.routers.iter().map(|n| columns(&n.name)).max().unwrap_or_default().clamp(5, 20);
    let skipped = status.lines.len().saturating_sub(room);
    for line in status.lines.iter().skip(skipped) {
        let at = format!(" {:>9.3}  ", line.at.as_s());
        let left = width.saturating_sub(columns(&at) + name + 2);
        let (who, style) = match &line.node {
            Some(node) => (node.as_str(), Style::new()),
            None => ("fault", paint.bad()),
        };
        lines.push(Line::from(vec![
            Span::styled(at, paint.quiet()),
            Span::styled(format!("{:name$}  ", cut(who, name)), style),
            Span::styled(cut(&line.text, left), style),
        ]));
    }
}

fn columns(text: &str) -> usize {
    Span::raw(text).width()
}

/// The beginning of a text, with a sign that there is more.
fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    kept + "…"
}
