"""bias_intervene: swap pronouns at the end of a language model's pretraining, and measure what that does to its bias.

This module is the public Python interface; README.md beside it is the map of the packages. The names below are imported
when they are first used, so that `import bias_intervene` and `--help` start at once, without torch or scipy.

>>> import bias_intervene
>>> bias_intervene.swap_text("She lost his keys.", "both").text
'He lost her keys.'
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bias_intervene.analysis.comparison import compare as compare_runs
    from bias_intervene.errors import BiasInterveneError
    from bias_intervene.interventions.row_swap import TextSwap
    from bias_intervene.interventions.text import swap_text
    from bias_intervene.interventions.tokens import TokenSwap
    from bias_intervene.plan import make_plan
    from bias_intervene.settings import read_settings

__version__ = "0.1.0"

__all__ = [
    "BiasInterveneError",
    "TextSwap",
    "TokenSwap",
    "__version__",
    "compare_runs",
    "make_plan",
    "read_settings",
    "swap_text",
]

_HOMES = {
    "BiasInterveneError": ("errors", "BiasInterveneError"),
    "TextSwap": ("interventions.row_swap", "TextSwap"),
    "TokenSwap": ("interventions.tokens", "TokenSwap"),
    "compare_runs": ("analysis.comparison", "compare"),
    "make_plan": ("plan", "make_plan"),
    "read_settings": ("settings", "read_settings"),
    "swap_text": ("interventions.text", "swap_text"),
}
"""Public name -> the module that defines it, and its name there."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
