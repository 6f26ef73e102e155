//! The page of `espalier.compare/1`: latency and loss of each transform as the offered load grows.

use super::given::{Compare, Point};
use super::markup::{Escaped, digits, put, rate, seconds};
use super::scale::{Linear, Log};
use super::{Page, manifest};

const WIDTH: f64 = 1080.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;

/// The page.
pub(super) fn page(documents: &[(String, Compare)]) -> Option<Page> {
    let (_, first) = documents.first()?;
    let best = first.transforms.iter().max_by(|a, b| a.capacity_pps.total_cmp(&b.capacity_pps));
    let mut body = String::from("<header><p class=\"over\">Transforms under load</p>");
    if let Some(best) = best {
        put!(
            body,
            "<h1 class=\"verdict good\">{} carries most: {}</h1>",
            Escaped(&best.transform),
            rate(best.capacity_pps)
        );
    }
    body.push_str("</header>");
    for (name, document) in documents {
        let title = if documents.len() > 1 { name.as_str() } else { "" };
        chart(&mut body, title, document, "Latency, 99 % of packets within", &|p| p.p99_ns as f64);
        chart(&mut body, title, document, "Latency, median", &|p| p.p50_ns as f64);
        table(&mut body, document);
    }
    body.push_str(&manifest(&first.manifest, &[]));
    Some(Page { title: "Transforms under load".to_owned(), body })
}

fn chart(out: &mut String, title: &str, document: &Compare, what: &str, of: &dyn Fn(&Point) -> f64) {
    let points = || document.transforms.iter().flat_map(|t| &t.points);
    let most = points().map(|p| p.offered_pps).fold(1.0, f64::max);
    let values = || points().map(of).filter(|v| *v > 0.0);
    let (low, high) = (values().fold(f64::MAX, f64::min).min(1e12), values().fold(1.0, f64::max));
    let x = Linear { from: 0.0, to: most, start: LEFT, end: WIDTH - 140.0 };
    let y = Log { from: low / 1.3, to: high * 1.3, start: HEIGHT - 26.0, end: 10.0 };
    put!(
        out,
        "<section class=\"card\"><h2>{what} <span class=\"quiet\">{}</span></h2><div class=\"wide\"><svg viewBox=\"0 0 \
         {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{what}\">",
        Escaped(title)
    );
    for t in y.ticks() {
        let at = y.at(t);
        put!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"tick\" x=\"{}\" \
             y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            x.end,
            LEFT - 5.0,
            at + 3.0,
            seconds(t / 1e9)
        );
    }
    for t in x.ticks(8) {
        put!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x.at(t),
            HEIGHT - 8.0,
            rate(t)
        );
    }
    for (i, transform) in document.transforms.iter().enumerate() {
        let mut path = String::new();
        for p in transform.points.iter().filter(|p| of(p) > 0.0) {
            put!(
                path,
                "{}{:.1} {:.1}",
                if path.is_empty() { 'M' } else { 'L' },
                x.at(p.offered_pps),
                y.at(of(p))
            );
        }
        if let Some(last) = transform.points.last() {
            put!(
                out,
                "<path class=\"curve c{}\" d=\"{path}\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                i % 6,
                x.at(last.offered_pps) + 6.0,
                y.at(of(last)) + 3.0,
                Escaped(&transform.transform)
            );
        }
    }
    out.push_str("</svg></div></section>");
}

fn table(out: &mut String, document: &Compare) {
    out.push_str(
        "<section class=\"card\"><h2>Every point</h2><div class=\"wide\"><table><thead><tr><th>transform</th><th \
         class=\"n\">load</th><th class=\"n\">offered</th><th class=\"n\">lost</th><th class=\"n\">p50</th><th \
         class=\"n\">p99</th><th class=\"n\">max</th></tr></thead><tbody>",
    );
    for t in &document.transforms {
        for p in &t.points {
            put!(
                out,
                "<tr><td>{}</td><td class=\"n\">{} %</td><td class=\"n\">{}</td><td class=\"n\">{} %</td><td \
                 class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
                Escaped(&t.transform),
                digits(p.load * 100.0),
                rate(p.offered_pps),
                digits(p.loss * 100.0),
                seconds(p.p50_ns as f64 / 1e9),
                seconds(p.p99_ns as f64 / 1e9),
                seconds(p.max_ns as f64 / 1e9)
            );
        }
    }
    out.push_str("</tbody></table></div></section>");
}
