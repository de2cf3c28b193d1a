"""Compares measurements with the known truth of generated worlds: five questions about bias and effects.

A world is a generated corpus whose log-odds log P(he | occupation) - log P(she | occupation) are given (planted). The
questions: are the planted log-odds measured before any intervention (`recovery`), does the effect grow with the dose
(`dose`), does each direction of the swap have its effect (`directions`), do arms that change nothing show no effect
(`placebos`), and does the effect reach occupations that were never swapped (`generalisation`).

Input: the runs of such worlds, and their comparison.
Output: an `Answer` per question.
Guarantees: a world is one observation, and every interval is Student's over worlds. Only metrics whose true value or
direction follows from the world are judged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from bias_intervene.analysis.comparison import Comparison
from bias_intervene.analysis.pairing import Arm
from bias_intervene.analysis.records import Run
from bias_intervene.analysis.report.against_controls import dose_and_response, dose_of
from bias_intervene.analysis.report.figure import Figure, Series
from bias_intervene.analysis.verdicts import ALPHA
from bias_intervene.calibration.findings import Answer, Bounds, Finding, over_worlds
from bias_intervene.calibration.log_odds import (
    PronounProbabilities,
    fitted_line,
    log_odds_by_occupation,
    probability_gap,
    pronoun_probabilities,
)
from bias_intervene.results import ComparisonRow, MetricKey, MetricSpecs
from bias_intervene.statistics import over_seeds

_NEUTRAL_LOG_ODDS = MetricKey("pronouns", "prompts", "neutral", "log_odds_she_he")
_OCCUPATION_GAP = MetricKey("pronouns", "prompts", "occupations", "occupation_gap")
_LOG_ODDS_OF_ALL = MetricKey("pronouns", "prompts", "all", "log_odds_she_he")
_SIGN_BY_DOSE: dict[MetricKey, int] = {
    _NEUTRAL_LOG_ODDS: +1,
    _OCCUPATION_GAP: -1,
    MetricKey("winobias", "sentence", "all", "masculine_share"): -1,
    MetricKey("winobias", "sentence", "all", "stereotype_accuracy"): 0,
    MetricKey("crows_pairs", "likelihood", "gender", "pct_stereotype"): 0,
}
"""Metric -> sign of its change when masculine pronouns become feminine; 0: reported without bounds."""
_GENERALISATION: dict[MetricKey, str] = {
    MetricKey("pronouns", "prompts", "unmentioned", "log_odds_she_he"): "occupations never swapped",
    MetricKey("pronouns", "unseen", "all", "log_odds_she_he"): "unseen openings",
    MetricKey("pronouns", "unseen", "unmentioned", "log_odds_she_he"): "occupations never swapped, unseen openings",
}
_PERPLEXITY_WITHOUT_PRONOUNS = MetricKey("perplexity", "heldout", "without_pronouns", "perplexity")
_HOW_TO_MAKE_RUNS = "python -m bias_intervene experiment=calibration"
_POSITIVE = Bounds(0.0, None)
_NEGATIVE = Bounds(None, 0.0)


# --- reading the runs ------------------------------------------------------------------------------------------


def _last_value(run: Run, key: MetricKey) -> float:
    """A metric of a run's last checkpoint; NaN if it was not scored."""
    return next((row.value for row in run.metrics(str(run.last)) if row.key == key), float("nan"))


def _is_plain_world(run: Run) -> bool:
    """Whether a run trained on a world with its rows in the original order and without `data.pieces`."""
    settings = run.settings
    return settings.get("data.kind") == "world" and not settings.get("data.pieces") and not settings.get("data.shuffle")


def _arms_by_dose(compared: Comparison, intervention: str) -> list[Arm]:
    """The arms of an intervention that have controls, in plain worlds, by ascending dose."""
    arms = [arm for arm in compared.arms if arm.first.arm == intervention and arm.paired and _is_plain_world(arm.first)]
    return sorted(arms, key=lambda arm: (dose_of(arm.first) or 0.0, arm.label))


