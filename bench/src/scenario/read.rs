//! From the document to the [`Scenario`]: every field read once, every name that the file itself defines checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use espalier_wire::{Duration, Instant};

use super::builtin::Files;
use super::set::{self, Overlay};
use super::tree::{self, Fields, Table, Value};
use super::{
    Changes, Endpoint, FaultAction, FaultSpec, Impairment, ImpairmentChange, RouterSpec, Scenario,
    SegmentSpec, TrafficKind, TrafficSpec, quantity,
};
use crate::place::{Mistake, Place, nearest};

/// Traffic stops this long before the end, so that what is under way can arrive.
pub(super) const DRAIN: Duration = Duration::from_s(5);

/// The keys of each kind of table.
mod keys {
    pub(super) const SCENARIO: &[&str] =
        &["name", "about", "duration", "seed", "config", "router", "segment", "traffic", "fault"];
    pub(super) const ROUTER: &[&str] = &["config", "profile"];
    pub(super) const SEGMENT: &[&str] =
        &["name", "attach", "forward_delay", "delay", "rate", "queue", "loss", "reorder", "duplicate"];
    pub(super) const TRAFFIC: &[&str] =
        &["name", "from", "to", "kind", "rate", "size", "imix", "pcap", "speed", "loop", "start", "stop"];
    pub(super) const FAULT: &[&str] = &[
        "at",
        "action",
        "target",
        "down",
        "lines",
        "delay",
        "rate",
        "queue",
        "loss",
        "reorder",
        "duplicate",
    ];
    pub(super) const CONFIG: &[&str] = &["routers", "interface", "lines"];
}

const PROFILES: [&str; 3] = ["ios-12.3", "ios-15", "frr"];

struct Reader<'a> {
    files: &'a Files,
    directory: PathBuf,
}

/// Read the scenario at `path`.
pub(super) fn scenario(files: &Files, path: &Path, changes: &Changes) -> Result<Scenario, Mistake> {
    let file: Arc<str> = path.display().to_string().into();
    let bytes = files.read(path).map_err(|e| Place::start(&file).says(e))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let good = e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default();
        Place::in_text(&file, &String::from_utf8_lossy(good), good.len()).says("is not UTF-8 text")
    })?;
    let mut document = tree::parse(&file, &text)?;
    let mut overlays = Vec::new();
    for argument in &changes.set {
        set::apply(&mut document, argument, &mut overlays)?;
    }
    let reader = Reader { files, directory: path.parent().map(Path::to_path_buf).unwrap_or_default() };
    reader.document(&file, document, overlays, changes)
}

