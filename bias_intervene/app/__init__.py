"""The only package that knows Hydra: compose -> resolved JSON -> `Settings` -> plan -> pipeline.

Enters: the command line and conf/. Leaves: a run directory, or a message. Promised: a wrong or unknown key, also one
given with `+`, stops the run before any work, all faults listed at once; an error a user can cause is a message and
exit status 1, a run stopped by a signal ends with 75. Of a sweep, every job is tried; what became of each is listed at
the end, and the exit status is 1 unless all are complete. `--help` and `--cfg job` import no torch.

The command line is looked at in `overrides`, before Hydra; `controller` is what surrounds Hydra; `job` is what Hydra
calls, in this process or in those of a launcher; `plugins` holds the sweeper that Hydra lacks.
"""

import sys
from pathlib import Path

from bias_intervene.app.controller import main

# Hydra takes plugins from the namespace package `hydra_plugins` alone; ours is the same for a wheel and a checkout.
sys.path.append(str(Path(__file__).parent / "plugins"))

__all__ = ["main"]
