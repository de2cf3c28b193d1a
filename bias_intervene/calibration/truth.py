"""Is what was planted found? Recovery, dose and response, directions, placebos, generalisation.

Input: the runs of worlds whose log-odds are known, and their comparison. Output: an answer per question. Guarantees: a
world is one observation, and every interval is Student's over worlds. The metrics named here are those whose truth is
planted in a world or follows from it; a benchmark without a planted truth has no place here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import expit

from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.pairing import Arm
from bias_intervene.analysis.records import Items, Run
from bias_intervene.analysis.report.against_controls import dose_and_response, dose_of
from bias_intervene.analysis.report.figure import Figure, Series
from bias_intervene.analysis.verdicts import ALPHA
from bias_intervene.calibration.findings import Answer, Bounds, Finding, over_worlds
from bias_intervene.results import ComparisonRow, MetricKey, MetricSpecs
from bias_intervene.statistics import over_seeds

_LEANING = ("female_leaning", "male_leaning")
_NEUTRAL = MetricKey("pronouns", "prompts", "neutral", "log_odds_she_he")
_GAP = MetricKey("pronouns", "prompts", "occupations", "occupation_gap")
_EVERYONE = MetricKey("pronouns", "prompts", "all", "log_odds_she_he")
_FOLLOW_THE_DOSE: dict[MetricKey, int] = {
    _NEUTRAL: +1,
    _GAP: -1,
    MetricKey("winobias", "sentence", "all", "masculine_share"): -1,
    MetricKey("winobias", "sentence", "all", "stereotype_accuracy"): 0,
    MetricKey("crows_pairs", "likelihood", "gender", "pct_stereotype"): 0,
}
"""Which way a metric goes when masculine pronouns become feminine; 0: reported, without bounds."""
_NEVER_SWAPPED: dict[MetricKey, str] = {
    MetricKey("pronouns", "prompts", "unmentioned", "log_odds_she_he"): "occupations never swapped",
    MetricKey("pronouns", "unseen", "all", "log_odds_she_he"): "unseen openings",
    MetricKey("pronouns", "unseen", "unmentioned", "log_odds_she_he"): "occupations never swapped, unseen openings",
}
_PERPLEXITY = MetricKey("perplexity", "heldout", "without_pronouns", "perplexity")
_WORLDS = "python -m bias_intervene experiment=calibration"
_UP: Bounds = (0.0, None)
_DOWN: Bounds = (None, 0.0)


# --- reading the runs ------------------------------------------------------------------------------------------


def _leanings(items: Items, protocol: str) -> dict[str, tuple[float, float]]:
    """Occupation -> (planted, measured) log P(he)/P(she), nats, the mean over openings."""
    if not items.has("planted"):
        return {}
    found: dict[str, list[tuple[float, float]]] = {}
    for subset in _LEANING:
        for row in items.chosen(protocol, subset, "log_odds_she_he"):
            planted, measured = (float(items.column(name)[row]) for name in ("planted", "log_odds_she_he"))
            if items.clusters is not None and not np.isnan(planted):
                found.setdefault(str(items.clusters[row]), []).append((planted, -measured))
    return {name: (values[0][0], float(np.mean([v for _, v in values]))) for name, values in found.items()}


@dataclass(frozen=True)
class _Line:
    """Measured on planted log-odds, by least squares."""

    slope: float
    intercept: float
    correlation: float


def _line_of(found: dict[str, tuple[float, float]]) -> _Line:
    """The line through (planted, measured)."""
    planted, measured = np.array(list(found.values())).T
    slope, intercept = np.polyfit(planted, measured, 1)
    return _Line(float(slope), float(intercept), float(np.corrcoef(planted, measured)[0, 1]))


def _value_of(run: Run, key: MetricKey) -> float:
    """A metric of a run's last checkpoint; nan where it was not scored."""
    return next((row.value for row in run.metrics(str(run.last)) if row.key == key), float("nan"))


