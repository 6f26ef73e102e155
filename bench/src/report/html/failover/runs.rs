//! Many runs: the spread over seeds as curves of shares, and several documents side by side.

use super::super::given::{Failover, FlowSpread, RunOutage};
use super::super::markup::{Escaped, put, seconds, tick};
use super::super::scale::Linear;

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 34.0;

/// The section of one document's runs; nothing when there was one run.
pub(super) fn spread(run: &Failover) -> String {
    let Some(runs) = &run.runs else { return String::new() };
    let mut out = String::new();
    put!(
        out,
        "<section class=\"card\" id=\"runs\"><h2>{} runs, {} seeds</h2><p class=\"fine\">The same scenario with other \
         jitter, cookies, keys and impairments. The rest of this page is the first run's.</p><div class=\"wide\"><table>\
         <thead><tr><th>flow</th><th>kind</th><th class=\"n\">outages</th><th class=\"n\">min</th><th class=\"n\">5 \
         %</th><th class=\"n\">median</th><th class=\"n\">95 %</th><th class=\"n\">max</th><th class=\"n\">median \
         lost</th><th></th></tr></thead><tbody>",
        runs.count,
        runs.count
    );
    for s in &runs.spreads {
        put!(
            out,
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td>",
            Escaped(&s.flow),
            Escaped(&s.kind),
            s.outages
        );
        match s.tbm_s {
            Some(t) => {
                for v in [t.min, t.p5, t.median, t.p95, t.max] {
                    put!(out, "<td class=\"n\">{}</td>", seconds(v));
                }
            }
            None => out.push_str("<td class=\"n\">–</td>".repeat(5).as_str()),
        }
        put!(out, "<td class=\"n\">{}</td>", s.lost.map_or_else(|| "–".to_owned(), |l| l.median.to_string()));
        match s.never_recovered {
            0 => out.push_str("<td></td></tr>"),
            n => put!(out, "<td class=\"bad\">{n} never recovered</td></tr>"),
        }
    }
    out.push_str("</tbody></table></div><div class=\"charts\">");
    for s in runs.spreads.iter().filter(|s| s.tbm_s.is_some() && s.outages > 1) {
        let own = |o: &&RunOutage| o.flow == s.flow && o.kind == s.kind;
        let values: Vec<f64> = runs.outages.iter().filter(own).filter_map(|o| o.tbm_s).collect();
        curve(&mut out, &format!("{} · {}", s.flow, s.kind), &[values]);
    }
    out.push_str("</div></section>");
    out
}

/// Curves of the share of outages that lasted at most so long.
pub(in super::super) fn curve(out: &mut String, title: &str, sets: &[Vec<f64>]) {
    let all = || sets.iter().flat_map(|s| s.iter().copied());
    let most = all().fold(0.0, f64::max);
    let least = all().fold(most, f64::min);
    let margin = ((most - least) * 0.05).max(most * 0.01).max(1e-9);
    let x = Linear { from: (least - margin).max(0.0), to: most + margin, start: LEFT, end: WIDTH - 8.0 };
    let y = Linear { from: 0.0, to: 1.0, start: HEIGHT - 24.0, end: 10.0 };
    put!(
        out,
        "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Share of \
         outages up to a length\">",
        Escaped(title)
    );
    for share in [0.0, 0.5, 1.0] {
        let at = y.at(share);
        put!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"tick\" x=\"{}\" \
             y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>",
            LEFT - 3.0,
            at + 3.0,
            share * 100.0
        );
    }
    for t in x.ticks(3) {
        put!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x.at(t),
            HEIGHT - 8.0,
            tick(t)
        );
    }
    for (i, values) in sets.iter().enumerate() {
        let mut values = values.clone();
        values.sort_by(f64::total_cmp);
        let mut path = format!("M{:.1} {:.1}", x.start, y.at(0.0));
        for (n, v) in values.iter().enumerate() {
            put!(path, "H{:.1}V{:.1}", x.at(*v), y.at((n + 1) as f64 / values.len() as f64));
        }
        put!(out, "<path class=\"curve c{}\" d=\"{path}H{:.1}\"/>", i % 6, x.end);
    }
    out.push_str("</svg></figure>");
}

/// What one document says of a flow's kind of outage: lowest, middle and highest time.
fn interval(run: &Failover, flow: &str, kind: &str) -> Option<[f64; 3]> {
    let own = |s: &&FlowSpread| s.flow == flow && s.kind == kind;
    if let Some(t) = run.runs.as_ref().and_then(|r| r.spreads.iter().find(own)).and_then(|s| s.tbm_s) {
        return Some([t.p5, t.median, t.p95]);
    }
    let flow = run.flows.iter().find(|f| f.name == flow)?;
    let longest =
        flow.outages.iter().filter(|o| o.kind == kind).filter_map(|o| o.tbm_s).max_by(f64::total_cmp)?;
    Some([longest; 3])
}

