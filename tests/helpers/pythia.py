"""The facts of Pythia, for measurements at its sizes."""

from bias_intervene.plan import History, history
from bias_intervene.settings import NeoxShape
from tests.conftest import composed


def pythia_history(size: str) -> History:
    """The original training of a size."""
    known = history(composed(f"model={size}").model)
    assert known is not None
    return known


def pythia_shape(size: str) -> NeoxShape:
    """Layers, width, heads and vocabulary of a size."""
    shape = pythia_history(size).shape
    assert shape is not None
    return shape
