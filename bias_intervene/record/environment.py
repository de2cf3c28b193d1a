"""What a run runs on and from: accelerators, the energy they took, the revision of this code.

Enters: nothing. Leaves: names, joules, a revision; None for what this machine does not tell. Promised: nothing here
touches torch or a device's settings, and nothing fails a run. Energy is NVML's counter of the visible GPUs (NVIDIA,
`nvmlDeviceGetTotalEnergyConsumption`, millijoules since the driver was loaded; Volta and newer): a difference of two
readings, which includes what others did on the same GPU meanwhile, and neither CPU nor memory.
"""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGES = (
    "bias_intervene", "torch", "deepspeed", "transformers", "tokenizers", "datasets", "hydra-core", "omegaconf",
    "numpy", "scipy", "pydantic", "safetensors",
)  # fmt: skip


def describe_environment() -> dict[str, Any]:
    """Versions, the code's revision and hardware: what a difference between two runs could come from."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
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
    """Names of the visible GPUs; none where there is no driver."""
    return [str(nvml.nvmlDeviceGetName(device)) for nvml, device in devices()]


def energy_joules() -> float | None:
    """Energy that the visible GPUs have taken so far; None where they do not tell."""
    read = devices()
    try:
        return sum(nvml.nvmlDeviceGetTotalEnergyConsumption(device) for nvml, device in read) / 1000 if read else None
    except Exception:  # NVML's own errors: a GPU too old to count, or out of reach in a container.
        return None


def devices() -> list[tuple[Any, Any]]:
    """(NVML, handle) of each visible GPU."""
    try:
        import pynvml

        pynvml.nvmlInit()
        chosen = visible(os.environ, count=pynvml.nvmlDeviceGetCount())
        by = {True: pynvml.nvmlDeviceGetHandleByIndex, False: pynvml.nvmlDeviceGetHandleByUUID}
        return [(pynvml, by[isinstance(name, int)](name)) for name in chosen]
    except Exception:  # No NVML here, or none that works.
        return []


def visible(environment: Mapping[str, str], *, count: int) -> list[int | str]:
    """Numbers or UUIDs of the GPUs that CUDA_VISIBLE_DEVICES leaves; all of them without it.

    >>> visible({"CUDA_VISIBLE_DEVICES": "2,0"}, count=4)
    [2, 0]
    """
    words = environment.get("CUDA_VISIBLE_DEVICES")
    if words is None:
        return list(range(count))
    return [int(word) if word.isdecimal() else word for word in words.split(",") if word.strip()]


def revision() -> dict[str, Any] | None:
    """The git revision of this code and whether files differ from it; None outside a checkout."""
    folder = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    try:
        if not git("ls-files", "--", __file__):
            return None  # Installed into a checkout of something else.
        return {"revision": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None
