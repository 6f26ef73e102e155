//! The page of `espalier.sweep/1`: which setting buys how much, the spread of every combination, and curves of shares.

use super::super::sweep::brief;
use super::failover::{runs, verdict};
use super::given::{Factor, Sweep, SweepPoint};
use super::markup::{Escaped, count, digits, put, seconds};
use super::scale::Linear;
use super::{Page, manifest};

const WIDTH: f64 = 1080.0;
/// So many combinations are listed and drawn.
const MOST: usize = 400;
const MOST_CURVES: usize = 24;

/// A value of the figure, as one reads it.
fn shown(sweep: &Sweep, value: f64) -> String {
    if sweep.figure.ends_with("_s") { seconds(value) } else { digits(value) }
}

/// The page.
pub(super) fn page(documents: &[(String, Sweep)]) -> Option<Page> {
    let (_, first) = documents.first()?;
    let mut body = String::new();
    for (_, sweep) in documents {
        header(&mut body, sweep);
        ranking(&mut body, sweep);
        parts(&mut body, sweep);
        curves(&mut body, sweep);
        table(&mut body, sweep);
    }
    body.push_str(&manifest(&first.manifest, &[]));
    Some(Page { title: format!("{} · sweep", first.scenario), body })
}

fn header(out: &mut String, sweep: &Sweep) {
    put!(
        out,
        "<header><p class=\"over\">Sweep · <b>{}</b> · {} runs · {} combinations of settings</p>",
        Escaped(&sweep.scenario),
        count(sweep.runs as u64),
        count(sweep.points.len() as u64)
    );
    let median = |p: &&SweepPoint| p.spread.map_or(f64::INFINITY, |s| s.median);
    let best = sweep.points.iter().min_by(|a, b| median(a).total_cmp(&median(b)));
    match (sweep.factors.first(), best.and_then(|b| Some((b, b.spread?)))) {
        (Some(f), Some((best, spread))) => put!(
            out,
            "<h1 class=\"verdict good\">{} buys most: {}</h1><p class=\"lead\">Best of all: <code>{}</code> with a median of \
             <b>{}</b> ({} to {} in nine of ten runs).",
            Escaped(brief(&f.setting)),
            shown(sweep, f.range),
            Escaped(best.settings.join("  ")),
            shown(sweep, spread.median),
            shown(sweep, spread.p5),
            shown(sweep, spread.p95)
        ),
        (None, Some((_, spread))) => put!(
            out,
            "<h1 class=\"verdict good\">{} in the middle of {} runs</h1><p class=\"lead\">From {} to {} in nine of ten runs, {} \
             at worst.",
            shown(sweep, spread.median),
            count(sweep.runs as u64),
            shown(sweep, spread.p5),
            shown(sweep, spread.p95),
            shown(sweep, spread.max)
        ),
        _ => out.push_str("<h1 class=\"verdict bad\">No run has the figure</h1><p class=\"lead\">"),
    }
    put!(out, " The figure is <code>{}</code>.", Escaped(&sweep.figure));
    let never: usize = sweep.points.iter().map(|p| p.never_recovered).sum();
    if never > 0 {
        put!(out, " <strong class=\"bad\">{never} runs never recovered.</strong>");
    }
    if sweep.missing > 0 {
        put!(out, " <strong class=\"warn\">{} runs are missing.</strong>", sweep.missing);
    }
    out.push_str("</p></header>");
}

fn ranking(out: &mut String, sweep: &Sweep) {
    if sweep.factors.is_empty() {
        return;
    }
    out.push_str(
        "<section class=\"card\" id=\"ranking\"><h2>Which setting buys how much</h2><p class=\"fine\">The mean over all other \
         settings and seeds, by value; the costliest setting first.</p>",
    );
    let most = sweep.factors.iter().flat_map(|f| &f.means).map(|m| m.1).fold(0.0, f64::max);
    for factor in &sweep.factors {
        put!(out, "<h3><code>{}</code> · {}", Escaped(&factor.setting), shown(sweep, factor.range));
        if let Some(slope) = factor.slope {
            let sign = if slope < 0.0 { "−" } else { "+" };
            put!(out, " <span class=\"quiet\">{sign}{} for each 1 more</span>", shown(sweep, slope.abs()));
        }
        out.push_str("</h3>");
        bars(out, sweep, factor, most);
    }
    out.push_str("</section>");
}

