"""A sweeper of several grids: `hydra/sweeper=grids`. Hydra takes sweepers from the namespace `hydra_plugins` alone."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override

from bias_intervene.app.overrides import jobs_of_grids


class GridSweeper(BasicSweeper):
    """The jobs of every grid in turn, each job once; what the command line gives holds in all of them."""

    def __init__(self, max_batch_size: int | None, grids: Sequence[dict[str, str]]):
        super().__init__(max_batch_size)
        self.grids = grids

    def split_arguments(  # type: ignore[override]
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """Batches of jobs, each the list of its overrides."""
        jobs: Any = jobs_of_grids(self.grids, overrides)
        return list(self.split_overrides_to_chunks(jobs, max_batch_size))
