"""The application, and the only package that uses Hydra: compose -> resolved JSON -> `Settings` -> plan -> pipeline.

`overrides` checks the command line before Hydra sees it. `controller` starts Hydra and ends a sweep. `job` is the
function that Hydra calls, in this process or in those of a launcher. `plugins` holds a sweeper that Hydra lacks.

Input: the command line and conf/.
Output: a run directory, or an error message.
Guarantees: a wrong or unknown key, also one given with `+`, stops the run before any work, and all faults are listed at
once. An error that the user can correct is a message and exit status 1; a run stopped by a signal exits with 75. In a
sweep every job is tried, the state of each is listed at the end, and the exit status is 1 unless all are complete.
`--help` and `--cfg job` import no torch.
"""

import sys
from pathlib import Path

from bias_intervene.app.controller import main

# Hydra finds plugins in the namespace package `hydra_plugins` only; this path is valid in a wheel and in a checkout.
sys.path.append(str(Path(__file__).parent / "plugins"))

__all__ = ["main"]