impl Reader<'_> {
    fn document(
        &self,
        file: &Arc<str>,
        document: Table,
        given: Vec<Overlay>,
        changes: &Changes,
    ) -> Result<Scenario, Mistake> {
        let mut fields = Fields::of("a scenario", keys::SCENARIO, document)?;
        let (name, name_at) = fields.required("name", tree::text)?;
        if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(
                name_at.says("`name`: it names a directory, so it holds no / and does not begin with .")
            );
        }
        let about = fields.optional("about", tree::text)?.unwrap_or_default();
        let (duration, duration_at) = fields.required("duration", tree::duration)?;
        if duration <= DRAIN {
            return Err(duration_at.says("`duration`: a run lasts longer than the 5 s in which it drains"));
        }
        let seed = fields.optional("seed", tree::whole)?.unwrap_or(1);
        let mut overlays = overlays(fields.tables("config")?)?;
        overlays.extend(given);
        let routers = self.routers(fields.tables("router")?, &overlays)?;
        if routers.is_empty() {
            return Err(fields.at().says("a scenario needs at least one [[router]]"));
        }
        let segments = segments(fields.tables("segment")?, &routers)?;
        let mut traffic = self.all_traffic(fields.tables("traffic")?, &routers, duration)?;
        let faults = self.faults(fields.tables("fault")?, &routers, &segments, duration)?;
        let at = fields.at().clone();
        fields.finish()?;
        if let Some(capture) = &changes.pcap {
            replay(&mut traffic, capture, &at)?;
        }
        let seed = changes.seed.unwrap_or(seed);
        Ok(Scenario { name, about, file: file.clone(), duration, seed, routers, segments, traffic, faults })
    }

    fn routers(&self, tables: Vec<Table>, overlays: &[Overlay]) -> Result<Vec<RouterSpec>, Mistake> {
        let mut routers: Vec<RouterSpec> = Vec::new();
        for table in tables {
            let mut fields = Fields::of("[[router]]", keys::ROUTER, table)?;
            let (config, at) = fields.required("config", tree::text)?;
            let profile = fields.optional("profile", profile)?.unwrap_or_else(|| PROFILES[0].to_owned());
            fields.finish()?;
            let path = self.directory.join(&config);
            let bytes = self.files.read(&path).map_err(|e| at.says(format!("{}: {e}", path.display())))?;
            let file = path.display().to_string();
            let mut text =
                String::from_utf8(bytes).map_err(|_| Place::start(&file).says("is not UTF-8 text"))?;
            let name = hostname(&text)
                .ok_or_else(|| Place::start(&file).says("the configuration has no hostname"))?;
            if let Some(twin) = routers.iter().find(|r| r.name == name) {
                return Err(at.says(format!("router \"{name}\" is there twice: {} is it, too", twin.file)));
            }
            for overlay in overlays.iter().filter(|o| o.takes(&name)) {
                append(&mut text, overlay);
            }
            routers.push(RouterSpec { name, file, text, profile, at });
        }
        for overlay in overlays {
            if !routers.iter().any(|r| overlay.takes(&r.name)) {
                let near = nearest(&overlay.routers, routers.iter().map(|r| r.name.as_str()));
                return Err(overlay.at.says(format!("no router is named \"{}\"{near}", overlay.routers)));
            }
        }
        Ok(routers)
    }

    fn all_traffic(
        &self,
        tables: Vec<Table>,
        routers: &[RouterSpec],
        duration: Duration,
    ) -> Result<Vec<TrafficSpec>, Mistake> {
        let mut names = BTreeSet::new();
        let mut all = Vec::new();
        for table in tables {
            let traffic = self.traffic(table, routers, duration)?;
            if !names.insert(traffic.name.clone()) {
                return Err(traffic.at.says(format!("traffic \"{}\" is there twice", traffic.name)));
            }
            all.push(traffic);
        }
        Ok(all)
    }

    fn traffic(
        &self,
        table: Table,
        routers: &[RouterSpec],
        duration: Duration,
    ) -> Result<TrafficSpec, Mistake> {
        let mut fields = Fields::of("[[traffic]]", keys::TRAFFIC, table)?;
        let (name, at) = fields.required("name", tree::text)?;
        if name.is_empty() || name.contains(['/', '.', '=', '<', '>']) {
            return Err(at.says("`name`: a flow's name is not empty and holds none of / . = < >"));
        }
        let from = endpoint(&fields.need("from")?, routers)?;
        let to = endpoint(&fields.need("to")?, routers)?;
        let kind = self.kind(&mut fields)?;
        let start = Instant::ZERO + fields.optional("start", tree::duration)?.unwrap_or_default();
        let stop = fields.optional("stop", tree::duration)?.map(|d| Instant::ZERO + d);
        fields.finish()?;
        let end = Instant::ZERO + duration.saturating_sub(DRAIN);
        if start >= stop.unwrap_or(end).min(end) {
            return Err(at.says(format!(
                "traffic \"{name}\" would stop before it starts (it stops at {} s)",
                end.as_s()
            )));
        }
        Ok(TrafficSpec { name, from, to, kind, start, stop, at })
    }

    fn kind(&self, fields: &mut Fields) -> Result<TrafficKind, Mistake> {
        let (kind, kind_at) = fields.required("kind", tree::text)?;
        match kind.as_str() {
            "udp" => {
                let (pps, _) = fields.required("rate", tree::packet_rate)?;
                Ok(TrafficKind::Udp { pps, sizes: sizes(fields, 44)? })
            }
            "icmp-echo" => {
                let (pps, _) = fields.required("rate", tree::packet_rate)?;
                Ok(TrafficKind::IcmpEcho { pps, sizes: sizes(fields, 44)? })
            }
            "pcap" => {
                let (file, at) = fields.required("pcap", tree::text)?;
                let path = self.directory.join(&file);
                let read = self.files.read(&path);
                let bytes = read.map_err(|e| at.says(format!("{}: {e}", path.display())))?.into();
                let speed = fields.optional("speed", positive)?.unwrap_or(1.0);
                let pps = fields.optional("rate", tree::packet_rate)?;
                let repeat = fields.optional("loop", tree::boolean)?.unwrap_or(false);
                Ok(TrafficKind::Pcap { file: path.display().to_string(), bytes, speed, pps, repeat, at })
            }
            other => {
                let near = nearest(other, ["udp", "icmp-echo", "pcap"]);
                Err(kind_at.says(format!("`kind`: no traffic is \"{other}\"{near}")))
            }
        }
    }

    fn faults(
        &self,
        tables: Vec<Table>,
        routers: &[RouterSpec],
        segments: &[SegmentSpec],
        duration: Duration,
    ) -> Result<Vec<FaultSpec>, Mistake> {
        let mut faults = Vec::new();
        for table in tables {
            let mut fields = Fields::of("[[fault]]", keys::FAULT, table)?;
            let (at, at_at) = fields.required("at", tree::duration)?;
            if at >= duration {
                return Err(at_at.says("`at`: the run is over by then"));
            }
            let place = fields.at().clone();
            let action = fault(&mut fields, routers, segments)?;
            fields.finish()?;
            faults.push(FaultSpec { at: Instant::ZERO + at, action, place });
        }
        faults.sort_by_key(|f| f.at);
        Ok(faults)
    }
}