def _row_of(compared: Comparison, arm: Arm, key: MetricKey) -> ComparisonRow | None:
    """The row that compares a metric of an arm with its control."""
    names = (arm.label, arm.control_label, key)
    rows = (row for row in compared.rows if (row.arm, row.baseline_arm, row.key) == names)
    return next((row for row in rows if row.difference is not None), None)


def _change(
    compared: Comparison, arm: Arm, key: MetricKey, allowed: Bounds | None = None, *, whole: bool = False
) -> Iterator[Finding]:
    """The difference of an arm to its control; nothing if it was not compared. allowed, whole: see `Finding`."""
    row = _row_of(compared, arm, key)
    if row is not None and row.difference is not None:
        name = f"{arm.first.arm}: change of {compared.specs.short_name(key)}"
        yield Finding(name, row.difference, row.ci_low, row.ci_high, row.seeds, allowed, whole)


# --- the questions ---------------------------------------------------------------------------------------------


def recovery(runs: Sequence[Run]) -> Answer:
    """Are the planted log-odds measured, at the earliest checkpoint that any run of a world started from?"""
    run_of_world: dict[tuple[Any, ...], Run] = {}
    for run in filter(_is_plain_world, runs):
        world = (run.settings["data.seed"], run.settings.get("model.name"))
        if run.base is not None and run.has_items("pronouns", run.base):
            earliest = run_of_world.setdefault(world, run)
            if run.record["plan"]["start_step"] < earliest.record["plan"]["start_step"]:
                run_of_world[world] = run
    question = "Before any intervention: are the planted log-odds of the occupations measured?"
    answer = Answer("recovery", question, needs=_HOW_TO_MAKE_RUNS)
    worlds = {
        f"world {seed}": log_odds_by_occupation(run.items("pronouns", str(run.base)), "prompts")
        for (seed, _), run in sorted(run_of_world.items(), key=lambda world_and_run: str(world_and_run[0]))
    }
    worlds = {name: occupations for name, occupations in worlds.items() if len(occupations) > 2}
    if not worlds:
        return answer
    lines = [fitted_line(occupations) for occupations in worlds.values()]
    slopes, correlations = [line.slope for line in lines], [line.correlation for line in lines]
    answer.findings.extend(
        [
            over_worlds("slope of measured on planted", slopes, Bounds(0.8, 1.2)),
            Finding("the same, lowest of a world", min(slopes), None, None, len(slopes)),
            Finding("the same, highest of a world", max(slopes), None, None, len(slopes)),
            over_worlds("correlation", correlations, Bounds(0.95, 1.0)),
            Finding("the same, lowest of a world", min(correlations), None, None, len(slopes), Bounds(0.95, 1.0)),
            over_worlds("intercept, nats", [line.intercept for line in lines]),
        ]
    )
    series = [
        Series(
            name,
            x=[log_odds.planted for log_odds in occupations.values()],
            y=[log_odds.measured for log_odds in occupations.values()],
            labels=list(occupations),
        )
        for name, occupations in worlds.items()
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
    """Does the effect grow with the dose? Judged on the arms with the longest altered training, at any probability."""
    answer = Answer(
        "dose and response",
        "Does every measure follow the dose (fraction x probability), step by step?",
        needs=_HOW_TO_MAKE_RUNS,
    )
    arms = _arms_by_dose(compared, "masculine_to_feminine")
    longest = max((arm.first.record["plan"]["realised_fraction"] for arm in arms), default=None)
    arms_of_one_length = [arm for arm in arms if arm.first.record["plan"]["realised_fraction"] == longest]
    if len(arms_of_one_length) < 3:
        return answer
    for key, sign in _SIGN_BY_DOSE.items():
        changes_by_dose = [_changes_by_world(arm, key) for arm in arms_of_one_length]
        worlds = sorted(set.intersection(*(set(changes) for changes in changes_by_dose)), key=str)
        if len(worlds) < 2:
            continue
        changes_WD = np.array([[changes[world] for changes in changes_by_dose] for world in worlds])
        name = compared.specs.short_name(key)
        if sign:
            answer.findings.extend(_monotone(name, sign * changes_WD))
        answer.findings.append(over_worlds(f"{name}: change at the full dose", changes_WD[:, -1].tolist()))
    figures = (figure for figure in dose_and_response(compared, among=arms) if any(s.x for s in figure.series))
    # Named apart from the report's figures, which show all arms.
    answer.figures.extend(replace(figure, name=f"calibration_{figure.name}") for figure in figures)
    return answer


def _monotone(name: str, rising_WD: np.ndarray) -> Iterator[Finding]:
    """Whether changes grow with the dose. rising_WD: (worlds, doses) changes in the expected direction.

    Two tests: Page's trend test with worlds as blocks (Page 1963), and whether any step between neighbouring doses is
    significantly negative over worlds.
    """
    trend = stats.page_trend_test(rising_WD)
    yield Finding(
        f"{name}: p of Page's trend test", float(trend.pvalue), None, None, len(rising_WD), Bounds(None, ALPHA)
    )
    steps = [over_seeds(step) for step in np.diff(rising_WD, axis=1).T]
    num_falling = sum(step.ci_high < 0 for step in steps)
    yield Finding(f"{name}: steps against the dose, beyond error", num_falling, None, None, len(steps), Bounds(0, 0))


def _changes_by_world(arm: Arm, key: MetricKey) -> dict[tuple[Any, ...], float]:
    """Seeds of a replicate -> difference of a metric to its control; worlds where it was not scored are left out."""
    changes = {run.seeds: _last_value(run, key) - _last_value(control, key) for run, control in arm.paired}
    return {seeds: change for seeds, change in changes.items() if not np.isnan(change)}


def directions(compared: Comparison) -> Answer:
    """Does each direction of the swap, at its strongest dose, have the effect that it should have?"""
    answer = Answer(
        "directions", "Does each of the four directions do what it says, and nothing else?", needs=_HOW_TO_MAKE_RUNS
    )
    strongest = {
        name: arms[-1]
        for name in ("masculine_to_feminine", "feminine_to_masculine", "both", "neutral")
        if (arms := _arms_by_dose(compared, name))
    }
    for name, bounds in (("masculine_to_feminine", _POSITIVE), ("feminine_to_masculine", _NEGATIVE)):
        if name in strongest:
            answer.findings.extend(_change(compared, strongest[name], _NEUTRAL_LOG_ODDS, bounds, whole=True))
    if "both" in strongest:
        one_way = strongest.get("masculine_to_feminine")
        answer.findings.extend(_findings_of_both(strongest["both"], one_way, compared.specs))
    if "neutral" in strongest:
        probabilities = [
            (pronoun_probabilities(run), pronoun_probabilities(control)) for run, control in strongest["neutral"].paired
        ]
        for word in PronounProbabilities._fields:
            changes = [getattr(ours, word) - getattr(theirs, word) for ours, theirs in probabilities]
            name = f"neutral: change of P({word}), neutral openings"
            bounds = _POSITIVE if word == "they" else _NEGATIVE
            answer.findings.append(over_worlds(name, changes, bounds, whole=True))
    return answer


def _findings_of_both(arm: Arm, one_way: Arm | None, specs: MetricSpecs) -> Iterator[Finding]:
    """The gap between occupations that remains after pronouns of both genders were exchanged, and the change of the
    mean log-odds, which should stay, as a share of the change under the one-way swap.
    """
    probability = float(arm.first.settings["intervention.probability"])
    remaining = [probability_gap(run) / probability_gap(control) for run, control in arm.paired]
    remaining_in_rows = abs(1 - 2 * probability)
    name = f"both: gap of P(he) left, share of the control's (the rows have {remaining_in_rows:.2f})"
    yield over_worlds(name, remaining, Bounds(remaining_in_rows - 0.1, 0.95))
    if one_way is not None:
        one_way_change = float(np.mean(list(_changes_by_world(one_way, _NEUTRAL_LOG_ODDS).values())))
        changes = [change / one_way_change for change in _changes_by_world(arm, _NEUTRAL_LOG_ODDS).values()]
        name = f"both: change of {specs.short_name(_NEUTRAL_LOG_ODDS)}, share of the one-way swap's"
        yield over_worlds(name, changes, Bounds(-0.1, 0.1))


def placebos(compared: Comparison) -> Answer:
    """Do arms that change no pronoun show no effect, and does an arm that damages the text raise the perplexity?"""
    answer = Answer(
        "placebos",
        "Is nothing found where nothing was done, and damage where there is damage?",
        needs=_HOW_TO_MAKE_RUNS,
    )
    without_dose = [arm for arm in _arms_by_dose(compared, "masculine_to_feminine") if dose_of(arm.first) == 0]
    without_effect = [*_arms_by_dose(compared, "retokenize"), *_arms_by_dose(compared, "pythia_pushed"), *without_dose]
    for arm in without_effect:
        names = (arm.label, arm.control_label)
        rows = [row for row in compared.rows if (row.arm, row.baseline_arm) == names]
        # Where every item is the same, there is no test, and no difference.
        p_values = [1.0 if row.p is None else row.p for row in rows if row.p is not None or row.difference == 0]
        if p_values:
            name = f"{arm.first.arm}{' at probability 0' if arm in without_dose else ''}"
            share_differing = sum(p < ALPHA for p in p_values) / len(p_values)
            label = f"{name}: share of metrics that differ, p < .05"
            answer.findings.append(Finding(label, share_differing, None, None, len(p_values), Bounds(0.0, 0.12)))
            answer.findings.extend(_change(compared, arm, _NEUTRAL_LOG_ODDS))
    for arm in compared.arms:
        if arm.paired and arm.first.settings.get("data.pieces"):
            bounds = _POSITIVE if arm.first.arm == "pythia_token_map" else None
            change = _change(compared, arm, _PERPLEXITY_WITHOUT_PRONOUNS, bounds, whole=bounds is not None)
            answer.findings.extend(change)
    return answer


def generalisation(compared: Comparison) -> Answer:
    """Does the effect reach occupations that no altered row mentions, and prompts of a kind that no row holds?"""
    answer = Answer(
        "generalisation",
        "Does the change reach occupations that were never swapped, and openings that were never trained on?",
        needs=_HOW_TO_MAKE_RUNS,
    )
    arms = _arms_by_dose(compared, "masculine_to_feminine")
    if not arms or not _leaves_occupations_out(arms[-1].first):
        return answer
    arm = arms[-1]
    changes = [
        {key: _last_value(run, key) - _last_value(control, key) for key in (_LOG_ODDS_OF_ALL, *_GENERALISATION)}
        for run, control in arm.paired
    ]
    for key, where in _GENERALISATION.items():
        ratios = [change[key] / change[_LOG_ODDS_OF_ALL] for change in changes]
        name = f"change of she:he, {where}, share of everyone's"
        answer.findings.append(over_worlds(name, ratios, Bounds(0.5, 1.5)))
    lines = [
        fitted_line(log_odds_by_occupation(control.items("pronouns", str(control.base)), "unseen"))
        for _, control in arm.paired
    ]
    slopes, correlations = [line.slope for line in lines], [line.correlation for line in lines]
    before = "unseen openings, before any intervention"
    answer.findings.append(over_worlds(f"{before}: slope of measured on planted", slopes))
    answer.findings.append(over_worlds(f"{before}: correlation", correlations, Bounds(0.9, 1.0)))
    return answer


def _leaves_occupations_out(run: Run) -> bool:
    """Whether some occupations are mentioned in none of the rows that the run read altered."""
    fraction_without = float(run.settings.get("data.unmentioned_fraction", 0.0))
    realised_fraction = run.record["plan"]["realised_fraction"]
    return bool(run.settings.get("data.unmentioned")) and realised_fraction <= fraction_without + 1e-9
