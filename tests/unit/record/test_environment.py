"""What a machine tells of itself, and what it does not."""

import sys
from types import SimpleNamespace

import pytest

from bias_intervene.record import environment
from tests.conftest import REPOSITORY


def stand_in(*, counts: bool = True) -> SimpleNamespace:
    """An NVML of three GPUs; the handle of each is its number or UUID."""

    def energy(device: int | str) -> int:
        if not counts:
            raise RuntimeError("Not Supported")
        return {0: 1000, 1: 2000, 2: 4000, "GPU-ab": 8000}[device]

    return SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 3,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetHandleByUUID=lambda name: name,
        nvmlDeviceGetName=lambda device: f"GPU {device}",
        nvmlDeviceGetTotalEnergyConsumption=energy,
    )


@pytest.mark.parametrize(
    ("chosen", "names", "joules"),
    [
        (None, ["GPU 0", "GPU 1", "GPU 2"], 7.0),
        ("2,0", ["GPU 2", "GPU 0"], 5.0),
        ("GPU-ab", ["GPU GPU-ab"], 8.0),
        ("", [], None),
    ],
)
def test_visible_gpus_and_their_energy(monkeypatch: pytest.MonkeyPatch, chosen: str | None, names: list, joules):
    monkeypatch.setitem(sys.modules, "pynvml", stand_in())
    if chosen is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert environment.gpus() == names
    assert environment.energy_joules() == joules


def test_a_gpu_that_does_not_count_energy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pynvml", stand_in(counts=False))
    assert environment.energy_joules() is None


def test_no_driver(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace())
    assert environment.gpus() == []
    assert environment.energy_joules() is None


def test_the_revision_of_a_checkout():
    found = environment.revision()
    if (REPOSITORY / ".git").exists():
        assert found is not None
        assert len(found["revision"]) == 40
        assert isinstance(found["modified"], bool)
    else:
        assert found is None
