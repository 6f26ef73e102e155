//! `sweep --emit slurm DIR`: the same work as a Slurm job array. Each task is a shard with a file of its own; `sweep
//! merge` joins them.

use std::path::Path;

use super::{Failure, Plan, input, print, report};

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Write DIR/array.sh.
pub(super) fn emit(plan: &Plan, shards: u64, dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir).map_err(|e| input(format!("{}: {e}", dir.display())))?;
    let absolute = |path: &Path| path.canonicalize().map(|p| p.to_string_lossy().into_owned());
    let here = absolute(dir).map_err(|e| input(format!("{}: {e}", dir.display())))?;
    let program = std::env::current_exe().and_then(|p| absolute(&p)).map_err(input)?;
    // A scenario's path must hold wherever a task starts.
    let scenario = if plan.scenario.ends_with(".toml") {
        absolute(Path::new(&plan.scenario)).map_err(|e| input(format!("{}: {e}", plan.scenario)))?
    } else {
        plan.scenario.clone()
    };
    let mut command = format!("{} sweep {}", quoted(&program), quoted(&scenario));
    for (option, values) in [("--vary", &plan.vary), ("--set", &plan.set)] {
        for value in values {
            command.push_str(&format!(" {option} {}", quoted(value)));
        }
    }
    command.push_str(&format!(" --seed {} --seeds {}", plan.seed, plan.seeds));
    command.push_str(&format!(" --figure {} --out {}", quoted(&plan.figure), quoted(&here)));
    let script = format!(
        "#!/bin/bash\n#SBATCH --job-name=espalier-sweep\n#SBATCH --array=0-{}\n#SBATCH --output={here}/task-%a.log\n\
         #SBATCH --cpus-per-task=1\n\
         # One task is one shard of the sweep, with as many runs at a time as it has CPUs; a task that is started\n\
         # again goes on where it was.\n\
         exec {command} --shard \"$SLURM_ARRAY_TASK_ID/{shards}\" --jobs \"${{SLURM_CPUS_PER_TASK:-1}}\"\n",
        shards - 1
    );
    let path = dir.join("array.sh");
    report::write(&path, &script)?;
    print(&format!(
        "sbatch {0}\nthen: {1} sweep merge {2}/shard-*.jsonl --out {2}\n",
        path.display(),
        quoted(&program),
        dir.display()
    ))
}
