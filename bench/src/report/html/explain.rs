//! The page of `espalier.explain/1`: what captures tell, on the failover page's own time axis. Packets are those that were
//! seen; lost is what sequence numbers say is missing.

use super::failover::timeline::{self, Window};
use super::failover::{books, data, over_time};
use super::given::{Explain, Failover, Flow, Gap, Outage, SeenFlow};
use super::markup::{Escaped, count, inert, plural, put, seconds};
use super::{Page, manifest};

const WIDTH: f64 = 1080.0;
/// Silences that are shown close up.
const MOST: usize = 40;

/// The page of one explanation; captures of one network belong into one.
pub(super) fn page(name: &str, story: &Explain) -> Page {
    let run = as_run(story);
    let mut body = String::new();
    put!(
        body,
        "<header><p class=\"over\">Captures explained · <b>{}</b> · {} in {}</p>{}</header>",
        Escaped(name),
        plural(story.packets, "packet", "packets"),
        seconds(story.duration_s),
        verdict(story)
    );
    for cut in &story.cut {
        put!(body, "<p class=\"bad\">Cut off: {}</p>", Escaped(cut));
    }
    body.push_str(&over_time(
        &run,
        "ESP <span class=\"key delivered\">seen</span> and <span class=\"key lost\">missing</span>, packets a second, and \
         what each speaker said of itself, from the message that says it to the last one that does.",
    ));
    for (n, gap) in story.gaps.iter().enumerate().take(MOST) {
        body.push_str(&silence(&run, story, n, gap));
    }
    if story.gaps.len() > MOST {
        put!(body, "<p class=\"fine\">{} more silences are in the JSON.</p>", story.gaps.len() - MOST);
    }
    body.push_str(&sas(story));
    body.push_str(&books::events(&run));
    body.push_str(&manifest(&story.manifest, &[]));
    put!(body, "<script type=\"application/json\" id=\"data\">{}</script>", inert(&data(&run)));
    Page { title: "Captures explained".to_owned(), body }
}

/// The same as a run without faults: what the axis draws.
fn as_run(story: &Explain) -> Failover {
    let flow = |f: &SeenFlow| {
        let own = story.gaps.iter().filter(|g| (&g.src, &g.dst) == (&f.src, &f.dst));
        let outage = |g: &Gap| Outage {
            start_s: g.from_s,
            end_s: Some(g.to_s),
            lost: g.missing.unwrap_or(0),
            tbm_s: Some(g.s),
            ..Outage::default()
        };
        Flow {
            name: format!("{} → {}", f.src, f.dst),
            outages: own.map(outage).collect(),
            series: f.series.clone(),
            ..Flow::default()
        }
    };
    Failover {
        duration_s: story.duration_s,
        flows: story.flows.iter().map(flow).collect(),
        lanes: story.lanes.clone(),
        events: story.events.clone(),
        ..Failover::default()
    }
}

fn verdict(story: &Explain) -> String {
    let longest = story.gaps.iter().max_by(|a, b| a.s.total_cmp(&b.s));
    let missing: u64 = story.sas.iter().map(|sa| sa.missing).fold(0, u64::saturating_add);
    let mut out = String::new();
    match longest {
        Some(gap) => put!(
            out,
            "<h1 class=\"verdict bad\">{} fell silent for {}</h1><p>{} in all; {} of ESP missing by its sequence \
             numbers.</p>",
            Escaped(format!("{} → {}", gap.src, gap.dst)),
            seconds(gap.s),
            plural(story.gaps.len() as u64, "silence", "silences"),
            plural(missing, "packet", "packets")
        ),
        None if story.sas.is_empty() => out.push_str("<h1 class=\"verdict\">No ESP was seen</h1>"),
        None => put!(
            out,
            "<h1 class=\"verdict good\">No direction of ESP fell silent</h1><p>{} missing by sequence numbers.</p>",
            plural(missing, "packet", "packets")
        ),
    }
    out
}

