"""DeepSpeed's state in files that hold no code: tensors in safetensors, everything else in JSON.

DeepSpeed stores its state as pickles, and to read a pickle is to run what it says: a fingerprint beside it protects
nobody, since whoever alters one alters the other. Here a state is one safetensors file, whose header holds the nesting
of dictionaries and lists as JSON, with a number in the place of each tensor.

Input: a state: dictionaries, lists, tuples, numbers, texts, tensors, their types and sizes, and objects of the few
classes of DeepSpeed in `_CLASSES`. Output: a file, and the state read from it.
Guarantees: what is read equals what was written, bit for bit. Reading makes values of these kinds only; nothing in a
file is executed. A pickle, as earlier versions wrote, is refused. Tensors are written one by one, so that a host
needs no room for a copy of a GPU's state.
"""

import importlib
import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from bias_intervene.errors import RunDirectoryError, first_line

_CLASSES = {
    "LossScaler": "deepspeed.runtime.fp16.loss_scaler",
    "DynamicLossScaler": "deepspeed.runtime.fp16.loss_scaler",
    "fragment_address": "deepspeed.utils.tensor_fragment",
}
"""Class of objects in DeepSpeed's states -> its module. Their attributes are values of the kinds above."""
_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
"""Type -> its name in safetensors."""
_STRUCTURE = "structure"


def write(state_dict: Any, path: str | Path) -> None:
    """Writes a state to a file. The names of the parameters are those of DeepSpeed's checkpoint engines."""
    tensors: list[torch.Tensor] = []
    header: dict[str, Any] = {"__metadata__": {_STRUCTURE: json.dumps(_to_json(state_dict, tensors))}}
    # Wide types first: a tensor must begin at a multiple of the size of its numbers.
    order = sorted(range(len(tensors)), key=lambda number: -tensors[number].element_size())
    end = 0
    for number in order:
        tensor = tensors[number]
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[str(number)] = {
            "dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]
        }  # fmt: skip
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with Path(path).open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for number in order:
            file.write(tensors[number].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


def read(path: str | Path, map_location: object = None) -> Any:
    """The state in a file, its tensors on the CPU, whatever `map_location` says. Raises `RunDirectoryError`."""
    try:
        with safe_open(str(path), framework="pt") as file:
            structure = json.loads(file.metadata()[_STRUCTURE])
            return _from_json(structure, lambda number: file.get_tensor(number).clone())
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunDirectoryError(
            f"{path}: no state of a training in safetensors ({first_line(error)}). Earlier versions wrote pickles, "
            "which are not read, since they could run code: finish such a run with the version that began it, or start "
            "it anew in another directory"
        ) from None


def _to_json(value: Any, tensors: list[torch.Tensor]) -> Any:
    """A value as JSON; its tensors are added to `tensors`. Raises `TypeError` for a kind that is not foreseen."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor):
        tensors.append(value)
        return {"tensor": str(len(tensors) - 1)}
    if isinstance(value, dict):
        kind = "ordered" if isinstance(value, OrderedDict) else "dict"
        return {kind: [[_to_json(key, tensors), _to_json(item, tensors)] for key, item in value.items()]}
    if isinstance(value, torch.Size):
        return {"size": list(value)}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_to_json(item, tensors) for item in value]}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    name = type(value).__name__
    if _CLASSES.get(name) == type(value).__module__:
        return {"object": [name, _to_json(vars(value), tensors)]}
    raise TypeError(f"a state of DeepSpeed holds a {type(value).__module__}.{name}, which resume_state does not store")


def _from_json(value: Any, tensor: Callable[[str], torch.Tensor]) -> Any:
    """The value that `_to_json` turned into JSON. tensor: the tensor of a number."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensor(content)
    if kind in {"dict", "ordered"}:
        pairs = [(_from_json(key, tensor), _from_json(item, tensor)) for key, item in content]
        return OrderedDict(pairs) if kind == "ordered" else dict(pairs)
    if kind == "size":
        return torch.Size(content)
    if kind in {"list", "tuple"}:
        items = [_from_json(item, tensor) for item in content]
        return items if kind == "list" else tuple(items)
    if kind == "dtype":
        return next(dtype for dtype in _DTYPES if str(dtype) == f"torch.{content}")
    if kind == "object":
        name, attributes = content
        made = object.__new__(getattr(importlib.import_module(_CLASSES[name]), name))
        vars(made).update(_from_json(attributes, tensor))
        return made
    raise ValueError(f"{kind} is no kind of value")
