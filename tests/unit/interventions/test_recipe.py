"""The recipe "Add an intervention" of bias_intervene/README.md, followed in a copy of the code.

The toy intervention has an option of its own, so that it touches as many files as an intervention can.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.mutations.__main__ import copy_code

NEW = {
    "bias_intervene/interventions/initial.py": '''"""He becomes a letter."""

import re
from collections.abc import Callable

from bias_intervene.interventions.text import Swap, Swapped, apply
from bias_intervene.settings.intervention import InterventionSettings


def initial(settings: InterventionSettings) -> Callable[[str], Swapped]:
    """Replaces every "he" with the letter that is set."""

    def rewrite(text: str) -> Swapped:
        swaps = [Swap(*found.span(), "he", settings.letter) for found in re.finditer(r"\\bhe\\b", text)]
        return Swapped(text=apply(text, swaps), swaps=swaps)

    return rewrite
''',
    "conf/intervention/initial.yaml": "defaults:\n  - _base\n  - _self_\n\nname: initial\nletter: H\n",
    "tests/unit/interventions/test_initial.py": '''"""He becomes a letter."""

from bias_intervene.interventions.initial import initial
from tests.conftest import intervention


def test_he_becomes_the_letter_that_is_set():
    assert initial(intervention("initial", letter="X"))("so he ran").text == "so X ran"
''',
}
"""Path -> content of the files that the recipe adds."""
CHANGED = {
    "bias_intervene/interventions/registry.py": (
        ("from bias_intervene.interventions.text",
         "from bias_intervene.interventions.initial import initial\nfrom bias_intervene.interventions.text"),
        ("_ALL = (\n",
         "_ALL = (\n    Intervention('initial', _she_over_he(+1), rewrite=initial, "
         "pronouns_of='masculine_to_feminine', faults='A toy.'),\n"),
    ),
    "bias_intervene/settings/intervention.py": (
        ('"pythia_pushed"]', '"pythia_pushed", "initial"]'),
        ('    margin: Nats', '    letter: StrictStr = Field(description="What he becomes.")\n    margin: Nats'),
        ('_DEFAULTS = {', '_DEFAULTS = {"letter": "H", '),
        ('"profile": _DRAW', '"profile": (*_DRAW, "letter")'),
    ),
    "conf/intervention/_base.yaml": (("unit: row\n", "unit: row\nletter: H\n"),),
    "README.md": (("| `intervention` | ", "| `intervention` | `initial` (a toy), "),),
    "conf/README.md": (("| `none` | nothing: ", "| `initial` | a toy |\n| `none` | nothing: "),),
}  # fmt: skip
"""Path -> (what stands there, what replaces it) in the files that the recipe changes."""

SHOWN = """
import json, sys
from bias_intervene.analysis.verdicts import expected_effect
from bias_intervene.interventions import INTERVENTIONS
from bias_intervene.run.planning import plan_of
from tests.conftest import composed
plan = plan_of(composed("intervention=initial", "intervention.letter=X"))
effect = expected_effect({"arm": plan.arm, "plan": json.loads(json.dumps(plan.to_json()))})
print(json.dumps([plan.arm, effect.metric, INTERVENTIONS["initial"].warning(rows=4, num_swaps=0, left_alone={})]))
"""


def section() -> str:
    """The recipe, up to what is done after it."""
    text = (REPOSITORY / "bias_intervene" / "README.md").read_text(encoding="utf8")
    return text.split("## Add an intervention\n")[1].split("\n## ")[0].split("\nThen ")[0]


def test_the_recipe_is_enough(tmp_path: Path):
    code = tmp_path
    copy_code(code)
    for name, content in NEW.items():
        (code / name).write_text(content, encoding="utf8")
    for name, edits in CHANGED.items():
        text = (code / name).read_text(encoding="utf8")
        for old, new in edits:
            assert text.count(old) == 1, (name, old)
            text = text.replace(old, new)
        (code / name).write_text(text, encoding="utf8")

    def python(*words: str, text: str = "", status: int = 0) -> str:
        environment = {**os.environ, "PYTHONPATH": str(code)}
        done = subprocess.run(
            [sys.executable, *words], input=text, capture_output=True, text=True, cwd=code, env=environment
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + (done.stderr if status else "")

    preview = ("-m", "bias_intervene.preview", "intervention.letter=X")
    assert python(*preview, "intervention=initial", text="so he ran. The end") == "so X ran. The end"
    assert "intervention=both has no such option" in python(*preview, "intervention=both", status=1)
    arm, metric, warning = json.loads(python("-c", SHOWN))
    assert (arm, metric) == ("initial", "log_odds_she_he")
    assert warning == "0 of 4 rows changed: the intervention found no pronoun to swap"
    own_tests = ("tests/unit/interventions/test_registry.py", "tests/unit/interventions/test_initial.py")
    assert " passed" in python("-m", "pytest", "-q", "-p", "no:cacheprovider", *own_tests)


def test_the_recipe_names_every_file_that_was_touched():
    named = set(re.findall(r"`((?:bias_intervene|conf|tests|README)[\w/.]*\.\w+)`", section()))
    assert {path.replace("NAME", "initial") for path in named} == {*NEW, *CHANGED}
    assert len(named) <= 8
