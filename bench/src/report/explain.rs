//! A story of captures as text and as JSON (`espalier.explain/1`).

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use espalier_wire::Instant;
use schemars::JsonSchema;
use serde::Serialize;

use crate::explain::{self, Part, Sa, Story};
use crate::manifest::Manifest;
use crate::measure::lanes::Lane;
use crate::measure::series::Stretch;

/// The name of this JSON.
pub const SCHEMA: &str = "espalier.explain/1";

/// What the captures tell. Times are seconds from the first packet of all.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document {
    /// `espalier.explain/1`.
    pub schema: &'static str,
    /// Packets looked at.
    pub packets: u64,
    /// From the first to the last.
    pub duration_s: f64,
    /// By time.
    pub events: Vec<Event>,
    /// Every SA that was seen.
    pub sas: Vec<Sa>,
    /// Silences of a direction of ESP.
    pub gaps: Vec<Gap>,
    /// Each direction of ESP over time.
    pub flows: Vec<Flow>,
    /// What each speaker said of itself: a state stands from the message that says it to the last one that does.
    pub lanes: Vec<Lane>,
    /// Captures that end in the middle.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// Under which conditions.
    pub manifest: Manifest,
}

/// Something that happened.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Event {
    pub t_s: f64,
    pub source: &'static str,
    pub text: String,
}

/// One direction's packets over time. Of what is missing nobody knows when it was sent: it is spread over the time
/// between the packets around it.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Flow {
    pub src: Ipv4Addr,
    pub dst: Ipv4Addr,
    /// `delivered` are packets that were seen, `lost` sequence numbers that were passed over.
    pub series: Vec<Stretch>,
}

/// A silence of one direction.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Gap {
    pub src: Ipv4Addr,
    pub dst: Ipv4Addr,
    /// The last packet before.
    pub from_s: f64,
    /// The first packet after.
    pub to_s: f64,
    pub s: f64,
    pub spi_before: String,
    pub spi_after: String,
    /// Sequence numbers passed over, when the SA is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<u32>,
    /// They sum to `s`.
    pub parts: Vec<Part>,
}

/// The JSON of a story.
pub fn document(story: &Story) -> Document {
    let start = story.start.unwrap_or(Instant::ZERO);
    let event =
        |e: &explain::Event| Event { t_s: (e.at - start).as_s(), source: e.source, text: e.text.clone() };
    let gap = |g: &explain::Gap| Gap {
        src: g.ends.0,
        dst: g.ends.1,
        from_s: (g.from - start).as_s(),
        to_s: (g.to - start).as_s(),
        s: (g.to - g.from).as_s(),
        spi_before: format!("0x{:08x}", g.spis.0),
        spi_after: format!("0x{:08x}", g.spis.1),
        missing: g.missing,
        parts: g.parts.clone(),
    };
    let flow = |((src, dst), stretch): &((Ipv4Addr, Ipv4Addr), Stretch)| Flow {
        src: *src,
        dst: *dst,
        series: vec![stretch.clone()],
    };
    Document {
        schema: SCHEMA,
        packets: story.packets,
        duration_s: story.end.map_or(0.0, |end| (end - start).as_s()),
        events: story.events.iter().map(event).collect(),
        sas: story.sas.clone(),
        gaps: story.gaps.iter().map(gap).collect(),
        flows: story.flows.iter().map(flow).collect(),
        lanes: story.lanes.clone(),
        cut: story.cut.clone(),
        manifest: Manifest::here("captured", None),
    }
}

/// A story as text.
pub fn text(story: &Story) -> String {
    let d = document(story);
    let mut text = format!("{} packets in {:.3} s\n\nWhat was said\n", d.packets, d.duration_s);
    for e in &d.events {
        let _ = writeln!(text, "  {:>12.6} s  {:<5} {}", e.t_s, e.source, e.text);
    }
    if !d.sas.is_empty() {
        let _ = writeln!(text, "\nESP");
    }
    for sa in &d.sas {
        let Sa { src, dst, spi, packets, missing, again_or_late, first_s, last_s } = sa;
        let _ = writeln!(
            text,
            "  {spi}  {src} -> {dst}  {packets} packets from {first_s:.3} to {last_s:.3} s, {missing} missing, \
             {again_or_late} again or late"
        );
    }
    if !d.gaps.is_empty() {
        let _ = writeln!(text, "\nSilences");
    }
    for g in &d.gaps {
        let lost = g.missing.map_or_else(
            || format!("SPI {} gave way to {}", g.spi_before, g.spi_after),
            |n| format!("{n} sequence numbers passed over"),
        );
        let _ = writeln!(text, "  {} -> {}  {:.3} s from {:.3} s; {lost}", g.src, g.dst, g.s, g.from_s);
        let part = |p: &Part| format!("{} {:.3} s", p.part, p.s);
        let _ = writeln!(text, "     └ {}", g.parts.iter().map(part).collect::<Vec<_>>().join(", "));
    }
    text
}