fn silence(run: &Failover, story: &Explain, n: usize, gap: &Gap) -> String {
    let mut out = String::new();
    let same = |f: &&SeenFlow| (&f.src, &f.dst) == (&gap.src, &gap.dst);
    let flow = story.flows.iter().position(|f| same(&f)).unwrap_or(0);
    let of_flow = story.gaps.iter().take(n).filter(|g| (&g.src, &g.dst) == (&gap.src, &gap.dst)).count();
    put!(
        out,
        "<section class=\"card\" id=\"outage-{flow}-{of_flow}\"><h2>{} → {}: {} of silence at {:.3} s</h2><p>{}</p>",
        Escaped(&gap.src),
        Escaped(&gap.dst),
        seconds(gap.s),
        gap.from_s,
        match gap.missing {
            Some(n) => format!(
                "SPI <code>{}</code> before and after; {} passed over.",
                Escaped(&gap.spi_before),
                plural(n, "sequence number", "sequence numbers")
            ),
            None => format!(
                "SPI <code>{}</code> before, <code>{}</code> after.",
                Escaped(&gap.spi_before),
                Escaped(&gap.spi_after)
            ),
        }
    );
    let sum: f64 = gap.parts.iter().map(|p| p.s).sum();
    if sum > 0.0 && sum.is_finite() {
        parts(&mut out, gap, sum);
    }
    let margin = (gap.s * 0.08).clamp(0.02, 5.0);
    let window = Window { from: gap.from_s - margin, to: gap.to_s + margin, live: false };
    if (window.to - window.from).is_finite() && window.to > window.from {
        put!(
            out,
            "<details open class=\"close\"><summary>Close-up: {} around it</summary>{}</details>",
            seconds(window.to - window.from),
            timeline::draw(run, window)
        );
    }
    out.push_str("</section>");
    out
}

/// What happened in a silence, in order, to scale.
fn parts(out: &mut String, gap: &Gap, sum: f64) {
    put!(
        out,
        "<svg class=\"parts\" viewBox=\"0 0 {WIDTH} 30\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Parts of \
         the silence\">"
    );
    let (mut x, mut legend) = (0.0, String::from("</svg><ul class=\"legend\">"));
    for (i, p) in gap.parts.iter().enumerate() {
        let wide = p.s / sum * WIDTH;
        put!(
            out,
            "<rect class=\"part p{0}\" x=\"{x:.2}\" y=\"0\" width=\"{wide:.2}\" height=\"30\"><title>{1}: {2}</title></rect>",
            i % 6,
            Escaped(&p.part),
            seconds(p.s)
        );
        put!(
            legend,
            "<li><span class=\"swatch p{}\"></span><b>{}</b> {} <span class=\"quiet\">{:.1} %</span></li>",
            i % 6,
            seconds(p.s),
            Escaped(meaning(&p.part)),
            p.s / sum * 100.0
        );
        x += wide;
    }
    out.push_str(&legend);
    out.push_str("</ul>");
}

/// What a part of a silence was spent on.
fn meaning(part: &str) -> &str {
    match part {
        "takeover" => "until another router said that it is active",
        "route" => "until a route was announced",
        "until-ike" => "until IKE began",
        "ike" => "until IKE was over",
        "first-packet" => "until the first packet",
        other => other,
    }
}

fn sas(story: &Explain) -> String {
    if story.sas.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<section class=\"card\" id=\"sas\"><h2>Every SA that was seen</h2><div class=\"wide\"><table><thead><tr><th>SPI</th>\
         <th>direction</th><th class=\"n\">packets</th><th class=\"n\">missing</th><th class=\"n\">again or late</th><th \
         class=\"n\">from</th><th class=\"n\">to</th></tr></thead><tbody>",
    );
    for sa in &story.sas {
        put!(
            out,
            "<tr><td><code>{}</code></td><td>{} → {}</td><td class=\"n\">{}</td><td class=\"n lost\">{}</td><td \
             class=\"n\">{}</td><td class=\"n\">{:.3} s</td><td class=\"n\">{:.3} s</td></tr>",
            Escaped(&sa.spi),
            Escaped(&sa.src),
            Escaped(&sa.dst),
            count(sa.packets),
            count(sa.missing),
            count(sa.again_or_late),
            sa.first_s,
            sa.last_s
        );
    }
    out.push_str("</tbody></table></div></section>");
    out
}
