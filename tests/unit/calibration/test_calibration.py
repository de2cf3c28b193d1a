"""The calibration, on runs made by hand: what was put into them is what it must say."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from bias_intervene import calibrate as command
from bias_intervene.analysis.comparison import compare
from bias_intervene.analysis.pairing import aligned
from bias_intervene.analysis.records import ItemTable, find
from bias_intervene.analysis.report.against_controls import dose_and_response
from bias_intervene.calibration import Answer, Finding, calibrate, page
from bias_intervene.calibration.chance import control_pairs, exchanged
from bias_intervene.statistics import compare_paired
from tests.helpers.worlds import run

WORLDS = (1, 2, 3)


def answers(folder: Path) -> dict[str, Answer]:
    """By their names."""
    return {answer.name: answer for answer in calibrate(find([folder])).answers}


def found(answer: Answer, words: str) -> Finding:
    """The one number whose name holds the words."""
    (one,) = [finding for finding in answer.findings if words in finding.name]
    return one


def arms(folder: Path, **changed: float) -> None:
    """A world's arms as they should come out, but for what is changed."""
    for seed in WORLDS:
        made = partial(run, world_seed=seed, slope=changed.get("slope", 0.95))
        at = folder / str(seed)
        made(at / "none")
        doses = {0.0: 0.0, 0.25: 1.0, 0.5: changed.get("half", 2.0), 1.0: 5.0}
        for p, moved in doses.items():
            made(at / f"m2f{p}", "masculine_to_feminine", probability=p, moved=moved, gap=1 - 0.2 * p)
        made(at / "f2m", "feminine_to_masculine", moved=changed.get("f2m", -5.0))
        made(at / "both", "both", probability=0.25, gap=0.45, moved=changed.get("both", 0.0))
        made(at / "neutral", "neutral", they=3.0)
        made(at / "retokenize", "retokenize")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three worlds, all arms, twenty pairs of controls."""
    folder = tmp_path_factory.mktemp("worlds")
    arms(folder)
    for seed in WORLDS:
        for order in range(101, 115):
            run(folder / str(seed) / f"order{order}", world_seed=seed, seed=order, fraction=0.1, noise=0.1)
    for seed in WORLDS:
        run(folder / f"pieces{seed}", world_seed=seed, pieces=True)
        run(folder / f"map{seed}", "pythia_token_map", world_seed=seed, pieces=True, perplexity=2.4, moved=1.0)
    return folder


def test_a_good_instrument_passes(whole: Path):
    said = answers(whole)
    failed = {f.name: (f.value, f.ci_low, f.ci_high) for a in said.values() for f in a.findings if f.passed is False}
    assert not failed
    assert all(answer.findings for answer in said.values())
    assert found(said["recovery"], "slope").value == pytest.approx(0.95, abs=0.03)
    assert found(said["directions"], "gap of P(he) left").value == pytest.approx(0.53, abs=0.08)
    assert found(said["generalisation"], "she:he, unseen openings").value == pytest.approx(1.0, abs=0.05)
    assert found(said["placebos"], "pythia_token_map").value == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize(
    ("changed", "question", "words"),
    [
        ({"slope": 0.5}, "recovery", "slope of measured on planted"),
        ({"f2m": 0.0}, "directions", "feminine_to_masculine: change"),
        ({"both": 1.0}, "directions", "both: change"),
        ({"half": 0.5}, "dose and response", "she:he, neutral: steps against the dose"),
    ],
)
def test_a_bad_one_does_not(changed: dict, question: str, words: str, tmp_path: Path):
    arms(tmp_path, **changed)
    said = answers(tmp_path)[question]
    assert said.passed is False
    assert found(said, words).passed is False


def test_what_has_no_runs_is_said_and_not_passed(tmp_path: Path):
    run(tmp_path / "alone")
    said = answers(tmp_path)
    assert [name for name, answer in said.items() if answer.findings] == ["recovery"]
    del said["recovery"]
    assert all(answer.passed is None and "calibration" in answer.needs for answer in said.values())
    assert "No runs for: dose and response" in page.summary(calibrate(find([tmp_path])))


def test_controls_of_one_world_are_paired_once(whole: Path):
    pairs = control_pairs(find([whole]).runs)
    assert len(pairs) == 21
    assert all(
        a.settings["data.seed"] == b.settings["data.seed"] and a.settings["seed"] != b.settings["seed"]
        for a, b in pairs
    )
    assert len({run.folder for pair in pairs for run in pair}) == 42


def test_an_exchange_leaves_no_difference_but_chance(tmp_path: Path):
    """Two models a whole nat apart: exchanged person by person, the test finds a difference as often as it should."""
    ours, theirs = (
        find([run(tmp_path / str(n), seed=n, moved=float(n))]).runs[0].items("pronouns", "step100") for n in (1, 2)
    )
    draw = np.random.default_rng(3)
    p = []
    for _ in range(200):
        pairs = aligned("prompts", "all", "log_odds_she_he", *exchanged(ours, theirs, draw))
        p.append(compare_paired(pairs.baseline, pairs.treatment, clusters=pairs.clusters).p)
    assert 0.01 < np.mean(np.array(p) < 0.05) < 0.11
    plain = aligned("prompts", "all", "log_odds_she_he", ours, theirs)
    assert compare_paired(plain.baseline, plain.treatment, clusters=plain.clusters).p < 1e-9
    # A person's answers stay together.
    one, _ = exchanged(ours, theirs, draw)
    whose = one.column("log_odds_she_he") == ours.column("log_odds_she_he")
    assert all(len(set(whose[one.clusters == person].tolist())) == 1 for person in set(one.clusters.tolist()))


def crossed(draw: np.random.Generator, *, shift: float) -> ItemTable:
    """Items about two of 10 x 10 occupations, four of each pair, and what a model says of them."""
    rows = [
        {"item": f"{pair}/{number}", "protocol": "sentence", "subsets": ["all"], "log_odds": shift + draw.normal(),
         "cluster": [f"woman {pair // 10}", f"man {pair % 10}"]}
        for pair in range(100) for number in range(4)
    ]  # fmt: skip
    return ItemTable(pa.Table.from_pylist(rows))


def test_an_exchange_of_crossed_items_moves_whole_occupations():
    """Then a test that is clustered by pair finds differences, and one by both occupations does not."""
    draw = np.random.default_rng(4)
    ours, theirs = crossed(draw, shift=1.0), crossed(draw, shift=0.0)
    found = by_pair = 0
    for _ in range(200):
        one, other = exchanged(ours, theirs, draw)
        pairs = aligned("sentence", "all", "log_odds", one, other)
        assert pairs.clusters is not None
        found += compare_paired(pairs.baseline, pairs.treatment, clusters=pairs.clusters).p < 0.05
        both = [" and ".join(labels) for labels in pairs.clusters]
        by_pair += compare_paired(pairs.baseline, pairs.treatment, clusters=both).p < 0.05
        is_ours = one.column("log_odds") == ours.column("log_odds")
        stays_together = [
            len({*is_ours[pairs.clusters[:, factor] == name].tolist()}) == 1
            for factor in (0, 1)
            for name in {*pairs.clusters[:, factor]}
        ]
        assert all(stays_together[:10]) or all(stays_together[10:])
    assert found <= stats.binom.ppf(0.999, 200, 0.05)
    assert by_pair > 50


def test_one_training_is_no_treatment(whole: Path):
    """All items of a run have some noise in common, which no test over items can know."""
    said = answers(whole)["seeds"]
    apart = found(said, "she:he, neutral: trainings of one arm told apart")
    assert apart.value > 0.3
    assert found(said, "she:he, neutral: spread").value > 1.5
    assert said.passed is None


@pytest.mark.filterwarnings("error")
def test_one_pair_of_controls_has_no_spread(tmp_path: Path):
    for seed in (101, 102):
        run(tmp_path / str(seed), seed=seed, noise=0.1)
    said = answers(tmp_path)["seeds"]
    assert found(said, "she:he, neutral: trainings of one arm told apart").n == 1
    assert not [finding for finding in said.findings if "spread" in finding.name]


def test_two_ways_to_one_dose_are_two_lines(tmp_path: Path):
    for fraction, probability in ((0.2, 0.5), (0.2, 1.0), (0.1, 1.0)):
        for arm in ("none", "masculine_to_feminine"):
            run(tmp_path / f"{arm}{fraction}{probability}", arm, fraction=fraction, probability=probability, moved=1.0)
    drawn = {figure.name: figure for figure in dose_and_response(compare([tmp_path]))}
    lines = {one.name: one.x for one in drawn["dose_response_pronouns_prompts_neutral_log_odds_she_he"].series}
    assert lines == {
        "masculine_to_feminine calibration, 0.2 of the training": [10.0, 20.0],
        "masculine_to_feminine calibration, 0.1 of the training": [10.0],
    }


def test_bounds():
    def passed(low: float, high: float) -> bool | None:
        return Finding("", 0.0, low, high, 3, (0.0, None), whole=True).passed

    assert passed(0.1, 0.2)
    assert not passed(-0.1, 0.2)
    assert not passed(0.0, 0.0), "an interval from 0 to 0 is no change"
    assert Finding("", 0.1, None, None, 3, (0.0, 0.12)).passed
    assert Finding("", 0.1, None, None, 3).passed is None


def test_the_command(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert command.main([str(whole), "--output", str(tmp_path)]) == 0
    assert "numbers lie where they must" in capsys.readouterr().out
    said = json.loads((tmp_path / "calibration.json").read_text())
    assert (said["schema"], said["passed"], said["control_pairs"]) == (1, True, 21)
    text = (tmp_path / "calibration.html").read_text()
    assert "http" not in text.split("<script>")[0]
    assert (tmp_path / "figures" / "calibration_recovery.png").is_file()
    assert command.main([str(tmp_path / "nowhere")]) == 1
    assert "no such directory" in capsys.readouterr().err
    assert command.main([str(whole / "1" / "f2m"), "--output", str(tmp_path), "--json"]) == 0
