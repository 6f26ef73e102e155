//! The books: each flow's outages by the three methods of RFC 6414, and what was lost by node and cause, sums shown.

use std::collections::BTreeMap;

use super::super::given::{Failover, Flow, Outage};
use super::super::markup::{Escaped, count, put, seconds};

/// The section of outages.
pub(super) fn outages(run: &Failover) -> String {
    let mut out = String::from(
        "<section class=\"card\" id=\"outages\"><h2>Outages by three methods</h2><p class=\"fine\">RFC 6414: by the times \
         at which the packets around it were offered (TBM) and at which they arrived (TBLM), and by how many are missing \
         at the rate they were offered (PLBM). None can tell more than the time between two packets of its flow, which \
         stands beside it.</p><div class=\"wide\"><table><thead><tr><th>flow</th><th>fault</th><th>kind</th><th \
         class=\"n\">from</th><th class=\"n\">lost</th><th class=\"n\">TBM</th><th class=\"n\">TBLM</th><th \
         class=\"n\">PLBM</th><th class=\"n\">resolution</th><th></th></tr></thead><tbody>",
    );
    let longest = run.flows.iter().flat_map(|f| &f.outages).filter_map(|o| o.tbm_s).fold(0.0, f64::max);
    let mut any = false;
    for (i, flow) in run.flows.iter().enumerate() {
        for (n, o) in flow.outages.iter().enumerate() {
            any = true;
            row(&mut out, (i, n), flow, o, longest);
        }
    }
    if !any {
        out.push_str("<tr><td colspan=\"10\" class=\"quiet\">none</td></tr>");
    }
    out.push_str("</tbody></table></div></section>");
    out
}

fn row(out: &mut String, (i, n): (usize, usize), flow: &Flow, o: &Outage, longest: f64) {
    let fault = o.fault.map_or_else(|| "–".to_owned(), |f| (f + 1).to_string());
    let time = |t: Option<f64>| t.map_or_else(|| "–".to_owned(), seconds);
    let resolution = o.plbm_s.filter(|_| o.lost > 0).map(|p| p / o.lost as f64);
    put!(
        out,
        "<tr id=\"outage-{i}-{n}\" data-flow=\"{i}\" data-outage=\"{n}\"><td>{}{}</td><td>{fault}</td><td>{}</td><td \
         class=\"n\">{:.6} s</td><td class=\"n lost\">{}</td>",
        Escaped(&flow.name),
        causes(o),
        Escaped(&o.kind),
        o.start_s,
        count(o.lost)
    );
    if o.end_s.is_none() {
        out.push_str("<td colspan=\"5\" class=\"bad\">never recovered</td></tr>");
        return;
    }
    let share = o.tbm_s.filter(|_| longest > 0.0).map_or(0.0, |t| t / longest * 100.0);
    put!(
        out,
        "<td class=\"n tbm\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td \
         class=\"meter\"><span style=\"width:{share:.1}%\"></span></td></tr>",
        time(o.tbm_s),
        time(o.tblm_s),
        time(o.plbm_s),
        resolution.map_or_else(|| "–".to_owned(), |r| format!("±{}", seconds(r)))
    );
}

/// With real interfaces: what virtual time had predicted.
pub(super) fn prediction(run: &Failover) -> String {
    if run.prediction.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<section class=\"card\" id=\"prediction\"><h2>Predicted in virtual time, measured on real interfaces</h2><div \
         class=\"wide\"><table><thead><tr><th>flow</th><th>fault</th><th>kind</th><th class=\"n\">predicted \
         TBM</th><th class=\"n\">lost</th><th class=\"n\">measured TBM</th><th class=\"n\">lost</th></tr></thead><tbody>",
    );
    for p in &run.prediction {
        let time = |t: Option<f64>, lost: u64| match t {
            Some(t) => seconds(t),
            None if lost > 0 => "never recovered".to_owned(),
            None => "–".to_owned(),
        };
        put!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n lost\">{}</td><td \
             class=\"n\">{}</td><td class=\"n lost\">{}</td></tr>",
            Escaped(&p.flow),
            p.fault.saturating_add(1),
            Escaped(&p.kind),
            time(p.predicted_tbm_s, p.predicted_lost),
            count(p.predicted_lost),
            time(p.measured_tbm_s, p.measured_lost),
            count(p.measured_lost)
        );
    }
    out.push_str("</tbody></table></div></section>");
    out
}

/// Where an outage's packets went, and why.
fn causes(o: &Outage) -> String {
    let mut out = String::new();
    for loss in &o.losses {
        put!(
            out,
            "<br><span class=\"fine\">{} at {} to <code>{}</code></span>",
            count(loss.lost),
            Escaped(&loss.node),
            Escaped(&loss.cause)
        );
    }
    out
}

/// What a cause means.
fn meaning(cause: &str) -> &'static str {
    espalier_wire::Cause::ALL.iter().find(|c| c.name() == cause).map_or("", |c| c.meaning())
}

