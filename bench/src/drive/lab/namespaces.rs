//! Network namespaces, the programs in them and their folders, made for one run and gone with it, even when Ctrl-C ends
//! the process.

use std::fs::DirBuilder;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What must not stay behind.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Leftover {
    Namespace(String),
    Process(u32),
    Folder(PathBuf),
}

/// Held while one is made or removed: whoever ends the process finds all that there is, and nothing is made after that.
static LEFTOVERS: Mutex<Vec<Leftover>> = Mutex::new(Vec::new());

fn leftovers() -> MutexGuard<'static, Vec<Leftover>> {
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove(what: &Leftover) {
    let _ = match what {
        Leftover::Namespace(name) => Command::new("ip").args(["netns", "del", name]).output().map(drop),
        Leftover::Process(id) => Command::new("kill").args(["-KILL", &id.to_string()]).output().map(drop),
        Leftover::Folder(path) => std::fs::remove_dir_all(path),
    };
}

/// End every program and remove every namespace and folder of this process, and hold the lock, so that none is made any
/// more: it is about to end.
pub(crate) fn remove_all() -> impl Drop {
    let mut list = leftovers();
    // The programs were started last.
    list.drain(..).rev().for_each(|what| remove(&what));
    list
}

fn failed(words: &[&str], why: &str) -> io::Error {
    io::Error::other(format!("`{}` failed: {}", words.join(" "), why.trim()))
}

fn run(words: &[&str]) -> io::Result<()> {
    let (program, rest) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let done = Command::new(program).args(rest).output().map_err(|e| failed(words, &e.to_string()))?;
    if done.status.success() { Ok(()) } else { Err(failed(words, &String::from_utf8_lossy(&done.stderr))) }
}

/// `ip` with these words.
pub(super) fn ip(words: &str) -> io::Result<()> {
    run(&std::iter::once("ip").chain(words.split_whitespace()).collect::<Vec<_>>())
}

/// One namespace: a host, or a switch.
#[derive(Debug)]
pub(super) struct Space {
    name: String,
    /// A switch's `ip`, waiting for words: a fault strikes when it is due, not when a program has been started.
    hands: Option<Mutex<Hands>>,
}

/// A running `ip -batch -`.
#[derive(Debug)]
struct Hands {
    words: ChildStdin,
    _ip: Daemon,
}

impl Hands {
    fn start(namespace: &str) -> io::Result<Self> {
        let mut ip = Command::new("ip");
        ip.args(["-force", "-n", namespace, "-batch", "-"]).stdin(Stdio::piped());
        let mut ip = Daemon::run(&mut ip)?;
        let words = ip.0.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { words, _ip: ip })
    }
}

impl Space {
    /// A new host, forwarding as a router does.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        let full = format!("espalier{}-{name}", std::process::id());
        let mut list = leftovers();
        ip(&format!("netns add {full}"))?;
        list.push(Leftover::Namespace(full.clone()));
        drop(list);
        let space = Self { name: full, hands: None };
        ip(&format!("-n {} link set lo up", space.name))?;
        let all = [
            "net.ipv6.conf.all.disable_ipv6=1",
            "net.ipv6.conf.default.disable_ipv6=1",
            "net.ipv4.ip_forward=1",
            "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.default.rp_filter=0",
        ];
        run(&[&["ip", "netns", "exec", &space.name, "sysctl", "-qw"], &all[..]].concat())?;
        Ok(space)
    }

    /// A new switch: a host with a bridge.
    pub(super) fn switch(name: &str) -> io::Result<Self> {
        let mut space = Self::new(name)?;
        ip(&format!("-n {} link add br0 type bridge mcast_snooping 0", space.name))?;
        ip(&format!("-n {} link set br0 up", space.name))?;
        space.hands = Some(Mutex::new(Hands::start(&space.name)?));
        Ok(space)
    }

    /// A wire from a port of this switch to an interface of a host.
    pub(super) fn plug(&self, port: &str, host: &Self, iface: &str) -> io::Result<()> {
        ip(&format!("link add {port} netns {} type veth peer name {iface} netns {}", self.name, host.name))?;
        ip(&format!("-n {} link set {port} master br0 up", self.name))?;
        ip(&format!("-n {} link set {iface} up", host.name))
    }

    /// Switch an interface on or off, without waiting for it.
    pub(super) fn link(&self, iface: &str, up: bool) -> io::Result<()> {
        let words = format!("link set {iface} {}", if up { "up" } else { "down" });
        match &self.hands {
            Some(hands) => {
                let mut hands = hands.lock().unwrap_or_else(PoisonError::into_inner);
                hands.words.write_all(format!("{words}\n").as_bytes())
            }
            None => ip(&format!("-n {} {words}", self.name)),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A program that runs there.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let this = Leftover::Namespace(self.name.clone());
        let mut list = leftovers();
        remove(&this);
        list.retain(|l| *l != this);
    }
}

/// A folder for sockets, keys and scripts that goes with the value. Its owner alone gets in: as root, daemons run what is
/// there.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new folder.
    ///
    /// # Errors
    /// Somebody has made one of that name, or none can be made.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("espalier-lab-{}-{name}", std::process::id()));
        let mut list = leftovers();
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        list.push(Leftover::Folder(path.clone()));
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn place(&self) -> &Path {
        &self.0
    }

    /// Where something in it is.
    pub(super) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let this = Leftover::Folder(self.0.clone());
        let mut list = leftovers();
        remove(&this);
        list.retain(|l| *l != this);
    }
}

/// A program that ends with the value.
#[derive(Debug)]
pub(super) struct Daemon(Child);

impl Daemon {
    /// Start it, its output thrown away.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        Self::run(command.stdin(Stdio::null()))
    }

    fn run(command: &mut Command) -> io::Result<Self> {
        let mut list = leftovers();
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        list.push(Leftover::Process(child.id()));
        Ok(Self(child))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let this = Leftover::Process(self.0.id());
        let mut list = leftovers();
        let _ = self.0.kill();
        let _ = self.0.wait();
        list.retain(|l| *l != this);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_is_its_owners_and_a_new_one() {
        let folder = Folder::new("its-owners").unwrap();
        let path = folder.place().to_owned();
        let leftover = Leftover::Folder(path.clone());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(leftovers().contains(&leftover));
        let again = Folder::new("its-owners").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert!(again.to_string().contains("its-owners") && path.exists(), "{again}");
        drop(folder);
        assert!(!path.exists() && !leftovers().contains(&leftover));
    }
}
