"""The report in a real browser, and the figures it shares with the files."""

import json
import re
import shutil
from pathlib import Path

import pytest

from bias_intervene import compare
from bias_intervene.analysis.comparison import compare as compared
from bias_intervene.analysis.report import figures
from bias_intervene.record import write_json
from tests.helpers.runs import made

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
HOSTILE = "<script>window.pwned = 1</script> </script><img src=x onerror='window.pwned = 1'> he & she"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two doses and a control, two seeds, with a hostile sentence among the samples."""
    place = tmp_path_factory.mktemp("report")
    base = {item: float(n % 2) for n, item in enumerate("abcdefgh")}
    for seed in (1, 2):
        made(place / f"none{seed}", "none", base, seed=seed, base=base)
        for probability, changed in ((0.5, "a"), (1.0, "ac")):
            swapped = base | dict.fromkeys(changed, 1.0)
            run = made(
                place / f"swap{seed}{probability}", "masculine_to_feminine", swapped, seed=seed, base=base,
                probability=probability,
            )  # fmt: skip
            record = json.loads((run / "record.json").read_text())
            record["plan"]["realised_fraction"] = 0.07
            record["audit"] = {"num_swaps": 3, "rows": 4, "rows_changed": 2, "swaps": {"he -> she": 3}}
            write_json(run / "record.json", record)
            sample = {"row": 1, "swaps": 1, "form": "he -> she", "before": HOSTILE, "after": HOSTILE}
            (run / "audit_samples.jsonl").write_text(json.dumps(sample) + '\n{"row": 2, "cut by a ki')
    assert compare.main([str(place), "--published", "--output", str(place / "out")]) == 0
    return place


def test_every_file_is_there_and_the_report_needs_no_other(folder: Path):
    out = folder / "out"
    assert {path.name for path in out.iterdir()} == {
        "comparison.json", "comparison.csv", "comparison.md", "comparison.tex", "report.html", "figures"
    }  # fmt: skip
    names = {path.stem for path in (out / "figures").iterdir()}
    assert names == {
        "over_steps_crows_pairs_likelihood_gender_pct_stereotype", "forest_points",
        "dose_response_crows_pairs_likelihood_gender_pct_stereotype",
    }  # fmt: skip
    assert {path.suffix for path in (out / "figures").iterdir()} == {".png", ".svg", ".pdf"}
    text = (out / "report.html").read_text()
    assert len(text.encode()) < 8_000_000
    own = text[: text.index("<script>")] + text[text.index('id="figures-data"') :]
    assert not re.search(r"""(src|href)=["']?(https?:|//)""", own)
    assert "<script>window.pwned" not in text


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium on the path; .ci/run installs Debian's")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def opened(browser, folder: Path, request: pytest.FixtureRequest):
    page = browser.new_page(viewport={"width": request.param, "height": 800})
    page.errors = []
    page.asked = []
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.goto((folder / "out" / "report.html").as_uri())
    page.wait_for_selector("#plot-2 .main-svg")
    yield page
    page.close()


@pytest.mark.parametrize("opened", [390, 1200], ids=["phone", "desktop"], indirect=True)
def test_it_opens_without_an_error_or_a_request(opened, folder: Path):
    assert opened.errors == []
    assert [url for url in opened.asked if not url.startswith("data:")] == [(folder / "out" / "report.html").as_uri()]
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.evaluate("window.pwned") is None
    assert HOSTILE in opened.locator(".samples").first.inner_text()
    assert opened.locator(".main-svg").count() >= 3


@pytest.mark.parametrize("opened", [1200], indirect=True)
def test_rows_are_filtered_and_sorted(opened):
    def column(number: int) -> list[str]:
        cells = opened.locator(f"#rows tbody tr:not([hidden]) td:nth-child({number})")
        return cells.all_inner_texts()

    # The metric to look at first, of two doses against their control; base rows come with the box unticked.
    assert len(column(1)) == 2
    opened.uncheck("#brief")
    assert len(column(1)) == 5
    assert opened.inner_text("#count") == "5 of 5 rows"
    opened.fill("#filter", "probability=0.5 none")
    assert len(column(1)) == 1
    opened.fill("#filter", "")
    opened.click("#rows th:nth-child(7) button")
    values = [float(text) for text in column(7) if text]
    assert values == sorted(values)
    assert len(set(values)) > 1
    opened.click("#rows th:nth-child(7) button")
    assert [float(text) for text in column(7) if text] == sorted(values, reverse=True)


def test_dose_and_response_are_the_differences_to_the_control(folder: Path):
    drawn = {figure.name: figure for figure in figures.figures(compared([folder]))}
    (series,) = drawn["dose_response_crows_pairs_likelihood_gender_pct_stereotype"].series
    assert series.x == pytest.approx([3.5, 7.0])
    assert series.y == pytest.approx([12.5, 25.0])


def test_the_dose_of_a_model_whose_training_is_not_known_is_the_share_of_its_rows(tmp_path: Path):
    items = {item: float(n % 2) for n, item in enumerate("abcdefgh")}
    made(tmp_path / "none", "none", items)
    for probability, changed in ((0.25, "a"), (1.0, "ac")):
        swapped = items | dict.fromkeys(changed, 1.0)
        made(tmp_path / f"swap{probability}", "masculine_to_feminine", swapped, probability=probability)
    drawn = {figure.name: figure for figure in figures.figures(compared([tmp_path]))}
    figure = drawn["dose_response_crows_pairs_likelihood_gender_pct_stereotype"]
    assert (figure.x_label, figure.series[0].x) == ("% of the rows read altered (probability)", [25.0, 100.0])


def test_arms_over_steps_start_from_the_base(folder: Path):
    drawn = {figure.name: figure for figure in figures.figures(compared([folder]))}
    series = drawn["over_steps_crows_pairs_likelihood_gender_pct_stereotype"].series
    assert [one.x for one in series] == [[10.0, 20.0]] * 3
    assert sorted(one.y[1] for one in series) == pytest.approx([50.0, 62.5, 75.0])


def test_published_numbers_are_laid_beside_ours_and_said_in_json(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert compare.main([str(folder), "--published", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["published"]
    assert len(found["caveats"]) == 3
    assert any(change["size"] == "6.9b" and change["metric"] == "net_bias" for change in found["changes"])