fn bars(out: &mut String, sweep: &Sweep, factor: &Factor, most: f64) {
    let x = Linear { from: 0.0, to: most, start: 110.0, end: WIDTH - 110.0 };
    let height = factor.means.len() as f64 * 20.0 + 4.0;
    put!(
        out,
        "<div class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"Means by value\">"
    );
    for (i, (value, mean)) in factor.means.iter().enumerate() {
        let (y, end) = (2.0 + i as f64 * 20.0, x.clamped(*mean));
        put!(
            out,
            "<text x=\"100\" y=\"{0:.1}\" text-anchor=\"end\">{1}</text><rect class=\"p0\" x=\"110\" y=\"{y:.1}\" \
             width=\"{2:.1}\" height=\"15\" rx=\"3\"/><text x=\"{3:.1}\" y=\"{0:.1}\">{4}</text>",
            y + 11.5,
            Escaped(value),
            (end - 110.0).max(0.5),
            end + 7.0,
            shown(sweep, *mean)
        );
    }
    out.push_str("</svg></div>");
}

fn parts(out: &mut String, sweep: &Sweep) {
    let sum: f64 = sweep.parts.iter().map(|p| p.mean_s).sum();
    if sum <= 0.0 || !sum.is_finite() {
        return;
    }
    put!(
        out,
        "<section class=\"card\" id=\"parts\"><h2>Where {} went on average, to scale</h2><svg class=\"parts\" viewBox=\"0 0 \
         {WIDTH} 30\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Mean parts\">",
        seconds(sum)
    );
    let mut x = 0.0;
    for (i, p) in sweep.parts.iter().enumerate() {
        let wide = p.mean_s / sum * WIDTH;
        put!(out, "<rect class=\"p{}\" x=\"{x:.2}\" y=\"0\" width=\"{wide:.2}\" height=\"30\"/>", i % 6);
        x += wide;
    }
    out.push_str("</svg><ul class=\"legend\">");
    for (i, p) in sweep.parts.iter().enumerate() {
        put!(
            out,
            "<li><span class=\"swatch p{}\"></span><b>{}</b> {}</li>",
            i % 6,
            seconds(p.mean_s),
            Escaped(verdict::part(&p.part))
        );
    }
    out.push_str("</ul></section>");
}

fn curves(out: &mut String, sweep: &Sweep) {
    let many: Vec<&SweepPoint> = sweep.points.iter().filter(|p| p.values.len() > 1).collect();
    if many.is_empty() || !sweep.figure.ends_with("_s") {
        return;
    }
    out.push_str(
        "<section class=\"card\" id=\"curves\"><h2>Shares of runs up to a length</h2><div class=\"charts\">",
    );
    for point in many.iter().take(MOST_CURVES) {
        let title = if point.settings.is_empty() { sweep.figure.clone() } else { point.settings.join("  ") };
        runs::curve(out, &title, std::slice::from_ref(&point.values));
    }
    out.push_str("</div></section>");
}

fn table(out: &mut String, sweep: &Sweep) {
    out.push_str(
        "<section class=\"card\" id=\"points\"><h2>Every combination</h2><div class=\"wide\"><table><thead><tr>\
         <th>settings</th><th class=\"n\">runs</th><th class=\"n\">min</th><th class=\"n\">5 %</th><th \
         class=\"n\">median</th><th class=\"n\">95 %</th><th class=\"n\">max</th><th></th></tr></thead><tbody>",
    );
    for p in sweep.points.iter().take(MOST) {
        put!(out, "<tr><td><code>{}</code></td>", Escaped(p.settings.join("  ")));
        if let Some(why) = &p.refused {
            let first = why.lines().next().unwrap_or_default();
            put!(out, "<td colspan=\"7\" class=\"bad\">{}</td></tr>", Escaped(first));
            continue;
        }
        put!(out, "<td class=\"n\">{}</td>", p.values.len() + p.never_recovered);
        match p.spread {
            Some(s) => [s.min, s.p5, s.median, s.p95, s.max]
                .iter()
                .for_each(|v| put!(out, "<td class=\"n\">{}</td>", shown(sweep, *v))),
            None => out.push_str("<td class=\"n\">–</td>".repeat(5).as_str()),
        }
        match p.never_recovered {
            0 => out.push_str("<td></td></tr>"),
            n => put!(out, "<td class=\"bad\">{n} never recovered</td></tr>"),
        }
    }
    out.push_str("</tbody></table></div>");
    if sweep.points.len() > MOST {
        put!(out, "<p class=\"fine\">{} more are in report.json.</p>", sweep.points.len() - MOST);
    }
    out.push_str("</section>");
}