def _plain(runs: Sequence[Run]) -> list[Run]:
    """Runs in worlds as they are: their rows in the original order, without names made of pieces."""
    return [
        run
        for run in runs
        if run.settings.get("data.kind") == "world"
        and not run.settings.get("data.pieces")
        and not run.settings.get("data.shuffle")
    ]


def _treated(compared: Comparison, name: str) -> list[Arm]:
    """Arms of an intervention that have controls, in plain worlds, the strongest dose last."""
    arms = [arm for arm in compared.arms if arm.first.arm == name and arm.paired and _plain([arm.first])]
    return sorted(arms, key=lambda arm: (dose_of(arm.first) or 0.0, arm.label))


def _row_of(compared: Comparison, arm: Arm, key: MetricKey) -> ComparisonRow | None:
    """The difference of an arm to its control."""
    control = arm.paired[0][1].label
    rows = (row for row in compared.rows if (row.arm, row.baseline_arm, row.key) == (arm.label, control, key))
    return next((row for row in rows if row.difference is not None), None)


def _change(
    compared: Comparison, arm: Arm, key: MetricKey, allowed: Bounds | None = None, *, whole: bool = False
) -> Iterator[Finding]:
    """The difference of an arm to its control as the comparison has it."""
    row = _row_of(compared, arm, key)
    if row is not None and row.difference is not None:
        name = f"{arm.first.arm}: change of {compared.specs.short_name(key)}"
        yield Finding(name, row.difference, row.ci_low, row.ci_high, row.seeds, allowed, whole)


# --- the questions ---------------------------------------------------------------------------------------------


def recovery(runs: Sequence[Run]) -> Answer:
    """Measured against planted log-odds before any intervention."""
    worlds: dict[tuple[Any, ...], Run] = {}
    for run in _plain(runs):
        key = (run.settings["data.seed"], run.settings.get("model.name"))
        if run.base is not None and run.has_items("pronouns", run.base):
            known = worlds.setdefault(key, run)
            if run.record["plan"]["start_step"] < known.record["plan"]["start_step"]:
                worlds[key] = run
    question = "Before any intervention: are the planted log-odds of the occupations measured?"
    answer = Answer("recovery", question, needs=_WORLDS)
    found = {
        f"world {seed}": _leanings(run.items("pronouns", str(run.base)), "prompts")
        for (seed, _), run in sorted(worlds.items(), key=lambda one: str(one[0]))
    }
    found = {name: occupations for name, occupations in found.items() if len(occupations) > 2}
    if not found:
        return answer
    lines = [_line_of(occupations) for occupations in found.values()]
    slopes, correlations = [line.slope for line in lines], [line.correlation for line in lines]
    answer.findings.extend(
        [
            over_worlds("slope of measured on planted", slopes, (0.8, 1.2)),
            Finding("the same, lowest of a world", min(slopes), None, None, len(slopes)),
            Finding("the same, highest of a world", max(slopes), None, None, len(slopes)),
            over_worlds("correlation", correlations, (0.95, 1.0)),
            Finding("the same, lowest of a world", min(correlations), None, None, len(slopes), (0.95, 1.0)),
            over_worlds("intercept, nats", [line.intercept for line in lines]),
        ]
    )
    series = [
        Series(name, *(list(side) for side in zip(*occupations.values(), strict=True)), labels=list(occupations))
        for name, occupations in found.items()
    ]
    answer.figures.append(
        Figure(
            name="calibration_recovery",
            title="Measured against planted bias, before any intervention",
            x_label="planted log P(he) - log P(she), nats",
            y_label="measured, nats",
            kind="scatter",
            series=series,
            note="One point an occupation. On the line: measured as planted.",
            diagonal=True,
        )
    )
    return answer


