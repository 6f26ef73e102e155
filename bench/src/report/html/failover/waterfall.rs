//! From each fault to the first packet: the milestones as a staircase, and what the longest outage was spent on, to scale.

use super::super::given::{Failover, Outage, Phase};
use super::super::markup::{Escaped, put, seconds};
use super::timeline::{self, Window};
use super::verdict::{clearest, part};

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 300.0;
const ROW: f64 = 22.0;

/// What a milestone says.
fn milestone(name: &str) -> &str {
    match name {
        "detected" => "somebody notices",
        "active" => "HSRP: Active",
        "announced" => "gratuitous ARP sent",
        "ike-up" => "IKE phase 1 stands",
        "sa-up" => "IPsec SAs carry traffic",
        "route-injected" => "reverse route injected",
        "route-learned" => "route learned by OSPF",
        "first-packet" => "first packet again",
        other => other,
    }
}

/// The section of every fault.
pub(super) fn draw(run: &Failover) -> String {
    let mut out = String::new();
    for (i, fault) in run.faults.iter().enumerate() {
        put!(
            out,
            "<section class=\"card\" id=\"fault-{i}\"><h2><span class=\"number\">{}</span> {} <code>{}</code> at {}</h2>",
            i + 1,
            Escaped(&fault.action),
            Escaped(&fault.target),
            seconds(fault.at_s)
        );
        let phases: Vec<&Phase> = run.phases.iter().filter(|p| p.fault == i).collect();
        if phases.is_empty() {
            out.push_str("<p class=\"quiet\">Nothing followed.</p></section>");
            continue;
        }
        staircase(&mut out, fault.at_s, &phases);
        parts(&mut out, run, i);
        convergence(&mut out, run, i);
        if let Some(window) = window(run, i) {
            put!(
                out,
                "<details open class=\"close\"><summary>Close-up: {} around the fault</summary>{}</details>",
                seconds(window.to - window.from),
                timeline::draw(run, window)
            );
        }
        out.push_str("</section>");
    }
    out
}

/// From a little before the fault to a little after all is well again.
fn window(run: &Failover, fault: usize) -> Option<Window> {
    let at = run.faults.get(fault)?.at_s;
    let ends = run.flows.iter().flat_map(|f| &f.outages).filter(|o| o.fault == Some(fault));
    let next = run.faults.get(fault + 1).map_or(run.duration_s, |f| f.at_s);
    let end = ends.map(|o| o.end_s.unwrap_or(next)).fold(f64::NEG_INFINITY, f64::max);
    let milestones = run.phases.iter().filter(|p| p.fault == fault).map(|p| p.at_s);
    let end = if end.is_finite() { end } else { milestones.fold(at, f64::max) };
    let margin = ((end - at) * 0.08).clamp(0.02, 5.0);
    let from = at - margin;
    (end > from && (end - from).is_finite()).then_some(Window { from, to: end + margin, live: false })
}

