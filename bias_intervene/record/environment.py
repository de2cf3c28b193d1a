"""The environment of a run: package versions, GPUs, the energy they used, the revision of this code.

Energy is the difference of two readings of NVML's counter (`nvmlDeviceGetTotalEnergyConsumption`, millijoules since the
driver was loaded; NVIDIA GPUs from Volta on). It covers the visible GPUs, not the CPU or its memory, and includes
whatever other processes did on the same GPUs in between.

Input: none.
Output: names, joules and a revision, None where the machine does not provide one.
Guarantees: torch is not imported, no device setting is changed, and a failure here never fails a run.
"""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PACKAGES = (
    "bias_intervene", "torch", "deepspeed", "transformers", "tokenizers", "datasets", "hydra-core", "omegaconf",
    "numpy", "scipy", "pydantic", "safetensors",
)  # fmt: skip


def describe_environment() -> dict[str, Any]:
    """Versions, revision of the code and hardware: the possible causes of a difference between two runs."""
    versions: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "gpus": gpus(),
        "packages": versions,
        "code": revision(),
    }


def gpus() -> list[str]:
    """Names of the visible GPUs; empty without a driver."""
    return [str(nvml.nvmlDeviceGetName(device)) for nvml, device in _visible_devices()]


def energy_joules() -> float | None:
    """Energy used by the visible GPUs so far; None where they have no counter."""
    devices = _visible_devices()
    if not devices:
        return None
    try:
        return sum(nvml.nvmlDeviceGetTotalEnergyConsumption(device) for nvml, device in devices) / 1000
    except Exception:  # NVML's own errors: a GPU without a counter, or one not accessible from a container.
        return None


def _visible_devices() -> list[tuple[Any, Any]]:
    """(NVML, handle) of each visible GPU."""
    try:
        import pynvml

        pynvml.nvmlInit()
        names = _visible_numbers(os.environ, count=pynvml.nvmlDeviceGetCount())
        return [
            (
                pynvml,
                pynvml.nvmlDeviceGetHandleByIndex(name)
                if isinstance(name, int)
                else pynvml.nvmlDeviceGetHandleByUUID(name),
            )
            for name in names
        ]
    except Exception:  # NVML is missing or does not work.
        return []


def _visible_numbers(environment: Mapping[str, str], *, count: int) -> list[int | str]:
    """Numbers or UUIDs of the GPUs that CUDA_VISIBLE_DEVICES selects; all numbers where it is not set.

    >>> _visible_numbers({"CUDA_VISIBLE_DEVICES": "2,0"}, count=4)
    [2, 0]
    """
    words = environment.get("CUDA_VISIBLE_DEVICES")
    if words is None:
        return list(range(count))
    return [int(word) if word.isdecimal() else word for word in words.split(",") if word.strip()]


def revision() -> dict[str, Any] | None:
    """Git revision of this code and whether tracked files differ from it; None outside a checkout."""
    folder = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    try:
        if not git("ls-files", "--", __file__):
            return None  # The package is installed inside the checkout of another project.
        return {"revision": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None
