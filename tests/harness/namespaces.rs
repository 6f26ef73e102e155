//! Network namespaces that a test makes and that go with it: hosts, wires between them, bridges. Needs root.

use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Why no namespace can be made here, if none can.
pub fn no_namespaces() -> Option<String> {
    crate::missing(&["unshare", "--net", "true"]).map(|why| format!("no network namespaces: {why}"))
}

/// Wait until `happens`, looking often, for `seconds` at most. Whether it did.
pub fn within(seconds: u64, mut happens: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if happens() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A set of namespaces.
pub struct Net {
    prefix: String,
    spaces: Vec<String>,
}

/// One namespace: a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space(String);

fn run(command: &mut Command) -> Output {
    let done = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done
}

/// `ip` with these words.
pub fn ip(words: &str) {
    run(Command::new("ip").args(words.split_whitespace()));
}

impl Net {
    /// None yet.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { prefix: format!("espl{}x{n}", std::process::id()), spaces: Vec::new() }
    }

    /// A new host.
    pub fn space(&mut self, name: &str) -> Space {
        let full = format!("{}-{name}", self.prefix);
        ip(&format!("netns add {full}"));
        self.spaces.push(full.clone());
        let space = Space(full);
        ip(&format!("-n {} link set lo up", space.0));
        let sysctl = "net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 net.ipv4.ip_forward=1 \
                      net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0";
        space.run(&format!("sysctl -qw {sysctl}"));
        space
    }

    /// A wire between two hosts: interface `a.1` of `a.0`, `b.1` of `b.0`, both up. What a kernel leaves to hardware is
    /// left as it is by default: the drive has to cope.
    pub fn wire(&self, a: (&Space, &str), b: (&Space, &str)) {
        let ((a, one), (b, other)) = (a, b);
        ip(&format!("link add {one} netns {} type veth peer name {other} netns {}", a.0, b.0));
        ip(&format!("-n {} link set {one} up", a.0));
        ip(&format!("-n {} link set {other} up", b.0));
    }

    /// A switch: a host with a bridge.
    pub fn switch(&mut self, name: &str) -> Space {
        let space = self.space(name);
        ip(&format!("-n {} link add br0 type bridge mcast_snooping 0", space.0));
        ip(&format!("-n {} link set br0 up", space.0));
        space
    }

    /// A wire from a switch, its end there named `port`.
    pub fn plug(&self, switch: &Space, port: &str, host: (&Space, &str)) {
        self.wire((switch, port), host);
        ip(&format!("-n {} link set {port} master br0", switch.0));
    }
}

impl Default for Net {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for space in &self.spaces {
            let _ = Command::new("ip").args(["netns", "del", space]).output();
        }
    }
}

impl Space {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// A command that runs there.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }

    /// Run words there, to success.
    pub fn run(&self, words: &str) -> String {
        let mut words = words.split_whitespace();
        let mut command = self.command(words.next().unwrap_or_default());
        String::from_utf8_lossy(&run(command.args(words)).stdout).into_owned()
    }

    /// Whether words run there to success.
    pub fn succeeds(&self, words: &str) -> bool {
        let mut words = words.split_whitespace();
        let mut command = self.command(words.next().unwrap_or_default());
        command.args(words).output().is_ok_and(|o| o.status.success())
    }

    /// Give an interface an address of the kernel's.
    pub fn address(&self, iface: &str, address: &str) {
        ip(&format!("-n {} addr add {address} dev {iface}", self.0));
    }

    /// Take an interface's link away, or give it back.
    pub fn link(&self, iface: &str, up: bool) {
        ip(&format!("-n {} link set {iface} {}", self.0, if up { "up" } else { "down" }));
    }
}

/// A program that ends with the value.
pub struct Daemon(Child);

impl Daemon {
    /// Start it, its output thrown away.
    pub fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    /// Ask it to end (SIGTERM), and wait.
    pub fn terminate(mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).output();
        let _ = self.0.wait();
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|ended| ended.is_none())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
