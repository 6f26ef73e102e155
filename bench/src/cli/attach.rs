//! `espalier attach`: one router on real interfaces.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use espalier_control::ios::{self, Config, Exec, InterfaceName, parse_exec};
use espalier_control::profile::Profile;
use espalier_wire::{Duration, Instant};
use signal_hook::consts::SIGINT;

use super::lines::{Debug, clock, is_printed};
use super::view::{self, End, View};
use super::{Failure, print};
use crate::drive::host::{self, Binding, Ended, NoPlace, Options, Place, Poll, Said, Session};
use crate::live::{self, Feed, Name, Network};
use crate::manifest::Manifest;
use crate::measure::figures::Event;
use crate::place::nearest;
use crate::report::attach::{Cores, Document, Port, SCHEMA, answer};
use crate::scenario::quantity;
use crate::staged::Staged;
use crate::wireshark;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The router's IOS configuration
    config: PathBuf,
    /// One of its interfaces on one of this machine's, which must have no IPv4 address of the kernel's: veth0 by
    /// AF_PACKET (packet:veth0 is the same), batch:veth0 by AF_PACKET without a ring, xdp:veth0 by AF_XDP, or tap:NAME,
    /// behind which the kernel itself is a station
    #[arg(long, value_name = "INTERFACE=HOST", required = true)]
    bind: Vec<String>,
    /// What the dataplane does while nothing arrives: sleep after 50 µs, or never
    #[arg(long, value_enum, default_value_t = Polling::Adaptive)]
    poll: Polling,
    /// The dataplane's core; the control plane takes another, if there is one [default: isolated ones first, then the last]
    #[arg(long, value_name = "N")]
    core: Option<usize>,
    /// What it does where its configuration is silent: ios-12.3, ios-15 or frr
    #[arg(long, default_value = "ios-12.3")]
    profile: String,
    /// How long [default: until Ctrl-C]
    #[arg(long, value_name = "TIME")]
    r#for: Option<String>,
    /// What it would answer then: '75s show standby'
    #[arg(long, value_name = "TIME COMMAND")]
    show: Vec<String>,
    /// Take commands from standard input: show, configure terminal … end, clear crypto sa, exit, power off
    #[arg(long)]
    console: bool,
    /// Print debug lines as routers print them
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    debug: Vec<Debug>,
    /// Show rates and states on the terminal while it runs; what it would print comes when it ends
    #[arg(long, conflicts_with = "console")]
    live: bool,
    /// JSON on standard output when it ends, and nothing else there
    #[arg(long)]
    json: bool,
    /// Where report.json and a pcapng of each bound interface go
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the keys of its SAs to DIR/keys, for Wireshark: whoever reads them reads the traffic
    #[arg(long, requires = "out")]
    keys: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Polling {
    Adaptive,
    Busy,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = arguments.config.display().to_string();
    let text =
        std::fs::read_to_string(&arguments.config).map_err(|e| Failure::Input(format!("{file}: {e}")))?;
    let pretty = |all: Vec<ios::Diagnostic>| {
        Failure::Input(all.iter().map(ios::Diagnostic::pretty).collect::<Vec<_>>().join("\n"))
    };
    let config = ios::parse(&file, &text).map_err(pretty)?.config;
    let profile: Profile =
        arguments.profile.parse().map_err(|e| Failure::Input(format!("--profile: {e}")))?;
    let bindings = bindings(&config, &arguments.bind)?;
    let shows = arguments.show.iter().map(|s| show(s)).collect::<Result<Vec<_>, _>>()?;
    let length = arguments.r#for.as_deref().map(quantity::duration).transpose();
    let length = length.map_err(|e| Failure::Input(format!("--for: {e}")))?;
    let poll = match arguments.poll {
        Polling::Adaptive => Poll::Adaptive,
        Polling::Busy => Poll::Busy,
    };
    let cores = host::Cores::best(arguments.core).map_err(|cores| {
        let cores: Vec<String> = cores.iter().map(ToString::to_string).collect();
        Failure::Input(format!("--core: this process may run on {}", cores.join(", ")))
    })?;
    let (out, keys) = (arguments.out.as_deref(), arguments.keys);
    // A descriptor of its own: the buffer of `io::stdin` would hide from who waits what was read already.
    let console = arguments.console.then(|| std::io::stdin().as_fd().try_clone_to_owned()).transpose()?;
    let mut options = Options { length, shows, console, deaf: false, out, poll, cores, keys, feed: None };
    let name = config.hostname().to_owned();
    // Before this thread is bound to one core, which is not all that the machine has.
    let manifest = Manifest::here("real", None);
    let session = if arguments.live {
        let (view, feed) = screen(&config, &mut options)?;
        let (mouth, mut kept) = (feed.mouth(), Vec::new());
        options.feed = Some(feed);
        let mut say = |said: Said<'_>| {
            if let Said::Event(at, event) = said {
                mouth.say(Instant::ZERO + at, 0, event);
            }
            kept.extend(line(arguments, &name, &said));
        };
        let session = host::run(config, profile, &bindings, options, &mut say);
        drop(mouth);
        drop(view);
        kept.iter().for_each(|text| talk(arguments, text));
        session
    } else {
        let mut say = |said: Said<'_>| {
            if let Some(text) = line(arguments, &name, &said) {
                talk(arguments, &text);
            }
        };
        host::run(config, profile, &bindings, options, &mut say)
    };
    finish(arguments, &session.map_err(|e| Failure::Input(e.to_string()))?, manifest)
}

