"""The audit as one page for people: counts, and the most changed rows with their changes in colour.

Input: an audit. Output: one self-contained HTML page that runs no script and fetches nothing. Guarantees: text of the
corpus is escaped, because it may hold anything.
"""

from html import escape

from bias_intervene.interventions.audit.audit import Audit, ChangedRow

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .2rem 1rem .2rem 0; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; } del { background: #fdd; } ins { background: #dfd; }
del, ins { text-decoration: none; border-radius: 3px; padding: 0 .15em; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f7f7f7; padding: 1rem; border-radius: 6px; }
summary { cursor: pointer; } p.warning { background: #fe9; padding: .5rem 1rem; }
"""


def audit_page(audit: Audit, *, intervention: str, warning: str | None = None) -> str:
    """The page as HTML. warning: shown at the top, where the intervention changed nothing."""
    dose = audit.dose()
    share = f"{dose:.2%} of the pronouns in question" if dose is not None else "no pronoun in question"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta name="viewport" content="width=device-width"><title>audit: {escape(intervention)}</title>',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>What <em>{escape(intervention)}</em> did</h1>",
            f'<p class="warning">{escape(warning)}</p>' if warning else "",
            f"<p>{sum(audit.swaps.values()) - audit.swaps_in_words:,} pronouns swapped ({share}) in "
            f"{audit.rows_changed:,} of {audit.rows:,} rows; {audit.rows_padded:,} rows padded, {audit.rows_cut:,} "
            f"cut; {audit.swaps_in_words:,} pieces of other words replaced.</p>",
            _table("Swapped", audit.swaps),
            _table("Left alone", audit.skipped),
            f"<h2>The {len(audit.most_changed)} most changed rows</h2>",
            *(_changed_row(entry) for entry in audit.most_changed),
            "</body></html>\n",
        ]
    )


def _table(title: str, counts: dict[str, int]) -> str:
    """Counts, the largest first."""
    if not counts:
        return ""
    lines = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{count:,}</td></tr>'
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
    return f"<h2>{escape(title)}</h2><table>{lines}</table>"


def _changed_row(entry: ChangedRow) -> str:
    """One row with every change in colour."""
    text = entry["text"]
    parts: list[str] = []
    at = 0
    for start, end, after in entry["swaps"]:
        parts.append(f"{escape(text[at:start])}<del>{escape(text[start:end])}</del><ins>{escape(after)}</ins>")
        at = end
    parts.append(escape(text[at:]))
    title = f"row {entry['row']}, {len(entry['swaps'])} swaps"
    return f"<details><summary>{title}</summary><pre>{''.join(parts)}</pre></details>"
