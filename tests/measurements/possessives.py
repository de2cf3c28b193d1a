"""How often the role of `her` and `his` is right: `python -m tests.measurements.possessives TREEBANK... --fit TEXT...`.

TREEBANK: .conllu files or folders of Universal Dependencies, annotated by hand: `her` tagged PRP$ (or what the treebank
has for it) is a determiner, PRP an object; `his` is alone where it is no dependent of a noun. The Pronouns treebank,
made of riddles ("The dealers liked that his cleaned easily."), is left out. Prints the share that is right for the
always-one answers, the word lists, and tables fitted on TEXT (files or folders, unlabelled); and, on TEXT, how many
pronouns are restored when `both` is applied twice.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from bias_intervene.interventions.possessive import AMBIGUOUS, WORD_LISTS, Neighbours, Possessives, neighbours
from bias_intervene.interventions.possessive.fit import fit
from bias_intervene.interventions.text import swap_text
from bias_intervene.pronouns import PRONOUN
from tests.measurements.parity import files

LEFT_OUT = "Pronouns"


class Annotated(NamedTuple):
    """One occurrence: the word, its neighbours, and whether it is a determiner."""

    word: str
    place: Neighbours
    is_determiner: bool


class Token(NamedTuple):
    """The columns of a CoNLL-U line that are read."""

    form: str
    universal: str
    tag: str
    relation: str


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("treebanks", type=Path, nargs="+")
    parser.add_argument("--fit", type=Path, nargs="+", required=True)
    asked = parser.parse_args(argv)
    found = [item for path in asked.treebanks for file in conllu(path) for item in annotated(file)]
    texts = list(files(asked.fit))
    fitted = fit(texts)
    console = Console(width=100)
    for word, (marked, determiner) in {"her": ("him", "his"), "his": ("hers", "her")}.items():
        own = [item for item in found if item.word == word]
        table = Table("decided by", "right, %", title=f"{word}: {len(own):,} annotated", title_justify="left")
        rows: dict[str, Callable[[Neighbours], bool]] = {
            f"always {marked}": lambda place: False,
            f"always {determiner}": lambda place: True,
            "word lists": decision(WORD_LISTS, word),
            f"fitted ({fitted.num_contexts[word]:,} contexts)": decision(fitted, word),
        }
        for name, decide in rows.items():
            right = sum(decide(item.place) == item.is_determiner for item in own)
            table.add_row(name, f"{100 * right / len(own):.2f}")
        console.print(table)
    for name, possessives in (("word lists", WORD_LISTS), ("fitted", fitted)):
        count, restored = twice(texts, possessives)
        console.print(f"both, twice, {name}: {100 * restored / count:.2f}% of {count:,} pronouns restored")


def decision(possessives: Possessives, word: str) -> Callable[[Neighbours], bool]:
    """Neighbours -> whether the word is a determiner."""
    return lambda place: possessives.role(word, place) == "determiner"


def twice(texts: list[str], possessives: Possessives) -> tuple[int, int]:
    """(pronouns, those that `both` applied twice gives back)."""
    count = restored = 0
    for text in texts:
        back = swap_text(swap_text(text, "both", possessives).text, "both", possessives).text
        before, after = PRONOUN.findall(text), PRONOUN.findall(back)
        count += len(before)
        restored += sum(a == b for a, b in zip(before, after, strict=True))
    return count, restored


def conllu(path: Path) -> list[Path]:
    """The treebank's files."""
    return sorted(path.rglob("*.conllu")) if path.is_dir() else [path]


def annotated(path: Path) -> Iterator[Annotated]:
    """The occurrences in a file; those whose tags say neither are passed over."""
    if LEFT_OUT.lower() in path.name.lower():
        return
    for text, tokens in sentences(path):
        at = 0
        for token in tokens:
            start = text.find(token.form, at)
            if start < 0:
                continue
            at = start + len(token.form)
            word = token.form.lower()
            if word in AMBIGUOUS and token.universal != "PROPN":
                is_determiner = determiner(path.name, word, token)
                if is_determiner is not None:
                    yield Annotated(word, neighbours(text, start, at), is_determiner)


def determiner(name: str, word: str, token: Token) -> bool | None:
    """What the annotation says; None: nothing. LinES and ParTUT are read by their relations, which are surer there."""
    tag, relation = token.tag.upper(), token.relation.split(":")[0]
    if word == "his":
        if "INDEP" in tag or "partut" in name.lower():
            return "INDEP" not in tag
        return relation in ("nmod", "det", "flat", "compound") or (tag == "PRP$" and relation != "obj")
    if "lines" in name.lower():
        return token.relation == "nmod:poss"
    if "partut" in name.lower():
        return True if token.relation == "nmod:poss" else None
    if tag == "PRP$" or "GEN" in tag:
        return True
    return False if tag == "PRP" or "ACC" in tag else None


def sentences(path: Path) -> Iterator[tuple[str, list[Token]]]:
    """(text, its tokens) of each sentence."""
    text, tokens = "", list[Token]()
    for line in path.read_text(encoding="utf8").splitlines():
        if line.startswith("# text = "):
            text, tokens = line.removeprefix("# text = "), []
        elif line[:1].isdigit():
            columns = line.split("\t")
            if columns[0].isdigit():
                tokens.append(Token(form=columns[1], universal=columns[3], tag=columns[4], relation=columns[7]))
        elif not line and text:
            yield text, tokens
            text = ""
    if text:
        yield text, tokens


if __name__ == "__main__":
    main()
