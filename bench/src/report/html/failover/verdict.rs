//! What happened, in plain words: the headline of the page, the sentence under it, and the figures beside it.

use super::super::given::{Failover, Flow, Outage};
use super::super::markup::{Escaped, count, plural, put, seconds};

/// What a part of an outage is, in words that need no router.
pub(in super::super) fn part(name: &str) -> &str {
    match name {
        "hsrp-hold" => "waiting for HSRP's hold timer to run out",
        "hsrp-preempt" => "HSRP's change back to the preferred router",
        "arp" => "announcing the virtual address",
        "dpd" => "waiting for dead peer detection",
        "ospf-dead" => "waiting for OSPF's dead interval",
        "route-flood" => "flooding the new route",
        "spf" => "waiting for OSPF's SPF timer",
        "ike" => "negotiating new keys with IKE",
        "fault" => "waiting until what was taken away came back",
        "next-packet" => "waiting for the flow's next packet",
        other => other,
    }
}

/// `ROUTER:INTERFACE` as one says it.
fn interface(target: &str) -> String {
    target.rsplit_once(':').map_or_else(|| target.to_owned(), |(router, name)| format!("{name} of {router}"))
}

/// The time between two packets of a flow, as an outage shows it.
fn resolution(o: &Outage) -> f64 {
    o.plbm_s.unwrap_or(f64::INFINITY) / o.lost.max(1) as f64
}

/// Of outages of one cause, the one that tells best how long it was: a sparse flow sees too much by up to the time
/// between two of its packets.
pub(super) fn clearest<'a>(
    outages: impl Iterator<Item = (&'a Flow, &'a Outage)>,
) -> Option<(&'a Flow, &'a Outage)> {
    let long = |o: &Outage| o.tbm_s.unwrap_or(0.0);
    outages
        .filter(|(_, o)| long(o) > 0.0)
        .min_by(|a, b| resolution(a.1).total_cmp(&resolution(b.1)).then(long(b.1).total_cmp(&long(a.1))))
}

/// What a fault did, as the middle of a sentence.
fn deed(action: &str, target: &str) -> String {
    match action {
        "shutdown" => format!("{} was shut down", interface(target)),
        "no-shutdown" => format!("{} came back", interface(target)),
        "crash" => format!("{target} crashed"),
        "boot" => format!("{target} booted"),
        "reload" => format!("{target} was reloaded"),
        "cut" => format!("segment {target} was cut"),
        "restore" => format!("segment {target} was restored"),
        "impair" => format!("segment {target} was impaired"),
        "clear-sa" => format!("the SAs of {target} were cleared"),
        "config" => format!("{target} was reconfigured"),
        other => format!("{other} {target}"),
    }
}

fn when(run: &Failover, outage: &Outage) -> String {
    match outage.fault.and_then(|f| run.faults.get(f)) {
        Some(f) => format!("when {}", deed(&f.action, &f.target)),
        None if outage.kind == "rekey" => "at a rekey".to_owned(),
        None => format!("{} into the run", seconds(outage.start_s)),
    }
}

/// Every outage with its flow; without those that only waited for the first SA.
fn all(run: &Failover) -> impl Iterator<Item = (&Flow, &Outage)> {
    run.flows.iter().flat_map(|f| f.outages.iter().map(move |o| (f, o)))
}

fn worst(run: &Failover) -> Option<(&Flow, &Outage)> {
    let long = |o: &Outage| if o.end_s.is_none() { f64::INFINITY } else { o.tbm_s.unwrap_or(0.0) };
    let (flow, most) = all(run).max_by(|a, b| long(a.1).total_cmp(&long(b.1)))?;
    if most.end_s.is_none() {
        return Some((flow, most));
    }
    clearest(all(run).filter(|(_, o)| o.fault == most.fault && o.kind == most.kind))
}

/// The headline, and whether it is good news.
fn headline(run: &Failover) -> (String, &'static str) {
    if !run.violations.is_empty() {
        return (format!("The run broke {} of its own rules", run.violations.len()), "bad");
    }
    match worst(run) {
        None => ("No outage: nothing was lost that was not lost at once".to_owned(), "good"),
        Some((flow, o)) if o.end_s.is_none() => {
            let others = run.flows.iter().filter(|f| !f.recovered).count().saturating_sub(1);
            let and = if others > 0 { format!(" and {others} more") } else { String::new() };
            (format!("{}{and} never recovered {}", flow.name, when(run, o)), "bad")
        }
        Some((_, o)) => {
            let took = o.tbm_s.unwrap_or(0.0);
            let grade = if took < 1.0 { "good" } else { "warn" };
            (format!("Traffic stopped for {} {}", seconds(took), when(run, o)), grade)
        }
    }
}

