//! The page of `espalier.bench/1`: what a packet costs, grouped by transform, with the spread of the samples.

use super::given::{Bench, BenchRun};
use super::markup::{Escaped, digits, put, rate, seconds};
use super::scale::Linear;
use super::{Page, manifest};

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 250.0;
const BAR: f64 = 17.0;

/// A size as one reads it.
fn bytes(size: &str) -> String {
    if size.bytes().all(|b| b.is_ascii_digit()) { format!("{size} bytes") } else { size.to_owned() }
}

/// What a figure's samples say: the lowest and the highest ns a packet.
fn range(run: &BenchRun) -> Option<(f64, f64)> {
    let each = run.samples.iter().filter(|s| s.packets > 0).map(|s| s.elapsed_s * 1e9 / s.packets as f64);
    each.fold(None, |range, ns| match range {
        None => Some((ns, ns)),
        Some((low, high)) => Some((ns.min(low), ns.max(high))),
    })
}

/// The page.
pub(super) fn page(documents: &[(String, Bench)]) -> Option<Page> {
    let (_, first) = documents.first()?;
    let mut body = String::new();
    let fastest = documents.iter().flat_map(|(_, b)| &b.runs).max_by(|a, b| a.pps.total_cmp(&b.pps));
    body.push_str("<header><p class=\"over\">Throughput report</p>");
    match fastest {
        Some(run) => put!(
            body,
            "<h1 class=\"verdict good\">{} a packet at best: {} by {}</h1><p class=\"lead\">{}, {}, layout {}: \
             <b>{}</b>, {} Gbit/s of inner packets. {}</p>",
            seconds(run.ns_per_packet / 1e9),
            Escaped(&run.transform),
            Escaped(&run.engine),
            Escaped(bytes(&run.size)),
            Escaped(&run.direction),
            Escaped(&run.layout),
            rate(run.pps),
            digits(run.gbps),
            verified(documents)
        ),
        None => body.push_str("<h1 class=\"verdict warn\">Nothing was measured</h1>"),
    }
    body.push_str("</header>");
    for (name, document) in documents {
        let title = if documents.len() > 1 { name.as_str() } else { "" };
        bars(&mut body, title, document);
        scaling(&mut body, document);
    }
    table(&mut body, documents);
    body.push_str(&manifest(&first.manifest, &[]));
    Some(Page { title: "Throughput report".to_owned(), body })
}

fn verified(documents: &[(String, Bench)]) -> &'static str {
    if documents.iter().flat_map(|(_, b)| &b.runs).all(|r| r.verified) {
        "Every figure rests on packets whose result was verified."
    } else {
        "<strong class=\"bad\">Some results were WRONG: see the table.</strong>"
    }
}

/// One chart a transform.
fn bars(out: &mut String, title: &str, document: &Bench) {
    let mut transforms: Vec<&str> = document.runs.iter().map(|r| r.transform.as_str()).collect();
    transforms.dedup();
    for transform in transforms {
        let runs: Vec<_> = document.runs.iter().filter(|r| r.transform == transform).collect();
        let high = |r: &&BenchRun| range(r).map_or(r.ns_per_packet, |(_, high)| high.max(r.ns_per_packet));
        let most = runs.iter().map(high).fold(0.0, f64::max).max(1e-9);
        let x = Linear { from: 0.0, to: most * 1.02, start: LEFT, end: WIDTH - 150.0 };
        let height = runs.len() as f64 * (BAR + 7.0) + 8.0;
        put!(
            out,
            "<section class=\"card\"><h2>{} <span class=\"quiet\">{}</span></h2><p class=\"fine\">Time a packet, less is better; the whisker spans the samples.</p><div class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {height:.0}\" \
             role=\"img\" aria-label=\"Nanoseconds a packet\">",
            Escaped(transform),
            Escaped(title)
        );
        let mut engines: Vec<&str> = runs.iter().map(|r| r.engine.as_str()).collect();
        engines.sort_unstable();
        engines.dedup();
        for (i, run) in runs.iter().enumerate() {
            let colour = engines.iter().position(|e| *e == run.engine).unwrap_or(0) % 6;
            bar(out, run, x, 4.0 + i as f64 * (BAR + 7.0), colour);
        }
        out.push_str("</svg></div></section>");
    }
}