/// The screen of a router, on which a key types `exit` on its console.
fn screen(config: &Config, options: &mut Options<'_>) -> Result<(View, Feed), Failure> {
    view::check()?;
    let (console, theirs) = UnixStream::pair()?;
    options.console = Some(theirs.into());
    let name = config.hostname().to_owned();
    let network = Network {
        title: name.clone(),
        how: "attached to real interfaces",
        duration: options.length,
        routers: vec![Name { name, interfaces: live::names(config), foreign: None }],
        columns: ["received", "sent", "lost"],
    };
    Ok(View::screen(network, End::Console(console, "exit\n"), None))
}

/// `INTERFACE=HOST`, each of both once.
fn bindings(config: &Config, texts: &[String]) -> Result<Vec<Binding>, Failure> {
    let mut bindings: Vec<Binding> = Vec::new();
    for text in texts {
        let wrong = |why: String| Failure::Input(format!("--bind {text}: {why}"));
        let Some((name, host)) = text.split_once('=').filter(|(_, host)| !host.is_empty()) else {
            return Err(wrong("INTERFACE=HOST is wanted, such as FastEthernet0/0=veth0".to_owned()));
        };
        let index = name.parse::<InterfaceName>().ok().and_then(|name| config.index_of(name));
        let Some(iface) = index else {
            let names: Vec<String> = config.interfaces.iter().map(|i| i.name.to_string()).collect();
            let near = nearest(name, names.iter().map(String::as_str));
            return Err(wrong(format!("{} has no interface \"{name}\"{near}", config.hostname())));
        };
        if !config.interface_at(iface).is_some_and(|i| i.name.kind().is_ethernet()) {
            return Err(wrong(format!("{name} is no Ethernet interface")));
        }
        let place: Place = host.parse().map_err(|e: NoPlace| wrong(e.to_string()))?;
        if bindings.iter().any(|b| b.iface == iface || b.place.host == place.host) {
            return Err(wrong("one of the two is bound already".to_owned()));
        }
        bindings.push(Binding { iface, place });
    }
    Ok(bindings)
}

/// `TIME COMMAND`.
fn show(text: &str) -> Result<(Duration, String, Exec), Failure> {
    let wrong = |why: String| Failure::Input(format!("--show '{text}': {why}"));
    let Some((time, command)) = text.trim().split_once(char::is_whitespace) else {
        return Err(wrong("TIME COMMAND is wanted, such as '75s show standby'".to_owned()));
    };
    let at = quantity::duration(time).map_err(wrong)?;
    let exec = parse_exec(command.trim()).map_err(|d| wrong(format!("\n{}", d.pretty())))?;
    if matches!(exec, Exec::Debug { .. }) {
        return Err(wrong("debug lines are printed by --debug".to_owned()));
    }
    Ok((at, command.trim().to_owned(), exec))
}

