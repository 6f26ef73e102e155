//! `sweep --emit slurm` on Debian's Slurm: a controller and two nodes in a network namespace of their own, the emitted
//! array submitted as it is, its shards merged, and the result held against the same sweep run here.

use std::path::Path;
use std::process::{Command, Output};

use espalier_tests::namespaces::{Daemon, Net, Space, no_namespaces, within};
use espalier_tests::{Scratch, missing, peers_are_required};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

/// A sweep that takes little time, and has more shards than there are nodes.
const SWEEP: &str = "sweep hsrp-ipsec --seeds 2 --set traffic.voice.stop=91s --set traffic.remote-to-inside.rate=5pps \
    --set traffic.inside-to-remote.rate=20pps --vary";
const VARY: &str = "config.7204VXR-*.FastEthernet0/0=standby 1 timers 1 {3,6}";

fn main() {
    let arguments = Arguments::from_args();
    // Without a configuration the clients do nothing, not even tell their version.
    let programs = ["slurmctld", "slurmd", "sbatch", "squeue", "sinfo"];
    let absent = no_namespaces().or_else(|| programs.iter().find_map(|program| missing(&["which", program])));
    let why = absent.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    let name = format!("an array on two nodes is the sweep that one machine runs{why}");
    let trial = Trial::test(name, array).with_ignored_flag(absent.is_some() && !peers_are_required());
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

/// Daemons that go with the value.
struct Cluster {
    daemons: Vec<Daemon>,
    space: Space,
    scratch: Scratch,
    // After those who live in it.
    _net: Net,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A node that is asked takes its tasks with it.
        self.daemons.drain(..).for_each(Daemon::terminate);
    }
}

impl Cluster {
    /// Nobody outside the namespace reaches it, so nobody has to prove who they are.
    fn start() -> Self {
        let (mut net, scratch) = (Net::new(), Scratch::new());
        let space = net.space("slurm");
        // The resolver takes addresses of a family only where an interface has one that is no loopback's.
        space.address("lo", "192.0.2.1/32");
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let (host, dir) = (host.trim(), scratch.path("").display().to_string());
        let nodes = |n: u16| {
            format!("NodeName=n{n} NodeHostname={host} NodeAddr=127.0.0.1 Port={} CPUs=1\n", 17_000 + n)
        };
        let conf = format!(
            "ClusterName=espalier\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmdUser=root\n\
             AuthType=auth/none\nCredType=cred/none\nProctrackType=proctrack/pgid\nTaskPlugin=task/none\n\
             MpiDefault=none\nReturnToService=2\nSchedulerParameters=batch_sched_delay=0,sched_interval=1\n\
             StateSaveLocation={dir}/state\nSlurmdSpoolDir={dir}/spool-%n\nSlurmctldPidFile={dir}/slurmctld.pid\n\
             SlurmdPidFile={dir}/slurmd-%n.pid\nSlurmctldLogFile={dir}/slurmctld.log\n\
             SlurmdLogFile={dir}/slurmd-%n.log\n{}{}PartitionName=all Nodes=n1,n2 Default=YES State=UP\n",
            nodes(1),
            nodes(2),
        );
        let conf = scratch.file("slurm.conf", conf).display().to_string();
        // Looking for itself which version the kernel has fails in a namespace, which has a /sys of its own.
        scratch.file("cgroup.conf", "CgroupPlugin=cgroup/v1\n");
        for folder in ["state", "spool-n1", "spool-n2"] {
            std::fs::create_dir(scratch.path(folder)).unwrap();
        }
        let mut cluster = Self { daemons: Vec::new(), space, scratch, _net: net };
        for words in [&["slurmctld", "-D"][..], &["slurmd", "-D", "-N", "n1"], &["slurmd", "-D", "-N", "n2"]]
        {
            let mut daemon = cluster.space.command(words[0]);
            cluster.daemons.push(Daemon::start(daemon.args(&words[1..]).args(["-f", &conf])));
        }
        cluster
    }

