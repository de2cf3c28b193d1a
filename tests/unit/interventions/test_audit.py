"""An audit is a sum: however rows are spread and whenever it was saved."""

from hypothesis import given
from hypothesis import strategies as st

from bias_intervene.interventions.audit import Audit, audit_page
from bias_intervene.interventions.text import swap_text

TEXTS = ["He ran to his car.", "Nothing here.", "HIS", "She saw him, and he waved."]


def audited(rows: list[int]) -> Audit:
    audit = Audit()
    for row in rows:
        text = TEXTS[row % len(TEXTS)]
        audit.add(row, text, swap_text(text, "masculine_to_feminine"))
    return audit


def test_counts_and_samples():
    counts = audited([0, 1, 2, 3]).counts()
    assert (counts["rows"], counts["rows_changed"], counts["num_swaps"]) == (4, 2, 4)
    assert counts["swaps"] == {"he -> she": 2, "him -> her": 1, "his -> her": 1}
    assert counts["skipped"] == {"lone upper case": 1}
    sample = audited([0]).samples[0]
    assert (sample["before"], sample["after"]) == ("He ran to his car.", "She ran to her car.")


def test_the_page_shows_changes_and_escapes_text():
    text = "<script>alert(1)</script> & he said"
    audit = Audit()
    audit.add(7, text, swap_text(text, "masculine_to_feminine"))
    html = audit_page(audit, intervention="masculine_to_feminine", warning="a < b")
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; <del>he</del><ins>she</ins> said" in html
    assert "row 7, 1 swaps" in html
    assert "a &lt; b" in html


def test_the_most_changed_rows_are_kept():
    audit = Audit()
    for row in range(50):
        text = "he " * (row % 20 + 1)
        audit.add(row, text, swap_text(text, "masculine_to_feminine"))
    assert [(r["row"], len(r["swaps"])) for r in audit.most_changed[:3]] == [(19, 20), (39, 20), (18, 19)]
    assert len(audit.most_changed) == 20


@given(st.lists(st.integers(0, 400), max_size=150, unique=True), st.integers(0, 150))
def test_parts_add_up(rows: list[int], cut: int):
    whole = audited(rows)
    first = Audit.from_json(audited(rows[:cut]).to_json())
    first.merge(audited(rows[cut:]))
    assert first.to_json() == whole.to_json()
