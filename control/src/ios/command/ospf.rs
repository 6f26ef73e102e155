//! `router ospf N` and the commands under it.

use espalier_wire::RouterId;

use super::{At, Editor, Entry, Mode::Global, Mode::Ospf as Sub, entry, put, when};
use crate::ios::matching::{Command, Done, Form};
use crate::ios::model::{
    MetricType, Ospf, OspfAuthentication, OspfNetwork, OspfTimers, Redistribute, RedistributeSource,
};

pub(super) const COMMANDS: &[Entry] = &[
    entry(Global, "router ospf <process:1-65535>", open),
    entry(Sub, "router-id ~ <id:addr>", router_id),
    entry(Sub, "network <address:addr> <wildcard:wildcard> area <area:area>", network),
    entry(Sub, "passive-interface { default | <interface:if> }", passive),
    entry(
        Sub,
        "redistribute { static | connected } ~ \
         { metric <metric:0-16777214> | metric-type { 1 | 2 } | subnets | tag <tag:0-4294967295> }*",
        redistribute,
    ),
    entry(Sub, "timers spf ~ <delay:0-65535> <hold:0-65535>", spf),
    entry(Sub, "timers throttle spf ~ <start:1-600000> <hold:1-600000> <maximum:1-600000>", throttle),
    entry(Sub, "log-adjacency-changes ~ [detail]", log_adjacency_changes),
    entry(Sub, "auto-cost reference-bandwidth ~ <mbps:1-4294967>", reference),
    entry(Sub, "area <area:area> authentication ~ [message-digest]", authentication),
    entry(Sub, "default-metric ~ <metric:1-16777214>", default_metric),
];

fn open(editor: &mut Editor<'_>, command: &Command) -> Done {
    let process: u16 = command.value("process")?;
    if !command.on() {
        editor.config.ospf.remove(&process);
        editor.forget(&At::Ospf(process).header());
        return Ok(());
    }
    let fresh = || Ospf { place: command.place(), ..Ospf::default() };
    editor.config.ospf.entry(process).or_insert_with(fresh);
    editor.at = At::Ospf(process);
    Ok(())
}

fn router_id(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.ospf(command)?.router_id = when(command, || command.value("id").map(RouterId))?;
    Ok(())
}

fn network(editor: &mut Editor<'_>, command: &Command) -> Done {
    let network = OspfNetwork {
        address: command.value("address")?,
        wildcard: command.value("wildcard")?,
        area: command.value("area")?,
    };
    let same = |n: &OspfNetwork| (n.address, n.wildcard) == (network.address, network.wildcard);
    put(&mut editor.ospf(command)?.networks, same, command.on().then_some(network));
    Ok(())
}

fn authentication(editor: &mut Editor<'_>, command: &Command) -> Done {
    let area = command.value("area")?;
    let all = &mut editor.ospf(command)?.authentication;
    if command.on() {
        let digest = command.has("message-digest");
        let kind = if digest { OspfAuthentication::MessageDigest } else { OspfAuthentication::Simple };
        all.insert(area, kind);
    } else {
        all.remove(&area);
    }
    Ok(())
}

fn passive(editor: &mut Editor<'_>, command: &Command) -> Done {
    if command.has("default") {
        let ospf = editor.ospf(command)?;
        ospf.passive_default = command.on();
        ospf.passive.clear();
        return Ok(());
    }
    let interface = command.interface("interface")?;
    let ospf = editor.ospf(command)?;
    // The list holds the exceptions from the default.
    let exception = command.on() != ospf.passive_default;
    put(&mut ospf.passive, |i| *i == interface, exception.then_some(interface));
    Ok(())
}

/// Options are added to what is there, and `no` with options takes only them away, as IOS does.
fn redistribute(editor: &mut Editor<'_>, command: &Command) -> Done {
    let source = command
        .choice(&[("static", RedistributeSource::Static), ("connected", RedistributeSource::Connected)]);
    let source =
        source.ok_or_else(|| command.error("", "incomplete command: `static` or `connected` expected"))?;
    let metric = command.option("metric")?;
    let tag = command.option("tag")?;
    let metric_type = command.choice(&[("1", MetricType::Type1), ("2", MetricType::Type2)]);
    let all = &mut editor.ospf(command)?.redistribute;
    let mut value = all.iter().find(|r| r.source == source).cloned().unwrap_or(Redistribute::of(source));
    if command.on() {
        value.metric = metric.or(value.metric);
        value.metric_type = metric_type.or(value.metric_type);
        value.tag = tag.or(value.tag);
        value.subnets |= command.has("subnets");
    } else {
        value.metric = value.metric.filter(|_| !command.has("metric"));
        value.metric_type = value.metric_type.filter(|_| !command.has("metric-type"));
        value.tag = value.tag.filter(|_| !command.has("tag"));
        value.subnets &= !command.has("subnets");
    }
    let bare = command.keywords().count() == 2;
    put(all, |r| r.source == source, (command.on() || !bare).then_some(value));
    all.sort_by_key(|r| r.source);
    Ok(())
}

fn spf(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.ospf(command)?.timers = when(command, || {
        Ok(OspfTimers::Spf { delay_s: command.value("delay")?, hold_s: command.value("hold")? })
    })?;
    Ok(())
}

fn throttle(editor: &mut Editor<'_>, command: &Command) -> Done {
    let timers = when(command, || {
        let (start_ms, hold_ms) = (command.value("start")?, command.value("hold")?);
        let max_ms: u32 = command.value("maximum")?;
        if max_ms < hold_ms {
            return Err(command.error("maximum", "the maximum must not be shorter than the hold time"));
        }
        Ok(OspfTimers::Throttle { start_ms, hold_ms, max_ms })
    })?;
    editor.ospf(command)?.timers = timers;
    Ok(())
}

fn log_adjacency_changes(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.ospf(command)?.log_adjacency_changes = match command.form {
        Form::Set => Some(true),
        Form::No => Some(false),
        Form::Default => None,
    };
    Ok(())
}

fn reference(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.ospf(command)?.reference_mbps = when(command, || command.value("mbps"))?;
    Ok(())
}

fn default_metric(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.ospf(command)?.default_metric = when(command, || command.value("metric"))?;
    Ok(())
}