fn reason(run: &Failover, out: &mut String) {
    let Some((flow, o)) = worst(run) else { return };
    let Some(total) = o.tbm_s.filter(|t| *t > 0.0) else { return };
    let Some(most) = o.parts.iter().max_by(|a, b| a.s.total_cmp(&b.s)) else { return };
    put!(
        out,
        " Of the outage of {} ({}), <b>{:.0} %</b> went by {}",
        Escaped(&flow.name),
        seconds(total),
        // Rounded down: what is left is something, however little.
        (most.s / total * 100.0).floor(),
        Escaped(part(&most.part))
    );
    let ike = o.parts.iter().find(|p| p.part == "ike" && p.part != most.part);
    match ike {
        Some(ike) => put!(out, "; negotiating new keys took {}.", seconds(ike.s)),
        None => out.push('.'),
    }
}

fn taken_over(run: &Failover, out: &mut String) {
    let Some((_, o)) = worst(run) else { return };
    let Some(fault) = o.fault else { return };
    let active = run.phases.iter().find(|p| p.fault == fault && p.milestone == "active");
    if let (Some(active), Some(f)) = (active, run.faults.get(fault)) {
        put!(
            out,
            " <b>{}</b> took over {} after the fault.",
            Escaped(&active.node),
            seconds(active.at_s - f.at_s)
        );
    }
}

/// The other half of the story: what the return cost, or the failover where the return was the worse.
fn returned(run: &Failover, out: &mut String) {
    let (kind, what) = match worst(run) {
        Some((_, o)) if o.kind == "reversion" => ("failover", "The failover before it"),
        _ => ("reversion", "Going back"),
    };
    let others: Vec<_> = all(run).filter(|(_, o)| o.kind == kind).collect();
    if others.is_empty() {
        return;
    }
    let longest = others.iter().filter_map(|(_, o)| o.tbm_s).fold(0.0, f64::max);
    let lost: u64 = others.iter().map(|(_, o)| o.lost).sum();
    put!(
        out,
        " {what} cost {} of silence at most and {}.",
        seconds(longest),
        plural(lost, "packet", "packets")
    );
}

/// The opening of the page.
pub(super) fn draw(run: &Failover) -> String {
    let mut out = String::new();
    let (line, grade) = headline(run);
    let lost: u64 = run.flows.iter().map(|f| f.lost).sum();
    let offered: u64 = run.flows.iter().map(|f| f.offered).sum();
    put!(out, "<h1 class=\"verdict {grade}\">{}</h1><p class=\"lead\">", Escaped(line));
    taken_over(run, &mut out);
    reason(run, &mut out);
    returned(run, &mut out);
    put!(out, " In all, <b>{}</b> of {} were lost; ", count(lost), plural(offered, "packet", "packets"));
    let balanced = run.flows.iter().all(|f| {
        let named: u64 = run.losses.iter().filter(|l| l.flow == f.name).map(|l| l.lost).sum();
        f.offered == f.delivered + f.lost && named == f.lost
    });
    out.push_str(if balanced && run.violations.is_empty() {
        "every one of them is accounted for by place and cause.</p>"
    } else {
        "<strong class=\"bad\">the books do not balance.</strong></p>"
    });
    for violation in &run.violations {
        put!(out, "<p class=\"bad\">{}</p>", Escaped(violation));
    }
    tiles(run, &mut out);
    out
}

/// One tile a flow: its longest outage and what it lost.
fn tiles(run: &Failover, out: &mut String) {
    out.push_str("<div class=\"tiles\">");
    for (i, flow) in run.flows.iter().enumerate() {
        let longest = flow.outages.iter().filter_map(|o| o.tbm_s).fold(0.0, f64::max);
        let (figure, class) = match () {
            () if !flow.recovered => ("never recovered".to_owned(), "bad"),
            () if longest > 0.0 => (seconds(longest), if longest < 1.0 { "good" } else { "warn" }),
            () => ("no outage".to_owned(), "good"),
        };
        put!(
            out,
            "<a class=\"tile\" href=\"#flow-{i}\"><span class=\"what\">{}</span><span class=\"figure {class}\">{}</span>\
             <span class=\"note\" data-flow=\"{i}\"><b class=\"lost\">{}</b> lost of {}</span></a>",
            Escaped(&flow.name),
            Escaped(figure),
            count(flow.lost),
            count(flow.offered)
        );
    }
    out.push_str("</div>");
}
