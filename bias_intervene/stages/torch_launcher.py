"""`python -m bias_intervene.stages.torch_launcher ...`: torch's own launcher, without its log messages.

Input: the command line of `torch.distributed.run`. Output: its exit status. Guarantees: what a rank that fails reports
itself, in the stage's outcome file or by its traceback, is not buried under the launcher's report of the same.
"""

import logging
import os
import sys

from bias_intervene.run.protocol import LAUNCHER


def main() -> int:
    """Status 1 where a rank failed."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as start_ranks

    for name in ("torch.distributed.elastic", "torch.distributed.run"):
        # A filter and not a level: torch sets the levels of its loggers itself.
        for logger in (logging.getLogger(name), *_loggers_below(name)):
            logger.addFilter(lambda record: record.levelno >= logging.CRITICAL)
    os.environ[LAUNCHER] = str(os.getpid())
    try:
        start_ranks(sys.argv[1:])
    except ChildFailedError:
        return 1
    return 0


def _loggers_below(name: str) -> list[logging.Logger]:
    """The loggers that exist below `name`, because a filter is not inherited."""
    return [logging.getLogger(other) for other in logging.root.manager.loggerDict if other.startswith(f"{name}.")]


if __name__ == "__main__":
    sys.exit(main())