    fn say(&self, program: &str, words: &[&str]) -> Output {
        let mut command = self.space.command(program);
        command.env("SLURM_CONF", self.scratch.path("slurm.conf")).args(words).output().unwrap()
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.scratch.path(&format!("{name}.log"))).unwrap_or_default()
    }

    fn logs(&self) -> String {
        ["slurmctld", "slurmd-n1", "slurmd-n2"].map(|name| format!("{name}:\n{}", self.log(name))).join("\n")
    }
}

fn espalier(words: &[&str]) -> Result<Vec<u8>, Failed> {
    let output = Command::new(env!("CARGO_BIN_EXE_espalier-tested")).args(words).output()?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(format!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

fn lines(path: &Path) -> Result<Vec<String>, Failed> {
    Ok(std::fs::read_to_string(path)?.lines().map(ToOwned::to_owned).collect())
}

/// A sweep's JSON without what tells the machine and the moment.
fn json(bytes: &[u8]) -> Result<Value, Failed> {
    let mut value: Value = serde_json::from_slice(bytes)?;
    value.as_object_mut().ok_or("no object")?.remove("manifest");
    Ok(value)
}

fn array() -> Result<(), Failed> {
    let cluster = Cluster::start();
    let path = |name: &str| cluster.scratch.path(name).display().to_string();
    let sweep: Vec<&str> = SWEEP.split_whitespace().chain([VARY]).collect();
    let (job, alone) = (path("job"), path("alone"));
    espalier(&[&sweep[..], &["--emit", "slurm", &job, "--shards", "4"]].concat())?;
    let here = espalier(&[&sweep[..], &["--json", "--out", &alone]].concat())?;

    let idle =
        || String::from_utf8_lossy(&cluster.say("sinfo", &["-h", "-o", "%D %T"]).stdout).contains("2 idle");
    if !within(30, idle) {
        return Err(format!("the nodes never came up:\n{}", cluster.logs()).into());
    }
    let submitted = cluster.say("sbatch", &["--parsable", &format!("{job}/array.sh")]);
    let number = String::from_utf8_lossy(&submitted.stdout).trim().to_owned();
    if !submitted.status.success() {
        return Err(format!("sbatch: {}", String::from_utf8_lossy(&submitted.stderr)).into());
    }
    let done = || {
        let queue = cluster.say("squeue", &["-h", "-j", &number]);
        queue.status.success() && queue.stdout.is_empty()
    };
    if !within(240, done) {
        return Err(format!("the array never ended:\n{}", cluster.logs()).into());
    }
    for node in ["slurmd-n1", "slurmd-n2"] {
        if !cluster.log(node).contains("Launching batch job") {
            return Err(format!("{node} did nothing:\n{}", cluster.logs()).into());
        }
    }

    let shards: Vec<String> = (0..4).map(|i| format!("{job}/shard-{i}.jsonl")).collect();
    let shards: Vec<&str> = shards.iter().map(String::as_str).collect();
    let merged = espalier(&[&["sweep", "merge"], &shards[..], &["--json", "--out", &job]].concat())?;
    if json(&merged)? != json(&here)? {
        return Err(format!("not the same summary: {}", String::from_utf8_lossy(&merged)).into());
    }
    // Run here, lines come in the order in which cores were done.
    let (array, mut own) =
        (lines(&Path::new(&job).join("runs.jsonl"))?, lines(&Path::new(&alone).join("runs.jsonl"))?);
    let place = |line: &String| {
        let run: Value = serde_json::from_str(line).unwrap_or_default();
        (run["point"].as_u64(), run["seed"].as_u64())
    };
    own[1..].sort_by_key(place);
    if array.len() != 5 || array != own {
        return Err(format!("not the same runs:\n{array:#?}\n{own:#?}").into());
    }
    Ok(())
}
