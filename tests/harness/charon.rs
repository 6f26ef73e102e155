//! strongSwan's charon in a namespace, with its ESP in user space: IKEv1 with pre-shared keys. It encapsulates ESP in UDP
//! whatever is asked for.

use std::fmt::Write as _;

use crate::Scratch;
use crate::namespaces::{Daemon, Space, within};

const PROGRAM: &str = "/usr/lib/ipsec/charon";

/// Why it cannot be used, if it cannot.
pub fn missing() -> Option<String> {
    crate::missing(&["test", "-x", PROGRAM])
        .or_else(|| crate::missing(&["which", "swanctl"]))
        .or_else(|| crate::missing(&["test", "-c", "/dev/net/tun"]))
}

/// One connection, `t`, with one child, `c`.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its own address.
    pub local: &'static str,
    /// The peer's.
    pub remote: &'static str,
    /// Phase 1: `des-md5-modp768`.
    pub ike: &'static str,
    /// Phase 2: `des-md5`, with a group for PFS.
    pub esp: &'static str,
    /// What is protected, its own side first.
    pub selectors: (&'static str, &'static str),
    /// The pre-shared key.
    pub secret: &'static str,
    /// More lines of the connection …
    pub more: &'static str,
    /// … and of the child.
    pub child: &'static str,
}

/// A running charon.
pub struct Charon {
    space: Space,
    scratch: Scratch,
    daemon: Option<Daemon>,
}

impl Charon {
    /// Start it and load a connection.
    pub fn start(space: &Space, connection: &Connection) -> Self {
        let scratch = Scratch::new();
        scratch.file("strongswan.conf", settings(&scratch));
        scratch.file("swanctl.conf", text(connection));
        let mut charon = Self { space: space.clone(), scratch, daemon: None };
        charon.boot();
        charon
    }

    fn boot(&mut self) {
        let mut command = self.space.command("sh");
        command.env("STRONGSWAN_CONF", self.scratch.path("strongswan.conf"));
        command.args(["-c", &format!("mount -t tmpfs t /run && exec {PROGRAM}")]);
        let socket = self.scratch.path("vici");
        let _ = std::fs::remove_file(&socket);
        self.daemon = Some(Daemon::start(&mut command));
        assert!(within(30, || socket.exists()), "charon did not start: {}", self.log());
        let file = self.scratch.path("swanctl.conf").display().to_string();
        let loaded =
            within(30, || self.swanctl(&["--load-all", "--file", &file]).contains("loaded connection"));
        assert!(loaded, "{}", self.log());
    }

    /// Kill it without a word, and start it again.
    pub fn restart(&mut self) {
        self.daemon = None;
        self.boot();
    }

    /// Have it hear and say nothing any more, or go on.
    pub fn freeze(&self, frozen: bool) {
        let id = self.daemon.as_ref().map_or(0, Daemon::id);
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let _ = std::process::Command::new("kill").args([signal, &id.to_string()]).output();
    }

    /// What swanctl prints.
    pub fn swanctl(&self, words: &[&str]) -> String {
        let mut command = self.space.command("swanctl");
        command.env("STRONGSWAN_CONF", self.scratch.path("strongswan.conf")).args(words);
        command.args(["--uri", &format!("unix://{}", self.scratch.path("vici").display())]);
        let done = command.output().unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
    }

    /// Begin a negotiation; whether it ended well.
    pub fn initiate(&self) -> bool {
        self.swanctl(&["--initiate", "--child", "c", "--timeout", "10"])
            .contains("initiate completed successfully")
    }

    /// How many ISAKMP SAs are established, and how many pairs of IPsec SAs installed.
    pub fn sas(&self) -> (usize, usize) {
        let list = self.swanctl(&["--list-sas"]);
        let count = |of: &str| list.lines().filter(|line| line.contains(of)).count();
        (count("ESTABLISHED, IKEv1"), count("INSTALLED, TUNNEL"))
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.path("log")).unwrap_or_default()
    }
}

fn settings(scratch: &Scratch) -> String {
    let (vici, log) = (scratch.path("vici"), scratch.path("log"));
    format!(
        "charon {{\n load = random nonce openssl gcrypt aes md5 sha1 sha2 hmac kdf gcm gmp pem pkcs1 pubkey x509 \
         constraints kernel-libipsec kernel-netlink socket-default updown vici\n \
         install_routes = yes\n retransmit_timeout = 1.0\n retransmit_tries = 3\n retransmit_base = 1.2\n \
         plugins {{\n vici {{\n socket = unix://{}\n }}\n }}\n \
         filelog {{\n f {{\n path = {}\n default = 1\n ike = 2\n cfg = 2\n flush_line = yes\n }}\n }}\n}}\n",
        vici.display(),
        log.display()
    )
}

fn text(c: &Connection) -> String {
    let mut text = String::new();
    let Connection { local, remote, ike, esp, selectors: (ours, theirs), secret, more, child } = c;
    let _ = writeln!(
        text,
        "connections {{\n t {{\n version = 1\n local_addrs = {local}\n remote_addrs = {remote}\n \
         proposals = {ike}\n encap = yes\n {more}\n \
         local {{\n auth = psk\n id = {local}\n }}\n remote {{\n auth = psk\n id = {remote}\n }}\n \
         children {{\n c {{\n local_ts = {ours}\n remote_ts = {theirs}\n esp_proposals = {esp}\n \
         mode = tunnel\n {child}\n }}\n }}\n }}\n}}\n\
         secrets {{\n ike-1 {{\n secret = \"{secret}\"\n }}\n}}"
    );
    text
}
