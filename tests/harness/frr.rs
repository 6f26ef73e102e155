//! FRR's zebra, staticd and ospfd in a namespace.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use crate::Scratch;
use crate::namespaces::{Daemon, Space, within};

const PROGRAMS: &str = "/usr/lib/frr";

/// Why FRR cannot be used, if it cannot.
pub fn missing() -> Option<String> {
    crate::missing(&["which", "vtysh"])
        .or_else(|| crate::missing(&["/usr/lib/frr/ospfd", "--version"]))
        .or_else(|| crate::missing(&["id", "frr"]))
}

/// A running FRR.
pub struct Frr {
    space: Space,
    scratch: Scratch,
    daemons: Vec<Daemon>,
}

impl Frr {
    /// Start it with a configuration.
    pub fn start(space: &Space, config: &str) -> Self {
        let scratch = Scratch::new();
        let dir = scratch.path("");
        let log = scratch.path("log");
        scratch.file("frr.conf", format!("hostname frr\nlog file {} debugging\n{config}\n", log.display()));
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        own(&dir);
        own(&scratch.path("frr.conf"));
        let mut frr = Self { space: space.clone(), scratch, daemons: Vec::new() };
        frr.boot();
        frr
    }

    fn boot(&mut self) {
        let path = |name: &str| self.scratch.path(name).display().to_string();
        let mut daemons = Vec::new();
        for name in ["zebra", "staticd", "ospfd"] {
            let mut command = self.space.command(&format!("{PROGRAMS}/{name}"));
            command.args(["-u", "frr", "-g", "frr", "-A", "127.0.0.1", "-P", "0"]);
            command.args(["-f", &path("frr.conf"), "-z", &path("zserv.api")]);
            command.args(["-i", &path(&format!("{name}.pid")), "--vty_socket", &path("")]);
            daemons.push(Daemon::start(&mut command));
            let socket = self.scratch.path(&format!("{name}.vty"));
            assert!(within(30, || socket.exists()), "{name} did not start: {}", self.log());
        }
        self.daemons = daemons;
    }

    /// Kill it without a word, and start it again.
    pub fn restart(&mut self) {
        self.daemons.clear();
        for name in ["zebra", "staticd", "ospfd"] {
            let _ = std::fs::remove_file(self.scratch.path(&format!("{name}.vty")));
        }
        self.boot();
    }

    /// What vtysh prints.
    pub fn ask(&self, command: &str) -> String {
        let mut vtysh = self.space.command("vtysh");
        vtysh.arg("--vty_socket").arg(self.scratch.path("")).args(["-c", command]);
        String::from_utf8_lossy(&vtysh.output().unwrap().stdout).into_owned()
    }

    /// What vtysh prints as JSON; null while there is nothing.
    pub fn json(&self, command: &str) -> serde_json::Value {
        serde_json::from_str(&self.ask(&format!("{command} json"))).unwrap_or_default()
    }

    /// Give it configuration lines.
    pub fn configure(&self, lines: &[&str]) {
        let mut vtysh = self.space.command("vtysh");
        vtysh.arg("--vty_socket").arg(self.scratch.path("")).args(["-c", "configure terminal"]);
        for line in lines {
            vtysh.args(["-c", line]);
        }
        let done = vtysh.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.path("log")).unwrap_or_default()
    }
}

fn own(path: &Path) {
    let id = |flag: &str| {
        let done = std::process::Command::new("id").args([flag, "frr"]).output().unwrap();
        String::from_utf8_lossy(&done.stdout).trim().parse().unwrap()
    };
    chown(path, Some(id("-u")), Some(id("-g"))).unwrap();
}