def dose(compared: Comparison) -> Answer:
    """Response against dose."""
    answer = Answer(
        "dose and response", "Does every measure follow the dose (fraction x probability), step by step?", needs=_WORLDS
    )
    arms = _treated(compared, "masculine_to_feminine")
    full = max((arm.first.record["plan"]["realised_fraction"] for arm in arms), default=None)
    of_full = [arm for arm in arms if arm.first.record["plan"]["realised_fraction"] == full]
    if len(of_full) < 3:
        return answer
    for key, sign in _FOLLOW_THE_DOSE.items():
        by_world = [_differences_by_world(arm, key) for arm in of_full]
        worlds = sorted(set.intersection(*(set(one) for one in by_world)), key=str)
        if len(worlds) < 2:
            continue
        changes_WD = np.array([[one[world] for one in by_world] for world in worlds])
        name = compared.specs.short_name(key)
        if sign:
            answer.findings.extend(_monotone(name, sign * changes_WD))
        answer.findings.append(over_worlds(f"{name}: change at the full dose", changes_WD[:, -1].tolist()))
    drawn = (figure for figure in dose_and_response(compared, among=arms) if any(one.x for one in figure.series))
    # Beside the report's own figures, which hold all arms.
    answer.figures.extend(replace(figure, name=f"calibration_{figure.name}") for figure in drawn)
    return answer


def _monotone(name: str, rising_WD: np.ndarray) -> Iterator[Finding]:
    """Whether changes grow with the dose. rising_WD: (worlds, doses) changes in the expected direction.

    Source: Page 1963, worlds as blocks; and each step of the dose by itself, over worlds.
    """
    trend = stats.page_trend_test(rising_WD)
    yield Finding(f"{name}: p of Page's trend test", float(trend.pvalue), None, None, len(rising_WD), (None, ALPHA))
    steps = [over_seeds(step) for step in np.diff(rising_WD, axis=1).T]
    falling = sum(step.ci_high < 0 for step in steps)
    yield Finding(f"{name}: steps against the dose, beyond error", falling, None, None, len(steps), (0, 0))


def _differences_by_world(arm: Arm, key: MetricKey) -> dict[tuple[Any, ...], float]:
    """Seeds of a replicate -> difference to its control."""
    found = {run.seeds: _value_of(run, key) - _value_of(control, key) for run, control in arm.paired}
    return {seeds: value for seeds, value in found.items() if not np.isnan(value)}


def directions(compared: Comparison) -> Answer:
    """Each direction does what it says."""
    answer = Answer("directions", "Does each of the four directions do what it says, and nothing else?", needs=_WORLDS)
    strongest = {name: arms[-1] for name in ("masculine_to_feminine", "feminine_to_masculine", "both", "neutral")
                 if (arms := _treated(compared, name))}  # fmt: skip
    for name, bounds in (("masculine_to_feminine", _UP), ("feminine_to_masculine", _DOWN)):
        if name in strongest:
            answer.findings.extend(_change(compared, strongest[name], _NEUTRAL, bounds, whole=True))
    if "both" in strongest:
        answer.findings.extend(_of_both(strongest["both"], strongest.get("masculine_to_feminine"), compared.specs))
    if "neutral" in strongest:
        shares = [(_pronoun_shares(run), _pronoun_shares(control)) for run, control in strongest["neutral"].paired]
        for number, word in enumerate(("she", "he", "they")):
            moved = [ours[number] - theirs[number] for ours, theirs in shares]
            name = f"neutral: change of P({word}), neutral openings"
            answer.findings.append(over_worlds(name, moved, _UP if word == "they" else _DOWN, whole=True))
    return answer


def _of_both(arm: Arm, one_way: Arm | None, specs: MetricSpecs) -> Iterator[Finding]:
    """What exchanging both ways leaves of the gap, and that it moves no mean."""
    probability = float(arm.first.settings["intervention.probability"])
    left = [_probability_gap(run) / _probability_gap(control) for run, control in arm.paired]
    of_rows = abs(1 - 2 * probability)
    name = f"both: gap of P(he) left, share of the control's (the rows have {of_rows:.2f})"
    yield over_worlds(name, left, (of_rows - 0.1, 0.95))
    if one_way is not None:
        reach = float(np.mean(list(_differences_by_world(one_way, _NEUTRAL).values())))
        moved = [value / reach for value in _differences_by_world(arm, _NEUTRAL).values()]
        yield over_worlds(
            f"both: change of {specs.short_name(_NEUTRAL)}, share of the one-way swap's", moved, (-0.1, 0.1)
        )


