"""A SLURM of one machine, to be put on the path: sbatch runs the tasks of a job array, scontrol requeues one.

It knows what submitit asks of a cluster and nothing more. State is kept in a folder: the script as it was submitted,
and one file a task with the process ids of its attempts and `COMPLETED` once the script has ended well.
"""

from pathlib import Path

PROGRAMS = {
    "sbatch": """#!/bin/bash
cp "$1" "$STAND_IN/script.sh"
tasks=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
for task in $(seq 0 "${tasks:-0}"); do start-task "$task"; done
echo "Submitted batch job 77"
""",
    "start-task": """#!/bin/bash
export SLURM_JOB_ID=77$1 SLURM_ARRAY_JOB_ID=77 SLURM_ARRAY_TASK_ID=$1 SLURM_JOB_NUM_NODES=1 SLURM_NTASKS=1
export SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_JOB_NODELIST=localhost SLURM_RESTART_COUNT=0
(setsid bash "$STAND_IN/script.sh" > "$STAND_IN/out.$1" 2>&1 && echo COMPLETED >> "$STAND_IN/task.$1") \\
  > /dev/null 2>&1 < /dev/null &
""",
    "srun": """#!/bin/bash
while [[ "$1" == --* ]]; do [[ "$1" == --output || "$1" == --error ]] && shift; shift; done
echo $$ >> "$STAND_IN/task.$SLURM_ARRAY_TASK_ID"
exec "$@"
""",
    "sacct": """#!/bin/bash
echo "JobID|State|NodeList"
for file in "$STAND_IN"/task.*; do
  grep -q COMPLETED "$file" && state=COMPLETED || state=RUNNING
  echo "77_${file##*.}|$state|localhost"
done
""",
    "scontrol": """#!/bin/bash
echo "$@" >> "$STAND_IN/requeued"
start-task "${2##*_}"
""",
}


def install(folder: Path) -> dict[str, str]:
    """Writes the programs below a folder; what they need to be in the environment."""
    (folder / "bin").mkdir(parents=True)
    for name, text in PROGRAMS.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    return {"STAND_IN": str(folder)}