/// Each milestone a step. A step's width tells its order of size only: seconds stand before microseconds here.
fn staircase(out: &mut String, at: f64, phases: &[&Phase]) {
    let mut steps: Vec<(f64, Vec<&Phase>)> = Vec::new();
    for phase in phases {
        match steps.last_mut() {
            Some((t, together)) if (*t - phase.at_s).abs() < 1e-9 => together.push(phase),
            _ => steps.push((phase.at_s, vec![phase])),
        }
    }
    let mut last = at;
    let widths: Vec<f64> = steps
        .iter()
        .map(|(t, _)| {
            let took = (t - last).max(0.0);
            last = *t;
            if took > 0.0 { (took / 1e-6).max(1.0).ln() + 3.0 } else { 0.0 }
        })
        .collect();
    let unit = (WIDTH - LEFT - 190.0) / widths.iter().sum::<f64>().max(1.0);
    let height = phases.len() as f64 * ROW + 8.0;
    put!(
        out,
        "<svg class=\"staircase\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"Milestones after the \
         fault\">"
    );
    let (mut x, mut y, mut before) = (LEFT, 4.0, at);
    for ((t, together), width) in steps.iter().zip(&widths) {
        let wide = width * unit;
        for (n, phase) in together.iter().enumerate() {
            let last = phase.milestone == "first-packet";
            put!(
                out,
                "<text class=\"label\" x=\"0\" y=\"{0:.1}\">{1}<tspan class=\"quiet\"> {2}</tspan></text>",
                y + 14.0,
                Escaped(milestone(&phase.milestone)),
                Escaped(timeline::short(&phase.node, 22))
            );
            if n == 0 {
                put!(
                    out,
                    "<rect class=\"step{}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"3\"/>",
                    if last { " end" } else { "" },
                    y + 2.0,
                    wide.max(2.0),
                    together.len() as f64 * ROW - 4.0
                );
                put!(
                    out,
                    "<text class=\"took\" x=\"{:.1}\" y=\"{:.1}\">+{}<tspan class=\"quiet\">  at +{:.6} s</tspan></text>",
                    x + wide + 7.0,
                    y + 14.0,
                    seconds(t - before),
                    t - at
                );
            }
            y += ROW;
        }
        x += wide;
        before = *t;
    }
    out.push_str("</svg><p class=\"fine\">A step's width tells its order of size (logarithmic), its text the time.</p>");
}

/// The outage of this fault as the densest flow saw it, to scale.
fn parts(out: &mut String, run: &Failover, fault: usize) {
    let own = run.flows.iter().flat_map(|f| f.outages.iter().map(move |o| (f, o)));
    let own = own.filter(|(_, o)| o.fault == Some(fault) && !o.parts.is_empty());
    let total = |o: &Outage| o.parts.iter().map(|p| p.s).sum::<f64>();
    let Some((flow, o)) = clearest(own) else { return };
    let sum = total(o);
    if sum <= 0.0 || !sum.is_finite() {
        return;
    }
    put!(
        out,
        "<h3>Where {} of {} went, to scale</h3><svg class=\"parts\" viewBox=\"0 0 {WIDTH} 30\" \
         preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Parts of the outage\">",
        seconds(sum),
        Escaped(&flow.name)
    );
    let mut x = 0.0;
    for (i, p) in o.parts.iter().enumerate() {
        let wide = p.s / sum * WIDTH;
        put!(
            out,
            "<rect class=\"part p{}\" x=\"{x:.2}\" y=\"0\" width=\"{wide:.2}\" height=\"30\"><title>{}: {}</title></rect>",
            i % 6,
            Escaped(&p.part),
            seconds(p.s)
        );
        x += wide;
    }
    out.push_str("</svg><ul class=\"legend\">");
    for (i, p) in o.parts.iter().enumerate() {
        put!(
            out,
            "<li><span class=\"swatch p{}\"></span><b>{}</b> {} <span class=\"quiet\">{:.1} %</span></li>",
            i % 6,
            seconds(p.s),
            Escaped(part(&p.part)),
            p.s / sum * 100.0
        );
    }
    out.push_str("</ul>");
}

/// RFC 6412, router by router.
fn convergence(out: &mut String, run: &Failover, fault: usize) {
    let own: Vec<_> = run.convergence.iter().filter(|c| c.fault == fault).collect();
    if own.is_empty() {
        return;
    }
    out.push_str(
        "<details><summary>Route convergence (RFC 6412)</summary><table><thead><tr><th>router</th><th class=\"n\">first \
         route</th><th class=\"n\">full convergence</th><th class=\"n\">changes</th></tr></thead><tbody>",
    );
    for c in own {
        put!(
            out,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            Escaped(&c.node),
            seconds(c.first_route_s),
            seconds(c.full_s),
            c.changes
        );
    }
    out.push_str("</tbody></table></details>");
}
