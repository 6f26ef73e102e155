//! The page of `espalier.cores/1`: packets a second by layout, measured, and by the model in dashes.

use super::given::{Cores, ScaledPoint};
use super::markup::{Escaped, digits, put, rate, seconds};
use super::scale::Linear;
use super::{Page, manifest};

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 130.0;
const ROW: f64 = 30.0;

/// The page.
pub(super) fn page(documents: &[(String, Cores)]) -> Option<Page> {
    let (_, first) = documents.first()?;
    let mut body = String::from("<header><p class=\"over\">Scaling over cores</p>");
    let points = || first.transforms.iter().flat_map(|t| t.points.iter().map(move |p| (t, p)));
    let measured = points().filter_map(|(t, p)| Some((t, p, p.measured_pps?)));
    match measured.max_by(|a, b| a.2.total_cmp(&b.2)) {
        Some((t, p, pps)) => put!(
            body,
            "<h1 class=\"verdict good\">{} at most: {} in layout {}</h1>",
            rate(pps),
            Escaped(&t.transform),
            Escaped(&p.layout)
        ),
        None => body.push_str("<h1 class=\"verdict warn\">Nothing was measured</h1>"),
    }
    put!(
        body,
        "<p class=\"lead\">{}, {} bytes. The model is an upper bound: its cores share no cache and no memory.</p></header>",
        Escaped(&first.direction),
        Escaped(&first.size)
    );
    for (name, document) in documents {
        for t in &document.transforms {
            put!(
                body,
                "<section class=\"card\"><h2>{} <span class=\"quiet\">{} {}</span></h2><p class=\"fine\">A packet costs the \
                 owner {}, the engine {}{}. The owner is full with {} helpers.</p>",
                Escaped(&t.transform),
                Escaped(&t.engine),
                Escaped(if documents.len() > 1 { name } else { "" }),
                seconds(t.costs.owner_ns / 1e9),
                seconds(t.costs.crypt_ns / 1e9),
                t.costs
                    .hop_ns
                    .map_or_else(String::new, |h| format!(", a way there and back {}", seconds(h / 1e9))),
                t.helpers_wanted
            );
            bars(&mut body, &t.points);
            body.push_str("</section>");
        }
    }
    body.push_str(&manifest(&first.manifest, &[]));
    Some(Page { title: "Scaling over cores".to_owned(), body })
}

fn bars(out: &mut String, points: &[ScaledPoint]) {
    let most = points.iter().map(|p| p.model_pps.max(p.measured_pps.unwrap_or(0.0))).fold(0.0, f64::max);
    let x = Linear { from: 0.0, to: most, start: LEFT, end: WIDTH - 260.0 };
    let height = points.len() as f64 * ROW + 6.0;
    put!(
        out,
        "<div class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"Packets a second by layout\">"
    );
    for (i, p) in points.iter().enumerate() {
        let (y, model) = (3.0 + i as f64 * ROW, x.clamped(p.model_pps));
        let cores = if p.cores == 1 { "core" } else { "cores" };
        put!(
            out,
            "<text x=\"0\" y=\"{:.1}\">{} <tspan class=\"quiet\">{} {cores}</tspan></text>",
            y + 15.0,
            Escaped(&p.layout),
            p.cores
        );
        let mut said = format!("model {}", rate(p.model_pps));
        if let Some(pps) = p.measured_pps {
            let wide = (x.clamped(pps) - LEFT).max(0.5);
            put!(
                out,
                "<rect class=\"p1\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"22\" rx=\"3\"/>"
            );
            let off = if pps > 0.0 { (p.model_pps / pps - 1.0) * 100.0 } else { 0.0 };
            said = format!("{}, model {} ({} % above)", rate(pps), rate(p.model_pps), digits(off));
        }
        put!(
            out,
            "<rect class=\"curve dashed\" style=\"stroke:var(--ink);stroke-width:1.3\" x=\"{LEFT}\" y=\"{y:.1}\" \
             width=\"{:.1}\" height=\"22\" rx=\"3\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            (model - LEFT).max(0.5),
            model.max(x.clamped(p.measured_pps.unwrap_or(0.0))) + 8.0,
            y + 15.0,
            Escaped(said)
        );
    }
    out.push_str("</svg></div>");
}
