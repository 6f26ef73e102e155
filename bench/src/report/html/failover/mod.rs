//! The page of a failover: `espalier.failover/1` in words, drawings and tables.

pub(super) mod books;
mod latency;
pub(super) mod runs;
pub(super) mod timeline;
mod topology;
pub(super) mod verdict;
mod waterfall;

use super::given::Failover;
use super::markup::{Escaped, inert, put, seconds};
use super::{Page, manifest};
use timeline::Window;

/// What the axis shows.
const OVER_TIME: &str = "<span class=\"key delivered\">delivered</span> <span class=\"key lost\">lost</span> packets a \
                         second by the time they were offered, and the state of every machine.";

/// The page of one document, or of several side by side: the first is shown whole.
pub(super) fn page(documents: &[(String, Failover)]) -> Option<Page> {
    let (name, run) = documents.first()?;
    let mut body = String::new();
    if documents.len() > 1 {
        put!(
            body,
            "<p class=\"over\"><b>{} documents side by side.</b> All but <a href=\"#comparison\">the comparison</a> is of \
             the first: <b>{}</b>.</p>",
            documents.len(),
            Escaped(name)
        );
    }
    put!(
        body,
        "<header><p class=\"over\">Failover report · <b>{}</b> · seed {} · {} of {} time</p>{}</header>",
        Escaped(&run.scenario),
        run.seed,
        seconds(run.duration_s),
        Escaped(&run.clock),
        verdict::draw(run)
    );
    if documents.len() > 1 {
        body.push_str(&runs::comparison(documents));
    }
    let drawn = topology::draw(run);
    if !drawn.is_empty() {
        put!(
            body,
            "<section class=\"card\" id=\"network\"><h2>The network</h2><p class=\"fine\">{}</p><div \
             class=\"wide\">{drawn}</div>{}</section>",
            Escaped(&run.about),
            struck(run)
        );
    }
    body.push_str(&over_time(run, OVER_TIME));
    body.push_str(&waterfall::draw(run));
    body.push_str(&books::outages(run));
    body.push_str(&books::prediction(run));
    body.push_str(&books::losses(run));
    body.push_str(&runs::spread(run));
    body.push_str(&books::rekeys(run));
    body.push_str(&latency::draw(run));
    body.push_str(&books::events(run));
    body.push_str(&manifest(&run.manifest, &[("digest of every frame", &run.digest)]));
    put!(body, "<script type=\"application/json\" id=\"data\">{}</script>", inert(&data(run)));
    Some(Page { title: format!("{} · failover report", run.scenario), body })
}

/// The whole run on one axis, as a drawing that stands alone.
pub(super) fn picture(run: &Failover) -> Option<String> {
    let whole = Window { from: 0.0, to: run.duration_s, live: false };
    (run.duration_s > 0.0 && run.duration_s.is_finite()).then(|| timeline::draw(run, whole))
}

/// What struck, under the drawing.
fn struck(run: &Failover) -> String {
    let mut out = String::from("<ol class=\"faults\">");
    for (i, f) in run.faults.iter().enumerate() {
        put!(
            out,
            "<li><a href=\"#fault-{i}\"><span class=\"number\">{}</span> {} <code>{}</code></a> at {}</li>",
            i + 1,
            Escaped(&f.action),
            Escaped(&f.target),
            seconds(f.at_s)
        );
    }
    out.push_str("</ol>");
    out
}

/// The whole run on one axis.
pub(super) fn over_time(run: &Failover, words: &str) -> String {
    if !(run.duration_s > 0.0 && run.duration_s.is_finite()) {
        return String::new();
    }
    let drawn = timeline::draw(run, Window { from: 0.0, to: run.duration_s, live: true });
    format!(
        "<section class=\"card\" id=\"time\"><h2>Over time</h2><p class=\"fine\">{words} <span class=\"script\">Turn the wheel or drag over a stretch to zoom, \
         double-click for all; point at anything for what it is.</span></p><div class=\"tools\"></div><div \
         class=\"wide\">{drawn}</div></section>"
    )
}

/// What the page's script needs to answer a pointer.
pub(super) fn data(run: &Failover) -> serde_json::Value {
    let series = |f: &super::given::Flow| {
        let stretches = f.series.iter().map(|s| {
            serde_json::json!({ "from": s.from_s, "bin": s.bin_s, "delivered": s.delivered, "lost": s.lost })
        });
        serde_json::json!({ "name": f.name, "series": stretches.collect::<Vec<_>>() })
    };
    let faults = run.faults.iter().enumerate().map(|(i, f)| {
        let own = run.flows.iter().flat_map(|f| &f.outages).filter(|o| o.fault == Some(i));
        let end = own.map(|o| o.end_s.unwrap_or(run.duration_s)).fold(f.at_s + 0.5, f64::max);
        serde_json::json!({ "at": f.at_s, "end": end, "name": format!("{} {}", f.action, f.target) })
    });
    serde_json::json!({
        "duration": run.duration_s,
        "flows": run.flows.iter().map(series).collect::<Vec<_>>(),
        "faults": faults.collect::<Vec<_>>(),
    })
}
