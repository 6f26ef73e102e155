//! The cores of this machine, best first: isolated ones, then one of each physical core, then their siblings.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The cores that may be used, and what is to be said about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// Numbers of cores, best first.
    pub cores: Vec<usize>,
    /// Those that share a physical core with one before them.
    pub siblings: BTreeSet<usize>,
    /// Those whose frequency governor is known and is not `performance`.
    pub governed: BTreeSet<usize>,
}

impl Topology {
    /// Of this machine, as far as this process may use it.
    pub fn here() -> Self {
        let allowed = core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id);
        Self::read(Path::new("/sys/devices/system/cpu"), allowed.collect())
    }

    /// From a tree as Linux has it; what cannot be read is taken as unknown.
    fn read(sys: &Path, mut allowed: Vec<usize>) -> Self {
        let text = |path: String| fs::read_to_string(sys.join(path)).unwrap_or_default();
        let isolated = list(&text("isolated".to_owned()));
        // The machine's own work is mostly on the first cores.
        allowed.sort_by_key(|core| (!isolated.contains(core), std::cmp::Reverse(*core)));
        let (mut first, mut siblings, mut taken) = (Vec::new(), Vec::new(), BTreeSet::new());
        for core in &allowed {
            if taken.contains(core) {
                siblings.push(*core);
            } else {
                first.push(*core);
            }
            taken.extend(list(&text(format!("cpu{core}/topology/thread_siblings_list"))));
        }
        let is_governed = |core: &&usize| {
            let governor = text(format!("cpu{core}/cpufreq/scaling_governor"));
            !governor.is_empty() && governor.trim() != "performance"
        };
        let governed = allowed.iter().filter(is_governed).copied().collect();
        let siblings_set = siblings.iter().copied().collect();
        first.append(&mut siblings);
        Self { cores: first, siblings: siblings_set, governed }
    }

    /// What whoever uses the first `n` cores should know.
    pub fn warnings(&self, n: usize) -> Vec<String> {
        let used: Vec<usize> = self.cores.iter().copied().take(n).collect();
        let named = |set: &BTreeSet<usize>| {
            let cores: Vec<String> =
                used.iter().filter(|c| set.contains(c)).map(ToString::to_string).collect();
            (!cores.is_empty()).then(|| cores.join(", "))
        };
        let mut warnings = Vec::new();
        if n > self.cores.len() {
            warnings.push(format!(
                "{n} workers share {} cores: figures are of no use but to try it out",
                self.cores.len()
            ));
        }
        if let Some(cores) = named(&self.siblings) {
            warnings.push(format!("core {cores} shares a physical core with another worker"));
        }
        if let Some(cores) = named(&self.governed) {
            warnings.push(format!("the frequency governor of core {cores} is not \"performance\""));
        }
        warnings
    }
}

/// Linux's lists of cores: `0-2,5`.
fn list(text: &str) -> BTreeSet<usize> {
    let range = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        Some(low.trim().parse().ok()?..=high.trim().parse::<usize>().ok()?)
    };
    // No list is longer than a machine has cores.
    text.split(',').filter_map(range).flat_map(|range| range.take(1 << 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolated_cores_come_first_and_siblings_last() {
        let sys = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = sys.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("isolated", "1\n");
        for (core, sibling) in [(0, 2), (1, 3), (2, 0), (3, 1)] {
            let pair = format!("{},{}\n", core.min(sibling), core.max(sibling));
            write(&format!("cpu{core}/topology/thread_siblings_list"), &pair);
        }
        write("cpu2/cpufreq/scaling_governor", "powersave\n");
        write("cpu1/cpufreq/scaling_governor", "performance\n");
        let topology = Topology::read(sys.path(), vec![0, 1, 2, 3]);
        assert_eq!(topology.cores, [1, 2, 3, 0]);
        assert_eq!(topology.siblings, BTreeSet::from([3, 0]));
        assert_eq!(topology.warnings(1), Vec::<String>::new());
        assert_eq!(topology.warnings(5).len(), 3);
        assert_eq!(list("0-2,5\n"), BTreeSet::from([0, 1, 2, 5]));
        assert_eq!(Topology::read(Path::new("/nowhere"), vec![0, 1]).cores, [1, 0]);
    }
}
