"""Is the demo's promise kept? The swap is seen by the manipulation check, and the control stays near its base.

Reads comparison.json of the sweep directory given; exits 1 with the numbers when it is not.
"""

import json
import sys
from pathlib import Path

SWEEP = Path(sys.argv[1])
records = sorted(SWEEP.glob("*/record.json"))
rows = json.loads((SWEEP / "comparison.json").read_text())["rows"]


def difference(arm: str, baseline: str) -> float:
    """Of log P(she) - log P(he) over neutral prompts, nats."""
    (row,) = [
        r
        for r in rows
        if (r["benchmark"], r["protocol"], r["subset"], r["metric"])
        == ("pronouns", "prompts", "neutral", "log_odds_she_he")
        and (r["arm"], r["baseline_arm"]) == (arm, baseline)
    ]
    return row["difference"]


swap, drift = difference("masculine_to_feminine", "none"), difference("none", "base")
print(f"records {len(records)}, intervention - control {swap:+.2f} nats, control - base {drift:+.2f} nats")
sys.exit(not (len(records) == 2 and swap > 3 and abs(drift) < 1))