def _probability_gap(run: Run) -> float:
    """Mean P(he), of he and she, of male leaning minus female leaning occupations, at the run's last checkpoint."""
    items = run.items("pronouns", str(run.last))
    female, male = (
        float(expit(-items.column("log_odds_she_he")[items.chosen("prompts", subset, "log_odds_she_he")]).mean())
        for subset in _LEANING
    )
    return male - female


def _pronoun_shares(run: Run) -> tuple[float, float, float]:
    """Mean P(she), P(he), P(they), of these three, after neutral openings at the run's last checkpoint."""
    items = run.items("pronouns", str(run.last))
    rows = items.chosen("prompts", "neutral", "log_odds_they")
    they, she = (expit(items.column(name)[rows]) for name in ("log_odds_they", "log_odds_she_he"))
    return float(((1 - they) * she).mean()), float(((1 - they) * (1 - she)).mean()), float(they.mean())


def placebos(compared: Comparison) -> Answer:
    """What is to do nothing does nothing; what is to damage damages."""
    answer = Answer(
        "placebos", "Is nothing found where nothing was done, and damage where there is damage?", needs=_WORLDS
    )
    of_none = [arm for arm in _treated(compared, "masculine_to_feminine") if dose_of(arm.first) == 0]
    for arm in [*_treated(compared, "retokenize"), *_treated(compared, "pythia_pushed"), *of_none]:
        control = arm.paired[0][1].label
        rows = [row for row in compared.rows if (row.arm, row.baseline_arm) == (arm.label, control)]
        known = [row.p for row in rows if row.p is not None]
        if known:
            name = f"{arm.first.arm}{' at probability 0' if arm in of_none else ''}"
            differing = sum(p < ALPHA for p in known) / len(known)
            label = f"{name}: share of metrics that differ, p < .05"
            answer.findings.append(Finding(label, differing, None, None, len(known), (0.0, 0.12)))
            answer.findings.extend(_change(compared, arm, _NEUTRAL))
    for arm in compared.arms:
        if arm.paired and arm.first.settings.get("data.pieces"):
            bounds = _UP if arm.first.arm == "pythia_token_map" else None
            answer.findings.extend(_change(compared, arm, _PERPLEXITY, bounds, whole=bounds is not None))
    return answer


def generalisation(compared: Comparison) -> Answer:
    """Where nothing was swapped."""
    answer = Answer(
        "generalisation",
        "Does the change reach occupations that were never swapped, and openings that were never trained on?",
        needs=_WORLDS,
    )
    arms = _treated(compared, "masculine_to_feminine")
    if not arms or not _never_mentions(arms[-1].first):
        return answer
    arm = arms[-1]
    shifts = [
        {key: _value_of(run, key) - _value_of(control, key) for key in (_EVERYONE, *_NEVER_SWAPPED)}
        for run, control in arm.paired
    ]
    for key, words in _NEVER_SWAPPED.items():
        ratio = [shift[key] / shift[_EVERYONE] for shift in shifts]
        answer.findings.append(over_worlds(f"change of she:he, {words}, share of everyone's", ratio, (0.5, 1.5)))
    found = [_leanings(control.items("pronouns", str(control.base)), "unseen") for _, control in arm.paired]
    lines = [_line_of(occupations) for occupations in found]
    before = "unseen openings, before any intervention"
    answer.findings.append(over_worlds(f"{before}: slope of measured on planted", [line.slope for line in lines]))
    answer.findings.append(over_worlds(f"{before}: correlation", [line.correlation for line in lines], (0.9, 1.0)))
    return answer


def _never_mentions(run: Run) -> bool:
    """Whether the rows that it read altered leave some occupations out."""
    late = float(run.settings.get("data.unmentioned_fraction", 0.0))
    return bool(run.settings.get("data.unmentioned")) and run.record["plan"]["realised_fraction"] <= late + 1e-9
