//! `--live` judged from outside: the screen of a fixed status at two sizes, with and without colour; and in a
//! pseudo-terminal, that it shows the states and leaves the terminal as it was, whatever ends the run.
//! `ESPALIER_BLESS=1` writes the snapshots anew.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration as Span;

use espalier::live::{Core, Count, Name, Network, News, Ring, Status, Tally, frame};
use espalier::measure::recording::{NodeId, Struck};
use espalier_control::event::{Event, Level, Mark, Source, StateOf};
use espalier_tests::namespaces::{Net, no_namespaces};
use espalier_tests::{Scratch, missing, peers_are_required, root};
use espalier_wire::plane::PolicyId;
use espalier_wire::{Duration, IfIndex, Instant, Spi};
use libtest_mimic::{Arguments, Failed, Trial};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};
use ratatui::widgets::Paragraph;

const PROGRAM: &str = env!("CARGO_BIN_EXE_espalier-tested");

fn main() {
    let arguments = Arguments::from_args();
    let terminal = missing(&["script", "--version"]);
    let with = |peer: Option<String>, name: &str, test: fn() -> Result<(), Failed>| {
        let why = peer.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        Trial::test(format!("{name}{why}"), test).with_ignored_flag(peer.is_some() && !peers_are_required())
    };
    let trials = vec![
        with(None, "the screen of a fixed status", snapshots),
        with(None, "any size is drawn", any_size),
        with(None, "without a terminal it says so", no_terminal),
        with(terminal.clone(), "it shows states, and the end restores the terminal", ends),
        with(terminal.clone(), "Ctrl-C restores the terminal and is exit code 130", interrupted),
        with(terminal.or_else(no_namespaces), "q ends a router in order", quits),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn require(what: bool, why: impl Into<String>) -> Result<(), Failed> {
    if what { Ok(()) } else { Err(why.into().into()) }
}

fn at(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_ms(ms)
}

fn said(ms: u64, node: usize, text: &str, mark: Option<Mark>) -> News {
    let level = if mark.is_some() { Level::Debug } else { Level::Syslog };
    News::Said(at(ms), node, Event { source: Source::Hsrp, level, text: text.to_owned(), mark })
}

fn state(of: StateOf, state: &'static str) -> Option<Mark> {
    Some(Mark::State { of, state })
}

/// Two gateways, and what is behind each of them.
fn network() -> Network {
    let name = |name: &str, interfaces: &[&str], foreign| Name {
        name: name.to_owned(),
        interfaces: interfaces.iter().map(ToString::to_string).collect(),
        foreign,
    };
    Network {
        title: "hsrp-ipsec".to_owned(),
        how: "under the wall clock",
        duration: Some(Duration::from_s(400)),
        routers: vec![
            name("7204VXR-1", &["Fa0/0", "Fa0/1"], None),
            name("7204VXR-2", &["Fa0/0", "Fa0/1"], None),
            name("vpn7200", &["Fa0/1"], Some("strongSwan")),
            name("7206-1", &["Fa0/1"], None),
        ],
        columns: ["offered", "delivered", "lost"],
    }
}

/// Forty seconds of a failover at the twenty-fifth.
fn status() -> Status {
    let mut status = Status::new(network());
    let (peer, inside) = ([172, 16, 172, 69].into(), [10, 1, 1, 3].into());
    let hsrp = |iface, group| StateOf::Hsrp { iface: IfIndex(iface), group };
    let (active, standby) = (state(hsrp(0, 1), "Active"), state(hsrp(0, 1), "Standby"));
    let full = state(StateOf::Neighbour { iface: IfIndex(1), addr: inside }, "FULL");
    let isakmp = state(StateOf::Isakmp { connection: 1, peer }, "QM_IDLE");
    let up = Mark::SaUp { policy: PolicyId(1), peer, inbound: Spi(7), outbound: Spi(8), rekey: false };
    let mut news = vec![
        said(1_000, 0, "", active),
        said(1_000, 0, "", state(hsrp(1, 2), "Active")),
        said(1_000, 0, "", full),
        said(1_100, 1, "", standby),
        said(1_100, 1, "", state(hsrp(1, 2), "Speak")),
        said(1_100, 1, "", full),
        said(
            1_100,
            3,
            "",
            state(StateOf::Neighbour { iface: IfIndex(0), addr: [10, 1, 1, 1].into() }, "EXSTART"),
        ),
        said(2_000, 0, "", isakmp),
        said(2_000, 0, "", Some(up)),
    ];
    for quarter in 0..=160 {
        if quarter == 100 {
            let target = "7204VXR-1".to_owned();
            news.push(News::Struck(Struck { at: at(25_000), action: "crash", target, node: NodeId(0) }));
            news.push(said(33_494, 1, "", active));
            news.push(said(
                33_494,
                1,
                "%HSRP-6-STATECHANGE: FastEthernet0/0 Grp 1 state Standby -> Active",
                None,
            ));
            news.push(said(33_501, 1, "", isakmp));
            news.push(said(33_501, 1, "", Some(up)));
        }
        let lost = (quarter.clamp(100, 134) - 100) * 25;
        let count =
            |name: &str, packets: [u64; 3]| Count { name: name.to_owned(), packets, drawn: packets[1] };
        news.push(News::Tally(Tally {
            at: at(quarter * 250),
            counts: vec![
                count("inside-to-remote", [quarter * 25, quarter * 25 - lost, lost]),
                count("remote-to-inside", [quarter * 12_500, quarter * 12_500, 0]),
            ],
            rings: vec![Ring { name: "7204VXR-2 in".to_owned(), depth: 250, capacity: 256 }],
            cores: vec![Core { core: 0, busy: 0.07 }, Core { core: 1, busy: 0.73 }],
        }));
    }
    news.into_iter().for_each(|told| status.hear(told));
    status
}

/// What a terminal of that size shows, with the escapes of its colours where there are any.
fn screen(status: &Status, (width, height): (u16, u16), colour: bool) -> Result<String, Failed> {
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    let lines = frame::lines(status, width, height, colour);
    terminal.draw(|whole| whole.render_widget(Paragraph::new(lines), whole.area()))?;
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let (mut line, mut worn) = (String::new(), String::new());
        for x in 0..width {
            let cell = &buffer[(x, y)];
            let code = match cell.fg {
                Color::Red => "31",
                Color::Green => "32",
                Color::Yellow => "33",
                Color::Blue => "34",
                Color::Cyan => "36",
                Color::DarkGray => "90",
                _ => "0",
            };
            let bold = if cell.modifier.contains(Modifier::BOLD) { ";1" } else { "" };
            let wears = format!("\u{1b}[{code}{bold}m");
            if colour && wears != worn {
                line.push_str(&wears);
                worn = wears;
            }
            line.push_str(cell.symbol());
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Ok(text)
}

fn snapshots() -> Result<(), Failed> {
    let status = status();
    for size in [(80, 24), (200, 50)] {
        for colour in [false, true] {
            let text = screen(&status, size, colour)?;
            require(colour || !text.contains('\u{1b}'), "colours where none are wanted")?;
            let name = format!("live-{}{}.txt", size.0, if colour { "-colour" } else { "" });
            let path = root().join("tests/snapshots").join(&name);
            if std::env::var_os("ESPALIER_BLESS").is_some_and(|v| v == "1") {
                std::fs::write(&path, &text)?;
            }
            let kept = std::fs::read_to_string(&path)?;
            require(kept == text, format!("{name} is another now (ESPALIER_BLESS=1 keeps it):\n{text}"))?;
        }
    }
    Ok(())
}

fn any_size() -> Result<(), Failed> {
    let (full, empty) = (status(), Status::new(Network::default()));
    for width in [1, 2, 7, 30, 59, 61, 119, 500] {
        for height in [1, 2, 3, 5, 11, 39, 41, 200] {
            for status in [&full, &empty] {
                screen(status, (width, height), true)?;
            }
        }
    }
    Ok(())
}

fn no_terminal() -> Result<(), Failed> {
    for arguments in [&["failover", "--drive", "pinned", "--live"][..], &["failover", "--live"]] {
        let output = Command::new(PROGRAM).args(arguments).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        require(output.status.code() == Some(2) && output.stdout.is_empty(), format!("{:?}", output.status))?;
        require(stderr.starts_with("--live ") && stderr.lines().count() == 1, stderr.clone())?;
    }
    Ok(())
}

/// Two members of a group that agree within seconds, and traffic through the active one; nine seconds of it.
fn scenario(scratch: &Scratch) -> String {
    for (name, address) in [("A", 2), ("B", 3)] {
        let text = format!(
            "hostname {name}\ninterface FastEthernet0/0\n ip address 10.1.1.{address} 255.255.255.0\n \
             standby 1 ip 10.1.1.1\n standby 1 timers msec 100 msec 300\nend\n"
        );
        scratch.file(&format!("{name}.cfg"), text);
    }
    scratch.file("H.cfg", "hostname H\ninterface FastEthernet0/0\n ip address 10.1.1.9 255.255.255.0\nend\n");
    let router = |name: &str| format!("[[router]]\nconfig = \"{name}.cfg\"\nprofile = \"ios-12.3\"\n");
    let toml = format!(
        "name = \"pair\"\nduration = \"9s\"\nseed = 1\n{}{}{}[[segment]]\nname = \"lan\"\n\
         attach = [\"A:FastEthernet0/0\", \"B:FastEthernet0/0\", \"H:FastEthernet0/0\"]\n\
         [[traffic]]\nname = \"drops\"\nfrom = \"H:FastEthernet0/0\"\nto = \"A:FastEthernet0/0\"\nkind = \"udp\"\n\
         rate = \"50pps\"\nsize = 100\nstart = \"500ms\"\n",
        router("A"),
        router("B"),
        router("H"),
    );
    scratch.file("pair.toml", toml).display().to_string()
}

/// Run a command line in a pseudo-terminal of 100 by 30, type `keys` when it has shown `cue`, and tell all it wrote:
/// before the other screen, on it, and after it, its exit code and the terminal's settings among that.
fn in_terminal(command: &mut Command, line: &str, (cue, keys): (&str, &str)) -> Result<[String; 3], Failed> {
    let line = format!("stty rows 30 cols 100; {line}; echo \"code=$?\"; stty -a");
    let mut child = command
        .args(["-qec", &line, "/dev/null"])
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut input, mut output) =
        (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
    let (sender, pieces) = channel();
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(n) = output.read(&mut piece) {
            if n == 0 || sender.send(piece[..n].to_vec()).is_err() {
                break;
            }
        }
    });
    let (mut bytes, mut waits) = (Vec::new(), true);
    while let Ok(piece) = pieces.recv_timeout(Span::from_secs(60)) {
        bytes.extend(piece);
        if waits && String::from_utf8_lossy(&bytes).contains(cue) {
            input.write_all(keys.as_bytes())?;
            waits = false;
        }
    }
    drop(input);
    child.wait()?;
    let all = String::from_utf8_lossy(&bytes).into_owned();
    require(!waits, format!("never showed {cue}: {all}"))?;
    let (before, rest) = all.split_once("\u{1b}[?1049h").ok_or_else(|| format!("no other screen: {all}"))?;
    let (on, after) = rest.split_once("\u{1b}[?1049l").ok_or_else(|| format!("it stays: {all}"))?;
    require(after.contains("\u{1b}[?25h"), format!("no cursor: {after}"))?;
    let settings: Vec<&str> = after.split([' ', ';', '\r', '\n']).collect();
    for setting in ["icanon", "echo", "isig"] {
        require(settings.contains(&setting), format!("{setting}: {after}"))?;
    }
    Ok([before.to_owned(), on.to_owned(), after.to_owned()])
}

fn failover(scratch: &Scratch) -> String {
    format!("{PROGRAM} failover {} --drive pinned --live --no-report", scenario(scratch))
}

fn ends() -> Result<(), Failed> {
    let scratch = Scratch::new();
    // A key that means nothing changes nothing.
    let [before, on, after] =
        in_terminal(&mut Command::new("script"), &failover(&scratch), ("Standby", "x"))?;
    require(before.trim().is_empty(), before)?;
    for word in ["under the wall clock", "Packets a second", "Active", "drops", "q or Ctrl-C"] {
        require(on.contains(word), format!("no {word}: {on}"))?;
    }
    require(after.contains("code=0"), after)
}

fn interrupted() -> Result<(), Failed> {
    let scratch = Scratch::new();
    let [.., after] = in_terminal(&mut Command::new("script"), &failover(&scratch), ("Active", "\u{3}"))?;
    require(after.contains("code=130"), after)
}

fn quits() -> Result<(), Failed> {
    let (scratch, mut net) = (Scratch::new(), Net::new());
    let space = net.space("us");
    net.wire((&space, "e0"), (&space, "e1"));
    scenario(&scratch);
    let config = scratch.path("A.cfg");
    let line = format!("{PROGRAM} attach {} --bind FastEthernet0/0=e0 --live", Path::new(&config).display());
    let [_, on, after] = in_terminal(&mut space.command("script"), &line, ("Active", "q"))?;
    require(on.contains("attached to real interfaces") && on.contains("received"), on)?;
    require(after.contains("A ran for") && after.contains("code=0"), after)
}
