//! libreswan's pluto in a namespace: IKEv1 with pre-shared keys. Its package conflicts with strongSwan's, so it is not
//! installed: `ESPALIER_PLUTO` names a folder that its package, and what it needs besides, were unpacked into (`.ci/run`
//! does). Its ESP is the kernel's: where that has none, quick mode ends there, and only phase 1 can be judged.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Scratch;
use crate::namespaces::{Daemon, Space, within};

fn root() -> Option<PathBuf> {
    std::env::var_os("ESPALIER_PLUTO").map(PathBuf::from)
}

/// Where its libraries are, among those of the folder.
fn libraries(root: &Path) -> String {
    let folders = std::fs::read_dir(root.join("usr/lib")).into_iter().flatten().flatten();
    folders.map(|f| f.path().display().to_string()).collect::<Vec<_>>().join(":")
}

/// Why it cannot be used, if it cannot.
pub fn missing() -> Option<String> {
    let Some(root) = root() else {
        return Some("ESPALIER_PLUTO names no folder with libreswan".to_owned());
    };
    let pluto = root.join("usr/libexec/ipsec/pluto");
    let runs = Command::new(&pluto).arg("--version").env("LD_LIBRARY_PATH", libraries(&root)).output();
    let works = runs.is_ok_and(|done| done.status.success());
    (!works).then(|| format!("{} does not run here", pluto.display()))
}

/// A running pluto at 172.16.172.69 with one connection, `t`, to 172.16.172.53.
pub struct Pluto {
    space: Space,
    scratch: Scratch,
    root: PathBuf,
    daemon: Option<Daemon>,
}

impl Pluto {
    /// Start it: `ike` is its proposal (`3des-md5;modp1536`), `secret` the pre-shared key.
    pub fn start(space: &Space, ike: &str, secret: &str) -> Self {
        let (scratch, root) = (Scratch::new(), root().unwrap());
        for folder in ["nss", "run", "run/pluto"] {
            std::fs::create_dir(scratch.path(folder)).unwrap();
        }
        scratch.file("secrets", format!(": PSK \"{secret}\"\n"));
        let log = scratch.path("log");
        let mut text = format!(
            "config setup\n logfile={}\n nssdir={}\n ikev1-policy=accept\n virtual-private=\n",
            log.display(),
            scratch.path("nss").display()
        );
        let _ = writeln!(
            text,
            "conn t\n authby=secret\n ikev2=no\n type=tunnel\n left=172.16.172.69\n leftsubnet=20.1.1.0/24\n \
             right=172.16.172.53\n rightsubnet=10.1.1.0/24\n ike={ike}\n esp=3des-md5\n pfs=no\n auto=add"
        );
        scratch.file("conf", text);
        let mut pluto = Self { space: space.clone(), scratch, root, daemon: None };
        let nss = format!("sql:{}", pluto.scratch.path("nss").display());
        let mut certutil = Command::new(pluto.root.join("usr/bin/certutil"));
        certutil.args(["-N", "-d", &nss, "--empty-password"]).env("LD_LIBRARY_PATH", libraries(&pluto.root));
        let done = certutil.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        pluto.boot();
        pluto
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path(name).display().to_string()
    }

    /// A shell in its namespace, with its own /run and its programs where it looks for them.
    fn shell(&self, words: &str) -> Command {
        let mut command = self.space.command("sh");
        command.env("LD_LIBRARY_PATH", libraries(&self.root));
        let programs = self.root.join("usr/libexec");
        command.args([
            "-c",
            &format!(
                "mount --bind {} /run && mount --bind {} /usr/libexec && {words}",
                self.path("run"),
                programs.display()
            ),
        ]);
        command
    }

    fn boot(&mut self) {
        let words = format!(
            "exec /usr/libexec/ipsec/pluto --nofork --config {} --secretsfile {} --nssdir {} --rundir /run/pluto --logfile {}",
            self.path("conf"),
            self.path("secrets"),
            self.path("nss"),
            self.path("log")
        );
        self.daemon = Some(Daemon::start(&mut self.shell(&words)));
        let socket = self.scratch.path("run/pluto/pluto.ctl");
        assert!(within(30, || socket.exists()), "pluto did not start: {}", self.log());
        let words = format!(
            "/usr/libexec/ipsec/addconn --config {} --ctlsocket /run/pluto/pluto.ctl t",
            self.path("conf")
        );
        let added = within(30, || {
            let _ = self.shell(&words).output();
            self.whack("--listen");
            self.log().contains("added IKEv1 connection") && self.log().contains("172.16.172.69:500")
        });
        assert!(added, "{}", self.log());
    }

    /// What whack prints.
    pub fn whack(&self, words: &str) -> String {
        let words = format!("timeout 5 /usr/libexec/ipsec/whack --rundir /run/pluto {words}");
        let done = self.shell(&words).output().unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
    }

    /// Whether an ISAKMP SA stands.
    pub fn established(&self) -> bool {
        let status = self.whack("--status");
        status.lines().any(|line| line.contains("STATE_MAIN") && line.contains("IKE SA established"))
    }

    /// Have it hear and say nothing any more, or go on.
    pub fn freeze(&self, frozen: bool) {
        let id = self.daemon.as_ref().map_or(0, Daemon::id);
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let _ = Command::new("kill").args([signal, &id.to_string()]).output();
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.path("log")).unwrap_or_default()
    }
}
