"""DeepSpeed's state comes back from safetensors as it was, and nothing in a file is executed."""

import json
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from deepspeed.runtime.fp16.loss_scaler import LossScaler
from deepspeed.utils.tensor_fragment import fragment_address
from safetensors.torch import save_file

from bias_intervene.errors import RunDirectoryError
from bias_intervene.training import resume_state

FLAT = torch.arange(12, dtype=torch.float32)
TENSORS = {
    "fp32": torch.tensor([0.1, float("nan"), -0.0, float("inf")]),
    "bf16": torch.tensor([0.1, 3e38], dtype=torch.bfloat16),
    "step": torch.tensor(7.0),
    "none of them": torch.empty(0),
    "bytes": torch.arange(5, dtype=torch.uint8),
    "flags": torch.tensor([True, False]),
    "a part of another": FLAT[3:9],
    "every second": FLAT[::2],
    "transposed": FLAT.view(3, 4).T,
}


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def there_and_back(state: object, folder: Path):
    resume_state.write(state, folder / "state.pt")
    return resume_state.read(folder / "state.pt", map_location="cpu")


def test_tensors_come_back_bit_for_bit(tmp_path: Path):
    back = there_and_back(TENSORS, tmp_path)
    assert back.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert (back[name].dtype, back[name].shape) == (tensor.dtype, tensor.shape)
        assert bits(back[name]) == bits(tensor)


def test_everything_else_comes_back_as_it_was(tmp_path: Path):
    state = {
        "state": {0: {"lr": 0.1 + 0.2, "betas": (0.9, 0.95), "fused": True}, 1: {}},
        "shapes": [OrderedDict(weight=torch.Size([2, 3]))],
        "dtype": torch.bfloat16,
        "none": None,
        "nested": [[(), []], ["tensor", {"tensor": "0"}]],
    }
    back = there_and_back(state, tmp_path)
    assert back == state
    assert type(back["shapes"][0]) is OrderedDict
    assert type(back["shapes"][0]["weight"]) is torch.Size
    assert type(back["state"][0]["betas"]) is tuple


def test_objects_of_deepspeed_come_back(tmp_path: Path):
    scaler, piece = there_and_back([LossScaler(scale=4), fragment_address(numel=5, start=2)], tmp_path)
    assert type(scaler) is LossScaler
    assert vars(scaler) == vars(LossScaler(scale=4))
    assert piece == fragment_address(numel=5, start=2)


def test_what_is_not_foreseen_is_not_stored(tmp_path: Path):
    with pytest.raises(TypeError, match=r"holds a pathlib\.\w+, which resume_state does not store"):
        resume_state.write({"path": tmp_path}, tmp_path / "state.pt")


class Trap:
    """Unpickling it makes the file."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_is_refused_and_not_executed(tmp_path: Path, save):
    path, sprung = tmp_path / "state.pt", tmp_path / "sprung"
    save({"module": Trap(sprung)}, path)
    with pytest.raises(
        RunDirectoryError, match=r"state\.pt: no state of a training in safetensors.*Earlier versions wrote pickles"
    ):
        resume_state.read(path)
    assert not sprung.exists()


@pytest.mark.parametrize(
    "structure",
    [
        {"object": ["Popen", {"dict": [["args", "true"]]}]},
        {"object": ["LossScaler"]},
        {"call": "os.system"},
        {"tensor": "1"},
        {"dict": [["key"]]},
        {"tensor": "0", "list": []},
    ],
    ids=json.dumps,
)
def test_no_other_class_and_no_other_kind_of_value_is_made(tmp_path: Path, structure: object):
    path = tmp_path / "state.pt"
    save_file({"0": FLAT}, path, metadata={"structure": json.dumps(structure)})
    with pytest.raises(RunDirectoryError, match="no state of a training"):
        resume_state.read(path)


def test_a_file_without_a_structure_is_refused(tmp_path: Path):
    save_file({"0": FLAT}, tmp_path / "state.pt")
    with pytest.raises(RunDirectoryError, match="no state of a training"):
        resume_state.read(tmp_path / "state.pt")
