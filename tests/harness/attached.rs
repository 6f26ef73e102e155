//! `espalier attach` in a namespace, and its console.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::Scratch;
use crate::namespaces::Space;

/// A console that says nothing this long after a question is dead.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running router.
pub struct Attached {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// What it has said besides answers.
    log: Vec<String>,
    name: String,
    scratch: Scratch,
}

impl Attached {
    /// Switch a router on in `space`: `program` is the binary, `config` its IOS text, `bind` words such as
    /// `FastEthernet0/0=e0`, `more` other arguments.
    pub fn start(program: &str, space: &Space, config: &str, bind: &[&str], more: &[&str]) -> Self {
        let scratch = Scratch::new();
        let file = scratch.file("router.cfg", config);
        let mut command = space.command(program);
        command.arg("attach").arg(file).args(["--console", "--keys", "--out"]).arg(scratch.path("out"));
        for b in bind {
            command.args(["--bind", b]);
        }
        command.args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        for output in [
            Box::new(child.stdout.take().unwrap()) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().unwrap()),
        ] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let name =
            config.lines().find_map(|l| l.trim().strip_prefix("hostname ")).unwrap_or("Router").to_owned();
        let input = child.stdin.take();
        let mut router = Self { child, input, lines, log: Vec::new(), name, scratch };
        // It answers: it is on.
        router.ask("show arp");
        router
    }

    fn type_in(&mut self, text: &str) {
        if let Some(input) = &mut self.input {
            input.write_all(text.as_bytes()).unwrap_or_else(|e| panic!("{e}: {:#?}", self.log));
        }
    }

    /// What it answers to a `show` command.
    pub fn ask(&mut self, command: &str) -> String {
        self.type_in(&format!("{command}\n\n"));
        let (mut answer, mut begun) = (String::new(), false);
        let (begin, prompt) = (format!("{}#{command}", self.name), format!("{}#", self.name));
        let end = Instant::now() + PATIENCE;
        loop {
            let line = match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(e) => panic!("{}: no answer to {command} ({e}): {:#?}", self.name, self.log),
            };
            if line == prompt {
                assert!(begun, "{}: {command}: {:#?}", self.name, self.log);
                return answer;
            } else if line == begin {
                begun = true;
            } else if line.starts_with("*Mar ") || !begun {
                self.log.push(line);
            } else {
                answer.push_str(&line);
                answer.push('\n');
            }
        }
    }

    /// Give it configuration lines.
    pub fn configure(&mut self, lines: &str) {
        self.type_in(&format!("configure terminal\n{lines}\nend\n"));
        self.ask("show arp");
    }

    /// `clear crypto sa`.
    pub fn clear_sa(&mut self) {
        self.type_in("clear crypto sa\n");
        self.ask("show arp");
    }

    /// Everything it has said so far besides answers.
    pub fn log(&mut self) -> &[String] {
        loop {
            match self.lines.recv_timeout(Duration::ZERO) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return &self.log,
            }
        }
    }

    /// Whether it has said a line with `text` in it.
    pub fn said(&mut self, text: &str) -> bool {
        self.log().iter().any(|line| line.contains(text))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Have it do nothing any more, or go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let _ = Command::new("kill").args([signal, &self.child.id().to_string()]).output();
    }

    /// Cut its power: no word of farewell.
    pub fn kill(mut self) {
        // The namespace's `ip` became the router itself: this is its own process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// End it in good order (SIGTERM). Its report, and where its files are while the value lives.
    pub fn end(mut self) -> Ended {
        let _ = Command::new("kill").arg(self.child.id().to_string()).output();
        let status = self.child.wait().unwrap();
        let log = self.log().to_vec();
        assert!(status.success(), "{status}: {log:#?}");
        let dir = self.scratch.path("out");
        let text = std::fs::read_to_string(dir.join("report.json")).unwrap();
        let report = serde_json::from_str(&text).unwrap();
        let scratch = std::mem::take(&mut self.scratch);
        Ended { report, log, dir, _scratch: scratch }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let name = self.name.clone();
            eprintln!("{name}: {:#?}", self.log());
        }
    }
}

/// What a router that ended in good order left.
pub struct Ended {
    /// `report.json`.
    pub report: serde_json::Value,
    /// What it said.
    pub log: Vec<String>,
    /// Where its captures and keys are.
    pub dir: PathBuf,
    _scratch: Scratch,
}

impl Ended {
    /// The frames of a capture that tshark's display filter takes, with the router's own keys.
    pub fn frames(&self, host: &str, filter: &str) -> Vec<u64> {
        frames(&self.dir.join(format!("{host}.pcapng")), Some(&self.dir.join("keys")), filter)
    }

    /// How many they are.
    pub fn count(&self, host: &str, filter: &str) -> usize {
        self.frames(host, filter).len()
    }

    /// Packets lost to a cause.
    pub fn lost(&self, cause: &str) -> u64 {
        self.report["dropped"][cause].as_u64().unwrap_or(0)
    }
}

/// The numbers of the frames of a capture that tshark's display filter takes.
pub fn frames(capture: &Path, keys: Option<&Path>, filter: &str) -> Vec<u64> {
    let mut command = Command::new("tshark");
    if let Some(keys) = keys {
        command.env("WIRESHARK_CONFIG_DIR", keys);
    }
    command.args(["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-r"]).arg(capture);
    let done = command.args(["-Y", filter, "-T", "fields", "-e", "frame.number"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).lines().filter_map(|l| l.parse().ok()).collect()
}