/// The section of losses.
pub(super) fn losses(run: &Failover) -> String {
    let mut out = String::from(
        "<section class=\"card\" id=\"losses\"><h2>Where packets were lost, and why</h2><div class=\"wide\"><table>\
         <thead><tr><th>place</th><th>cause</th><th></th>",
    );
    for (i, flow) in run.flows.iter().enumerate() {
        put!(out, "<th class=\"n\" id=\"flow-{i}\">{}</th>", Escaped(&flow.name));
    }
    out.push_str("<th class=\"n\">sum</th></tr></thead><tbody>");
    let mut places: BTreeMap<(&str, &str), BTreeMap<&str, u64>> = BTreeMap::new();
    for loss in &run.losses {
        *places.entry((&loss.node, &loss.cause)).or_default().entry(&loss.flow).or_default() += loss.lost;
    }
    let mut rows: Vec<_> = places.iter().map(|(key, by)| (by.values().sum::<u64>(), key, by)).collect();
    rows.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let most = rows.first().map_or(1, |r| r.0).max(1);
    for (sum, (node, cause), by) in &rows {
        put!(
            out,
            "<tr><td>{}</td><td title=\"{1}\"><code>{2}</code><br><span class=\"fine\">{1}</span></td><td \
             class=\"meter\"><span style=\"width:{3:.1}%\"></span></td>",
            Escaped(node),
            Escaped(meaning(cause)),
            Escaped(cause),
            *sum as f64 / most as f64 * 100.0
        );
        for flow in &run.flows {
            let n = by.get(flow.name.as_str()).copied().unwrap_or(0);
            put!(out, "<td class=\"n\">{}</td>", if n == 0 { "·".to_owned() } else { count(n) });
        }
        put!(out, "<td class=\"n sum\">{}</td></tr>", count(*sum));
    }
    sums(run, &mut out);
    out.push_str("</table></div></section>");
    out
}

fn sums(run: &Failover, out: &mut String) {
    let line = |out: &mut String, what: &str, class: &str, of: &dyn Fn(&Flow) -> u64| {
        put!(out, "<tr class=\"{class}\"><th colspan=\"3\">{what}</th>");
        for (i, flow) in run.flows.iter().enumerate() {
            put!(out, "<td class=\"n\" data-sum=\"{class}-{i}\">{}</td>", count(of(flow)));
        }
        put!(out, "<td class=\"n sum\">{}</td></tr>", count(run.flows.iter().map(of).sum()));
    };
    out.push_str("</tbody><tfoot>");
    line(out, "lost", "lost", &|f| f.lost);
    line(out, "delivered", "delivered", &|f| f.delivered);
    line(out, "offered = delivered + lost", "offered", &|f| f.offered);
    if run.flows.iter().any(|f| f.duplicated + f.reordered + f.corrupted > 0) {
        line(out, "duplicated", "beside", &|f| f.duplicated);
        line(out, "reordered", "beside", &|f| f.reordered);
        line(out, "corrupted", "beside", &|f| f.corrupted);
    }
    out.push_str("</tfoot>");
}

/// The section of rekeys; nothing when there were none.
pub(super) fn rekeys(run: &Failover) -> String {
    if run.rekeys.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<section class=\"card\" id=\"rekeys\"><h2>Rekeys</h2><table><thead><tr><th class=\"n\">at</th><th>router</th>\
         <th>peer</th><th class=\"n\">longest silence</th><th class=\"n\">lost</th><th class=\"n\">old SA \
         stays</th></tr></thead><tbody>",
    );
    for r in &run.rekeys {
        put!(
            out,
            "<tr><td class=\"n\">{:.3} s</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td \
             class=\"n\">{}</td></tr>",
            r.at_s,
            Escaped(&r.node),
            Escaped(&r.peer),
            seconds(r.gap_ns as f64 / 1e9),
            count(r.lost),
            r.overlap_s.map_or_else(|| "to the end".to_owned(), seconds)
        );
    }
    out.push_str("</tbody></table></section>");
    out
}

/// What the routers said, folded away.
pub(in super::super) fn events(run: &Failover) -> String {
    const MOST: usize = 3000;
    let mut out = String::new();
    put!(
        out,
        "<section class=\"card\" id=\"events\"><details><summary><h2>What the routers said ({})</h2></summary><div \
         class=\"wide\"><table class=\"log\"><tbody>",
        run.events.len()
    );
    for e in run.events.iter().take(MOST) {
        put!(
            out,
            "<tr class=\"{}\"><td class=\"n\">{:.6}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
            if e.source == "fault" { "fault" } else { "" },
            e.t_s,
            Escaped(&e.node),
            Escaped(&e.source),
            Escaped(&e.text)
        );
    }
    out.push_str("</tbody></table></div>");
    if run.events.len() > MOST {
        put!(out, "<p class=\"fine\">{} more are in report.json.</p>", run.events.len() - MOST);
    }
    out.push_str("</details></section>");
    out
}