/// What the router says, as it is printed.
fn line(arguments: &Arguments, name: &str, said: &Said<'_>) -> Option<String> {
    Some(match said {
        Said::Event(at, event) if is_printed(event, &arguments.debug) => {
            format!("{}: {}\n", clock(*at), event.text)
        }
        Said::Event(..) => return None,
        Said::Answer(_, shown) => format!("{name}#{}\n{}\n", shown.command, shown.text),
        Said::Prompt if arguments.live => return None,
        Said::Prompt => format!("{name}#\n"),
        Said::Refused(why) => format!("{name}# {why}\n"),
    })
}

/// Print it. Whoever does not listen does not stop the router.
fn talk(arguments: &Arguments, text: &str) {
    let _ = if arguments.json {
        std::io::stderr().lock().write_all(text.as_bytes())
    } else {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    };
}

fn finish(arguments: &Arguments, session: &Session, manifest: Manifest) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(&document(session, manifest));
    let json = json.map_err(|e| Failure::Check(e.to_string()))? + "\n";
    if let Some(dir) = &arguments.out {
        keep(dir, &json, session, arguments.keys)
            .map_err(|e| Failure::Input(format!("{}: {e}", dir.display())))?;
    }
    print(&if arguments.json { json } else { summary(session) })?;
    match (session.violations.first(), session.ended) {
        (Some(first), _) => Err(Failure::Check(first.clone())),
        (None, Ended::Signal(SIGINT)) => Err(Failure::Interrupted),
        (None, _) => Ok(()),
    }
}

fn document(session: &Session, manifest: Manifest) -> Document {
    let since = |at: espalier_wire::Instant| (at - session.started).as_s();
    let event = |(at, e): &(espalier_wire::Instant, espalier_control::event::Event)| Event {
        t_s: since(*at),
        node: session.router.clone(),
        source: e.source.name(),
        text: e.text.clone(),
    };
    let port = |p: &host::PortSession| Port {
        name: p.name.clone(),
        kind: p.kind.name(),
        host: p.host.clone(),
        mac: p.mac.to_string(),
        in_packets: p.counters.in_packets,
        in_bytes: p.counters.in_bytes,
        out_packets: p.counters.out_packets,
        out_bytes: p.counters.out_bytes,
        overflowed: p.overflowed,
    };
    Document {
        schema: SCHEMA,
        router: session.router.clone(),
        duration_s: session.length.as_s(),
        ended: session.ended.name(),
        interfaces: session.ports.iter().map(port).collect(),
        dropped: session.dropped.iter().map(|(cause, n)| (cause.name(), n)).collect(),
        events: session.events.iter().map(event).collect(),
        events_left_out: (session.events_left_out > 0).then_some(session.events_left_out),
        shows: session.shows.iter().map(|s| answer(s, session.started)).collect(),
        cores: Cores { dataplane: session.cores.dataplane, control: session.cores.control },
        manifest,
    }
}

fn summary(session: &Session) -> String {
    let mut text = format!("{} ran for {:.1} s\n", session.router, session.length.as_s());
    for port in &session.ports {
        let c = port.counters;
        text += &format!(
            "  {} on {}: {} packets in, {} out\n",
            port.name, port.host, c.in_packets, c.out_packets
        );
        if port.overflowed > 0 {
            text += &format!("    {} more lost by the kernel before they were taken in\n", port.overflowed);
        }
    }
    for (cause, n) in session.dropped.iter() {
        text += &format!("  {n} lost to {cause}: {}\n", cause.meaning());
    }
    text
}

fn keep(dir: &Path, json: &str, session: &Session, keys: bool) -> std::io::Result<()> {
    if keys {
        wireshark::write_keys(&dir.join("keys"), &session.sas, &session.ike_keys)?;
    }
    let mut file = Staged::create(&dir.join("report.json"))?;
    file.write_all(json.as_bytes())?;
    file.persist()
}