/// Several documents: each flow's outages side by side.
pub(super) fn comparison(documents: &[(String, Failover)]) -> String {
    let mut keys: Vec<(String, String)> = Vec::new();
    for (_, run) in documents {
        for flow in &run.flows {
            for o in &flow.outages {
                let key = (flow.name.clone(), o.kind.clone());
                if o.tbm_s.is_some() && !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
    }
    let mut out = String::from(
        "<section class=\"card\" id=\"comparison\"><h2>Side by side</h2><p class=\"fine\">The longest outage of each kind \
         (TBM); where a document has many runs, the median and the interval from 5 % to 95 %.</p><div \
         class=\"wide\"><table><thead><tr><th>flow</th><th>kind</th><th>document</th><th class=\"n\">TBM</th><th \
         class=\"n\">5 to 95 %</th><th></th></tr></thead><tbody>",
    );
    for (flow, kind) in &keys {
        let found: Vec<_> = documents.iter().map(|(name, run)| (name, interval(run, flow, kind))).collect();
        let most = found.iter().filter_map(|f| f.1).map(|i| i[2]).fold(1e-9, f64::max);
        for (n, (name, i)) in found.iter().enumerate() {
            put!(
                out,
                "<tr><td>{}</td><td>{}</td><td>{}</td>",
                if n == 0 { Escaped(flow.as_str()).to_string() } else { String::new() },
                if n == 0 { Escaped(kind.as_str()).to_string() } else { String::new() },
                Escaped(name)
            );
            match i {
                None => out.push_str("<td class=\"n\">none</td><td></td><td></td></tr>"),
                Some([low, middle, high]) => put!(
                    out,
                    "<td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"meter\"><span class=\"c{}\" \
                     style=\"width:{:.1}%\"></span></td></tr>",
                    seconds(*middle),
                    if low == high {
                        String::new()
                    } else {
                        format!("{} to {}", seconds(*low), seconds(*high))
                    },
                    n % 6,
                    middle / most * 100.0
                ),
            }
        }
    }
    out.push_str("</tbody></table></div>");
    overlays(&mut out, documents);
    out.push_str("</section>");
    out
}

/// Packets lost so far, document over document, from the first fault on.
fn overlays(out: &mut String, documents: &[(String, Failover)]) {
    out.push_str("<h3>Packets lost so far, by seconds after the first fault</h3><p class=\"fine\">");
    for (i, (name, _)) in documents.iter().enumerate() {
        put!(out, "<span class=\"swatch p{}\"></span>{} ", i % 6, Escaped(name));
    }
    out.push_str("</p><div class=\"charts\">");
    let Some((_, first)) = documents.first() else { return };
    for flow in &first.flows {
        let curves: Vec<Vec<(f64, f64)>> =
            documents.iter().map(|(_, run)| lost_so_far(run, &flow.name)).collect();
        overlay(out, &flow.name, &curves);
    }
    out.push_str("</div>");
}

/// Seconds after the first fault, and how many packets of the flow were lost by then.
fn lost_so_far(run: &Failover, flow: &str) -> Vec<(f64, f64)> {
    let fault = run.faults.iter().map(|f| f.at_s).fold(f64::INFINITY, f64::min);
    let fault = if fault.is_finite() { fault } else { 0.0 };
    let (mut points, mut lost) = (vec![(0.0, 0.0)], 0.0);
    let stretches = run.flows.iter().filter(|f| f.name == flow).flat_map(|f| &f.series);
    for s in stretches.filter(|s| s.bin_s > 0.0) {
        for (i, n) in s.lost.iter().enumerate().filter(|(_, n)| **n > 0) {
            let at = s.from_s + (i + 1) as f64 * s.bin_s - fault;
            if at >= 0.0 {
                lost += f64::from(*n);
                points.push((at, lost));
            }
        }
    }
    points
}

fn overlay(out: &mut String, title: &str, curves: &[Vec<(f64, f64)>]) {
    let ends = || curves.iter().filter_map(|c| c.last());
    let (wide, most) = ends().fold((0.0f64, 0.0f64), |(x, y), p| (x.max(p.0), y.max(p.1)));
    if most <= 0.0 {
        return;
    }
    let x = Linear { from: 0.0, to: wide * 1.05, start: LEFT, end: WIDTH - 8.0 };
    let y = Linear { from: 0.0, to: most * 1.05, start: HEIGHT - 24.0, end: 10.0 };
    put!(
        out,
        "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Packets lost \
         so far\">",
        Escaped(title)
    );
    for t in y.ticks(3) {
        let at = y.at(t);
        put!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"tick\" x=\"{}\" \
             y=\"{:.1}\" text-anchor=\"end\">{t:.0}</text>",
            LEFT - 3.0,
            at + 3.0
        );
    }
    for t in x.ticks(4) {
        put!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">+{}</text>",
            x.at(t),
            HEIGHT - 8.0,
            tick(t)
        );
    }
    for (i, curve) in curves.iter().enumerate() {
        put!(out, "<path class=\"curve c{}\" d=\"M{:.1} {:.1}", i % 6, x.at(0.0), y.at(0.0));
        for (at, lost) in curve {
            put!(out, "L{:.1} {:.1}", x.at(*at), y.at(*lost));
        }
        put!(out, "H{:.1}\"/>", x.end);
    }
    out.push_str("</svg></figure>");
}