/// The first `hostname` of an IOS text.
fn hostname(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("hostname")).then(|| words.next().map(str::to_owned)).flatten()
    })
}

/// IOS takes lines typed later as changes to what is there; an overlay is exactly that.
fn append(text: &mut String, overlay: &Overlay) {
    // Lines after `end` would not be read.
    if let Some(end) = text.trim_end().strip_suffix("\nend").map(str::len) {
        text.truncate(end);
    }
    text.push('\n');
    if let Some(interface) = &overlay.interface {
        text.push_str(&format!("interface {interface}\n"));
    }
    for line in overlay.lines.lines() {
        text.push_str(if overlay.interface.is_some() { " " } else { "" });
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("!\nend\n");
}

fn overlays(tables: Vec<Table>) -> Result<Vec<Overlay>, Mistake> {
    let mut all = Vec::new();
    for table in tables {
        let mut fields = Fields::of("[[config]]", keys::CONFIG, table)?;
        let (routers, at) = fields.required("routers", tree::text)?;
        let interface = fields.optional("interface", tree::text)?;
        let (lines, _) = fields.required("lines", tree::text)?;
        fields.finish()?;
        all.push(Overlay { routers, interface, lines, at });
    }
    Ok(all)
}

/// `--pcap`: the capture in place of the traffic, between the ends of the first stream.
fn replay(traffic: &mut Vec<TrafficSpec>, capture: &Path, at: &Place) -> Result<(), Mistake> {
    let file = capture.display().to_string();
    let place = Place::start(&file);
    let bytes = std::fs::read(capture).map_err(|e| place.says(e.to_string()))?.into();
    let Some(mut first) = traffic.drain(..).next() else {
        return Err(at.says("--pcap replaces the traffic of a scenario, and this one has none"));
    };
    let name = capture.file_stem().map(|s| s.to_string_lossy().replace(['/', '.', '=', '<', '>'], "-"));
    first.name = name.unwrap_or_else(|| "pcap".into());
    first.kind = TrafficKind::Pcap { file, bytes, speed: 1.0, pps: None, repeat: true, at: place };
    traffic.push(first);
    Ok(())
}

fn profile(v: &Value) -> Result<String, String> {
    let name = tree::text(v)?;
    if PROFILES.contains(&name.as_str()) {
        return Ok(name);
    }
    Err(format!("no profile is \"{name}\"{}", nearest(&name, PROFILES)))
}

fn positive(v: &Value) -> Result<f64, String> {
    tree::number(v).and_then(|n| if n > 0.0 { Ok(n) } else { Err(format!("{n} is not above 0")) })
}

/// `size` or `imix`; 100 bytes where neither is said.
fn sizes(fields: &mut Fields, least: u16) -> Result<Vec<u16>, Mistake> {
    let size = fields.optional("size", |v| {
        let n = tree::whole(v)?;
        u16::try_from(n)
            .ok()
            .filter(|n| *n >= least)
            .ok_or_else(|| format!("{n} is not between {least} and 65535"))
    })?;
    let imix = fields.optional("imix", |v| tree::text(v).and_then(|t| quantity::imix(&t)))?;
    match (size, imix) {
        (Some(_), Some(_)) => Err(fields.at().says("`size` and `imix` exclude each other")),
        (Some(size), None) => Ok(vec![size]),
        (None, Some(sizes)) => Ok(sizes),
        (None, None) => Ok(vec![100]),
    }
}

/// Read `ROUTER:INTERFACE`, whose router must be there.
fn endpoint(v: &Value, routers: &[RouterSpec]) -> Result<Endpoint, Mistake> {
    let whole = tree::text(v).map_err(|e| v.at.says(e))?;
    endpoint_text(&whole, &v.at, routers)
}

fn endpoint_text(whole: &str, at: &Place, routers: &[RouterSpec]) -> Result<Endpoint, Mistake> {
    let (router, interface) =
        whole.split_once(':').ok_or_else(|| at.says(format!("\"{whole}\" is not ROUTER:INTERFACE")))?;
    known(router, at, "router", routers.iter().map(|r| r.name.as_str()))?;
    Ok(Endpoint { router: router.to_owned(), interface: interface.to_owned(), at: at.clone() })
}

fn known<'a>(
    name: &str,
    at: &Place,
    what: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), Mistake> {
    if names.clone().any(|n| n == name) {
        return Ok(());
    }
    Err(at.says(format!("no {what} is named \"{name}\"{}", nearest(name, names))))
}

