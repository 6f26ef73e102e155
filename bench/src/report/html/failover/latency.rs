//! Latency before the faults, during what they caused, and after: percentiles on a scale where each further nine has
//! as much room as the last.

use super::super::given::{Failover, Flow, LatencyPhase};
use super::super::markup::{Escaped, count, put, seconds};
use super::super::scale::Log;

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 56.0;
/// The place of a share: 0, 90, 99 … percent are one unit apart.
const NINES: f64 = 5.0;

fn x(share: f64) -> f64 {
    let nines = -(1.0 - share).max(10f64.powf(-NINES)).log10();
    LEFT + nines / NINES * (WIDTH - LEFT - 10.0)
}

/// The section; nothing where nothing arrived.
pub(super) fn draw(run: &Failover) -> String {
    if run.flows.iter().all(|f| f.latency_phases.is_empty()) {
        return String::new();
    }
    let mut out = String::from(
        "<section class=\"card\" id=\"latency\"><h2>Latency</h2><p class=\"fine\">From the moment a packet was to be \
         sent to its arrival, of what arrived; what was lost has none. <span class=\"key before\">before</span> the \
         first fault, <span class=\"key during\">during</span> what the faults caused, <span class=\"key \
         after\">after</span>.</p><div class=\"charts\">",
    );
    for flow in run.flows.iter().filter(|f| !f.latency_phases.is_empty()) {
        chart(&mut out, flow);
    }
    out.push_str("</div></section>");
    out
}

fn chart(out: &mut String, flow: &Flow) {
    let values = || flow.latency_phases.iter().flat_map(|p| p.bins.iter().map(|b| b[0] as f64));
    let (low, high) = values().fold((f64::MAX, 1.0), |(a, b): (f64, f64), v| (a.min(v), b.max(v)));
    let (low, high) = ((low / 1.5).max(1.0), high * 1.5);
    let y = Log { from: low, to: high, start: HEIGHT - 24.0, end: 14.0 };
    put!(
        out,
        "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Latency by percentile\">",
        Escaped(&flow.name)
    );
    for t in y.ticks() {
        let at = y.at(t);
        put!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"tick\" x=\"{}\" \
             y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 4.0,
            at + 3.0,
            seconds(t / 1e9)
        );
    }
    for (share, name) in [(0.0, "0"), (0.9, "90"), (0.99, "99"), (0.999, "99.9"), (0.9999, "99.99 %")] {
        put!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{name}</text>",
            x(share),
            HEIGHT - 8.0
        );
    }
    flow.latency_phases.iter().for_each(|p| line(out, p, y));
    out.push_str("</svg><table><tbody>");
    for p in &flow.latency_phases {
        put!(
            out,
            "<tr><td><span class=\"key {0}\">{0}</span></td><td class=\"n\">p50 {1}</td><td class=\"n\">p99 {2}</td><td \
             class=\"n\">max {3}</td><td class=\"n quiet\">{4}</td></tr>",
            phase(p),
            seconds(p.p50 as f64 / 1e9),
            seconds(p.p99 as f64 / 1e9),
            seconds(p.max as f64 / 1e9),
            count(p.packets)
        );
    }
    out.push_str("</tbody></table></figure>");
}

/// A phase's name as a class: only the three there are.
fn phase(p: &LatencyPhase) -> &'static str {
    match p.phase.as_str() {
        "before" => "before",
        "during" => "during",
        _ => "after",
    }
}

fn line(out: &mut String, p: &LatencyPhase, y: Log) {
    let total: u64 = p.bins.iter().map(|b| b[1]).sum();
    let (mut seen, mut path) = (0, String::new());
    for [value, n] in &p.bins {
        let from = seen as f64 / total.max(1) as f64;
        seen += n;
        let to = seen as f64 / total.max(1) as f64;
        let at = y.at(*value as f64);
        put!(path, "{}{:.1} {at:.1}H{:.1}", if path.is_empty() { 'M' } else { 'L' }, x(from), x(to));
    }
    if !path.is_empty() {
        put!(out, "<path class=\"curve {}\" d=\"{path}\"/>", phase(p));
    }
}