fn bar(out: &mut String, run: &BenchRun, x: Linear, y: f64, colour: usize) {
    let end = x.clamped(run.ns_per_packet);
    put!(
        out,
        "<text x=\"0\" y=\"{0:.1}\">{1} <tspan class=\"quiet\">{2} · {3} · layout {4}</tspan></text><rect class=\"p{colour}\" \
         x=\"{LEFT}\" y=\"{y:.1}\" width=\"{5:.1}\" height=\"{BAR}\" rx=\"3\"><title>{1}: {6} a packet</title></rect>",
        y + 12.5,
        Escaped(&run.engine),
        Escaped(&run.direction),
        Escaped(bytes(&run.size)),
        Escaped(&run.layout),
        (end - LEFT).max(0.5),
        seconds(run.ns_per_packet / 1e9)
    );
    let mut right = end;
    if let Some((low, high)) = range(run) {
        let (low, high, middle) = (x.clamped(low), x.clamped(high), y + BAR / 2.0);
        right = right.max(high);
        put!(
            out,
            "<path class=\"curve\" style=\"stroke:var(--ink);stroke-width:1\" d=\"M{low:.1} {middle:.1}H{high:.1}M{low:.1} \
             {0:.1}v8M{high:.1} {0:.1}v8\"/>",
            middle - 4.0
        );
    }
    put!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\">{} · {}</text>",
        right + 7.0,
        y + 12.5,
        seconds(run.ns_per_packet / 1e9),
        rate(run.pps)
    );
}

/// More layouts than one: packets a second over cores, and what perfect scaling of one core would give.
fn scaling(out: &mut String, document: &Bench) {
    let mut series: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for run in &document.runs {
        let key = format!("{} {} {} {}", run.transform, run.engine, run.direction, run.size);
        let point = (run.cores as f64, run.pps);
        match series.iter_mut().find(|(k, _)| *k == key) {
            Some((_, points)) => points.push(point),
            None => series.push((key, vec![point])),
        }
    }
    series.retain(|(_, points)| points.iter().any(|p| (p.0 - points[0].0).abs() > 0.5));
    if series.is_empty() {
        return;
    }
    out.push_str(
        "<section class=\"card\"><h2>Scaling over layouts</h2><p class=\"fine\">Packets a second over cores; dashed: as many \
         times one core.</p><div class=\"charts\">",
    );
    for (name, mut points) in series {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let cores = points.last().map_or(1.0, |p| p.0).max(1.0);
        let one = points.first().map_or(0.0, |p| p.1 / p.0.max(1.0));
        let most = points.iter().map(|p| p.1).fold(one * cores, f64::max);
        let x = Linear { from: 0.0, to: cores, start: 52.0, end: 330.0 };
        let y = Linear { from: 0.0, to: most, start: 126.0, end: 12.0 };
        put!(
            out,
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 340 150\" role=\"img\" aria-label=\"Packets a second \
             over cores\"><path class=\"curve dashed\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/><path class=\"curve c1\" d=\"",
            Escaped(&name),
            x.at(0.0),
            y.at(0.0),
            x.at(cores),
            y.at(one * cores)
        );
        for (i, (c, pps)) in points.iter().enumerate() {
            put!(out, "{}{:.1} {:.1}", if i == 0 { 'M' } else { 'L' }, x.at(*c), y.at(*pps));
        }
        put!(out, "\"/><text class=\"tick\" x=\"48\" y=\"16\" text-anchor=\"end\">{}</text>", rate(most));
        for (c, _) in &points {
            put!(
                out,
                "<text class=\"tick\" x=\"{:.1}\" y=\"142\" text-anchor=\"middle\">{c:.0}</text>",
                x.at(*c)
            );
        }
        out.push_str("</svg></figure>");
    }
    out.push_str("</div></section>");
}

fn table(out: &mut String, documents: &[(String, Bench)]) {
    out.push_str(
        "<section class=\"card\" id=\"figures\"><h2>Every figure</h2><div class=\"wide\"><table><thead><tr>\
         <th>document</th><th>transform</th><th>engine</th><th>direction</th><th class=\"n\">bytes</th><th>layout</th>\
         <th>scope</th><th class=\"n\">ns a packet</th><th class=\"n\">packets</th><th class=\"n\">Gbit/s</th><th \
         class=\"n\">cycles a packet</th><th class=\"n\">cycles a byte</th><th>verified</th></tr></thead><tbody>",
    );
    for (name, document) in documents {
        for r in &document.runs {
            out.push_str("<tr>");
            for text in [name, &r.transform, &r.engine, &r.direction] {
                put!(out, "<td>{}</td>", Escaped(text));
            }
            put!(
                out,
                "<td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{:.1}</td><td class=\"n\">{}</td><td \
                 class=\"n\">{:.3}</td><td class=\"n\">{:.0}</td><td class=\"n\">{:.2}</td>{}</tr>",
                Escaped(&r.size),
                Escaped(&r.layout),
                Escaped(&r.scope),
                r.ns_per_packet,
                rate(r.pps),
                r.gbps,
                r.cycles_per_packet,
                r.cycles_per_byte,
                if r.verified { "<td class=\"good\">yes</td>" } else { "<td class=\"bad\">WRONG</td>" }
            );
        }
    }
    out.push_str("</tbody></table></div></section>");
}
