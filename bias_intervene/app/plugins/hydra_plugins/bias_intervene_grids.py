"""A Hydra sweeper that runs several grids: `hydra/sweeper=grids`.

Input: grids, each a mapping of keys to values to sweep over, and the overrides of the command line.
Output: batches of jobs. Guarantees: no job occurs twice.
"""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override

from bias_intervene.app.overrides import jobs_of_grids


class GridSweeper(BasicSweeper):
    """Runs the jobs of all grids in turn, without duplicates; overrides of the command line apply to every grid."""

    def __init__(self, max_batch_size: int | None, grids: Sequence[dict[str, str]]):
        super().__init__(max_batch_size)
        self.grids = grids

    def split_arguments(  # type: ignore[override]
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """Batches of jobs, each the list of its overrides."""
        jobs: Any = jobs_of_grids(self.grids, overrides)
        return list(self.split_overrides_to_chunks(jobs, max_batch_size))