fn segments(tables: Vec<Table>, routers: &[RouterSpec]) -> Result<Vec<SegmentSpec>, Mistake> {
    let mut all: Vec<SegmentSpec> = Vec::new();
    for table in tables {
        let mut fields = Fields::of("[[segment]]", keys::SEGMENT, table)?;
        let (name, at) = fields.required("name", tree::text)?;
        if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(at.says("`name`: it names a file, so it holds no / and does not begin with ."));
        }
        let (stations, _) = fields.required("attach", tree::texts)?;
        let mut attach: Vec<Endpoint> = Vec::new();
        for (whole, place) in stations {
            let station = endpoint_text(&whole, &place, routers)?;
            let same = |e: &Endpoint| e.router == station.router && e.interface == station.interface;
            if all.iter().flat_map(|s| &s.attach).chain(&attach).any(same) {
                return Err(place.says(format!("{whole} is attached twice")));
            }
            attach.push(station);
        }
        let impairment = Impairment::default().changed(&impairment(&mut fields)?);
        let forward_delay = fields.optional("forward_delay", tree::duration)?.unwrap_or_default();
        fields.finish()?;
        if all.iter().any(|s| s.name == name) || routers.iter().any(|r| r.name == name) {
            return Err(at.says(format!("another segment or router is named \"{name}\"")));
        }
        all.push(SegmentSpec { name, attach, impairment, forward_delay, at });
    }
    Ok(all)
}

fn impairment(fields: &mut Fields) -> Result<ImpairmentChange, Mistake> {
    Ok(ImpairmentChange {
        delay: fields.optional("delay", tree::duration)?,
        rate: fields.optional("rate", tree::bit_rate)?,
        queue: fields.optional("queue", tree::whole)?.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        loss: fields.optional("loss", tree::share)?,
        reorder: fields.optional("reorder", tree::share)?,
        duplicate: fields.optional("duplicate", tree::share)?,
    })
}

const ACTIONS: [&str; 10] =
    ["shutdown", "no-shutdown", "crash", "boot", "reload", "config", "cut", "restore", "impair", "clear-sa"];

fn fault(
    fields: &mut Fields,
    routers: &[RouterSpec],
    segments: &[SegmentSpec],
) -> Result<FaultAction, Mistake> {
    let (action, action_at) = fields.required("action", tree::text)?;
    let target = fields.need("target")?;
    let name = tree::text(&target).map_err(|e| target.at.says(e))?;
    let router =
        || known(&name, &target.at, "router", routers.iter().map(|r| r.name.as_str())).map(|()| name.clone());
    let segment = || {
        known(&name, &target.at, "segment", segments.iter().map(|s| s.name.as_str())).map(|()| name.clone())
    };
    Ok(match action.as_str() {
        "shutdown" => FaultAction::Shutdown(endpoint(&target, routers)?),
        "no-shutdown" => FaultAction::NoShutdown(endpoint(&target, routers)?),
        "crash" => FaultAction::Crash(router()?),
        "boot" => FaultAction::Boot(router()?),
        "reload" => {
            let down = fields.optional("down", tree::duration)?.unwrap_or(Duration::from_s(60));
            FaultAction::Reload { router: router()?, down }
        }
        "config" => FaultAction::Config { router: router()?, lines: fields.required("lines", tree::text)?.0 },
        "cut" => FaultAction::Cut(segment()?),
        "restore" => FaultAction::Restore(segment()?),
        "impair" => FaultAction::Impair { segment: segment()?, change: impairment(fields)? },
        "clear-sa" => FaultAction::ClearSa(router()?),
        other => {
            return Err(
                action_at.says(format!("`action`: no fault is \"{other}\"{}", nearest(other, ACTIONS)))
            );
        }
    })
}
