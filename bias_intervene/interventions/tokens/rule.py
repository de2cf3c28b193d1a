"""The swap over token ids: the rule of `text`, compiled for one tokenizer.

Enters: rows of ids, each a text of its own. Leaves: new rows, every swap with its place, and every pronoun left alone
with the reason. Promised, for a row that survives decode and encode: the same ids as encode(swap_text(decode(row))).
For any row: only the tokens of swapped pronouns change, the input is never written to, and ids without a token pass
through and separate words. Length is kept: a swap that would change the number of tokens is left out and counted, or,
with length="shift", the row is laid anew and padded or cut at its end.

How. One pass looks up a byte for each id and keeps the few that are pronouns. What the rule asks about their neighbours
is a table over the vocabulary; `language` and `roles` answer the two questions that reach further. The one
in a thousand that tokens cannot answer (an acronym, a quote, half a character beside it) is put to the text rule on a
decoded window, so speed never changes the answer.
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from tokenizers import Tokenizer

from bias_intervene.errors import DataError
from bias_intervene.interventions.lexicon import LANGUAGE_WINDOW_WORDS
from bias_intervene.interventions.possessive import AMBIGUOUS, MARKED_ROLE, WORD_LISTS, Possessives
from bias_intervene.interventions.text import Swap
from bias_intervene.interventions.tokens.asking import TextJudge, Verdict
from bias_intervene.interventions.tokens.classes import Side, TokenClasses, classes_of
from bias_intervene.interventions.tokens.forms import ROLE_NAMES, WORDS, Forms, Hits
from bias_intervene.interventions.tokens.language import Language, languages
from bias_intervene.interventions.tokens.roles import TokenRoles
from bias_intervene.interventions.tokens.swaps import CHANGES_LENGTH, TokenSwaps, apply, joined, moved
from bias_intervene.interventions.tokens.vocabulary import Vocabulary, fingerprint_of

BLOCK_TOKENS = 1 << 21
"""Tokens looked at in one go: some MB, whatever the number of rows."""
MARGIN = LANGUAGE_WINDOW_WORDS
"""Tokens of nothing laid between rows: more than any look at neighbours reaches."""
REACH = 256
"""Tokens of context that hold all the rule looks at, in text that is no riddle."""
MAX_LINE_ENDS = 3
"""Tokens of white space before a form that are looked beyond."""

COORDINATED, CODE, UNSURE, ROW_EDGE, OTHER_LANGUAGE, NO_PRONOUN, ASK = range(-1, -8, -1)
"""Outcomes beside the index of a role."""
REASON = {
    COORDINATED: "coordination",
    CODE: "code or path",
    UNSURE: "unsure role",
    ROW_EDGE: "row edge",
    OTHER_LANGUAGE: "other language",
}


@dataclass(frozen=True)
class SwappedRows:
    """Rows and what was done to them."""

    rows: np.ndarray
    rows_changed: int
    swaps: Counter[str]
    """By form, e.g. "his -> hers"."""
    skipped: Counter[str]
    """Pronouns of the direction left alone, by reason."""


class TokenSwap:
    """The swap of one direction for one tokenizer.

    possessives: decides between her and hers, his and him. Raises `DataError` for a tokenizer that is not byte-level
    BPE, or splits words otherwise than GPT-2 does.

    `swap(rows)` gives new rows and counts; `find` and `swaps.apply` are its halves, for those who want the places.
    """

    def __init__(self, tokenizer: Tokenizer, direction: str, possessives: Possessives = WORD_LISTS):
        self.vocabulary, self.classes = compiled(tokenizer)
        self.direction, self.possessives = direction, possessives
        self.forms = Forms(self.vocabulary, self.classes, direction)
        self.roles = TokenRoles(self.vocabulary, self.classes, possessives)
        self.judge = TextJudge(self.vocabulary, self.classes, direction, possessives)
        self.underscore = self.vocabulary.word_ids("_")[0]
        self.kept: dict[str, np.ndarray] = {}

    @property
    def names(self) -> list[str]:
        """What swaps are counted under, e.g. "his -> hers"; `TokenSwaps.name` points into it."""
        return self.forms.names

    def __call__(self, rows: np.ndarray, *, out: np.ndarray | None = None, is_cut: bool = False) -> SwappedRows:
        """New rows, of the same type and shape, their length kept; see `find`. out: written instead of a new array."""
        out = np.empty(rows.shape, dtype=rows.dtype) if out is None else out
        grid, grid_out = np.atleast_2d(rows), np.atleast_2d(out)
        swaps, skipped, rows_changed = Counter[str](), Counter[str](), 0
        step = self.rows_a_block(grid.shape[1])
        for at in range(0, len(grid), step):
            found, left = self.find(grid[at : at + step], is_cut=is_cut)
            changes_length = found.changes_length()
            if changes_length.any():
                left[CHANGES_LENGTH] = int(changes_length.sum())
                found = found.only(~changes_length)
            skipped += left
            apply(grid[at : at + step], found, out=grid_out[at : at + step])
            swaps += self.counted(found)
            rows_changed += int(np.count_nonzero(np.diff(found.row, prepend=-1)))
        return SwappedRows(rows=out, rows_changed=rows_changed, swaps=swaps, skipped=skipped)

    def counted(self, swaps: TokenSwaps) -> Counter[str]:
        """Swaps by form."""
        counts = np.bincount(swaps.name, minlength=len(self.names)).tolist()
        found: Counter[str] = Counter()
        for name, count in zip(self.names, counts, strict=True):
            found[name] += count
        return +found

    @staticmethod
    def rows_a_block(size: int) -> int:
        """Rows of `size` tokens that are looked at in one go."""
        return max(1, BLOCK_TOKENS // max(1, size))

    def find(self, rows: np.ndarray, *, is_cut: bool = False) -> tuple[TokenSwaps, Counter[str]]:
        """The swaps of rows (rows, tokens) or (tokens,) of any integer type, and the pronouns left alone by reason.

        is_cut: rows were cut from a longer text, so a pronoun that begins one may be the tail of a word and is left.
        Raises `DataError` for ids that are no integers.
        """
        if rows.dtype.kind not in "iu" or rows.ndim not in (1, 2):
            raise DataError(f"token ids: found {rows.dtype} in {rows.ndim} dimensions; integers in 1 or 2 are needed")
        grid = rows.reshape(1, -1) if rows.ndim == 1 else rows
        size = grid.shape[1]
        parts: list[TokenSwaps] = []
        skipped: Counter[str] = Counter()
        step = self.rows_a_block(size)
        for at in range(0, grid.shape[0] if size else 0, step):
            found = self.find_in_block(self.laid_out(grid[at : at + step]), size, is_cut=is_cut, skipped=skipped)
            parts.append(moved(found, at))
        return joined(parts), +skipped

    def find_piece(self, before: np.ndarray, piece: np.ndarray, after: np.ndarray) -> TokenSwaps:
        """The swaps of `piece`, cut from a stream of which `before` and `after` (tokens,) are its neighbours.

        One token of context tells whole words from parts; the words that tell a role or a language reach further:
        with the REACH nearest tokens on either side the pieces of a stream give what the whole gives.
        """
        found, _ = self.find(np.concatenate([before, piece, after]), is_cut=True)
        found = found.only((found.start >= before.size) & (found.start < before.size + piece.size))
        return replace(found, start=found.start - before.size)

    def laid_out(self, rows: np.ndarray) -> np.ndarray:
        """Flat ids of rows (rows, tokens) with MARGIN of `outside` before, between and behind them.

        Ids without a token become `outside` too, so no look at a neighbour needs to ask where a row ends.
        """
        outside, (count, size) = self.classes.outside, rows.shape
        is_narrow = rows.dtype == np.uint16 and outside < 1 << 16
        flat = self.room("flat", count * (size + MARGIN) + MARGIN, np.uint16 if is_narrow else np.int64)
        flat[:MARGIN] = outside
        grid = flat[MARGIN:].reshape(count, size + MARGIN)
        grid[:, size:] = outside
        inner = grid[:, :size]
        np.copyto(inner, rows, casting="unsafe")
        if rows.max() > outside or (rows.dtype.kind == "i" and rows.min() < 0):
            inner[(rows > outside) | (rows < 0)] = outside
        return flat

    def room(self, name: str, size: int, dtype: type[np.generic]) -> np.ndarray:
        """An array to be filled, kept between calls: the first touch of a page costs more than what is done with it."""
        if name not in self.kept or self.kept[name].size < size or self.kept[name].dtype != dtype:
            self.kept[name] = np.empty(size, dtype=dtype)
        return self.kept[name][:size]

    def find_in_block(self, flat: np.ndarray, size: int, *, is_cut: bool, skipped: Counter[str]) -> TokenSwaps:
        """The swaps of rows of `size` tokens, laid out; adds to `skipped`."""
        codes = self.forms.codes.take(flat, out=self.room("codes", flat.size, np.uint8), mode="wrap")
        places = np.flatnonzero(codes.view(np.int8) < 0)  # The sign is the bit FORM.
        hits, before, after = self.whole_words(flat, self.forms.find(flat, places))
        outcome = self.outcomes(flat, hits, before, after)
        first = np.flatnonzero(flat.take(hits.start - 1) == self.classes.outside) if is_cut else np.zeros(0, np.int64)
        first = first[(hits.start[first] - MARGIN) % (size + MARGIN) == 0]
        edge = first[self.forms.unspaced.take(hits.form[first]) & (outcome[first] != ASK)]
        outcome[edge] = ROW_EDGE
        language = languages(self.classes, flat, codes, hits.start, hits.end)
        outcome[(language == Language.OTHER) & (outcome >= 0)] = OTHER_LANGUAGE
        outcome[(language == Language.ASK) & (outcome >= 0)] = ASK
        verdicts: dict[int, Verdict] = {}
        for at in np.flatnonzero(outcome == ASK).tolist():
            start, end = int(hits.start[at]), int(hits.end[at])
            verdict = self.judge.ask(flat, start, end, language=int(language[at]), is_first=at in first)
            if verdict.ids:
                verdicts[at] = verdict
            elif verdict.reason:
                skipped[verdict.reason] += 1
            outcome[at] = 0 if verdict.ids else NO_PRONOUN
        left = np.flatnonzero(outcome < 0)
        skipped.update(REASON[reason] for reason in outcome[left].tolist() if reason != NO_PRONOUN)
        return self.swaps_of(hits, outcome, np.flatnonzero(outcome >= 0), verdicts, size)

    def swaps_of(
        self, hits: Hits, outcome: np.ndarray, kept: np.ndarray, verdicts: dict[int, Verdict], size: int
    ) -> TokenSwaps:
        """The swaps of the hits `kept`: in the role of their outcome, or as the text says."""
        form, role, place = hits.form[kept], outcome[kept], hits.start[kept]
        width = hits.end[kept] - place
        name = self.forms.word.take(form) * len(ROLE_NAMES) + role
        new = self.forms.new.take(form * len(ROLE_NAMES) + role)
        numbers = np.searchsorted(kept, list(verdicts)).tolist()
        new[numbers] = -1
        pieces = {
            number: self.forms.replacement(self.forms.forms[int(form[number])], ROLE_NAMES[int(role[number])])
            for number in np.flatnonzero(new < 0).tolist()
        }
        for number, verdict in zip(numbers, verdicts.values(), strict=True):
            place[number], width[number] = verdict.start, verdict.width
            name[number], pieces[number] = self.names.index(verdict.name), verdict.ids
        row, start = np.divmod(place - MARGIN, size + MARGIN)
        return TokenSwaps(row=row, start=start, width=width, name=name, new=new, pieces=pieces)

    def whole_words(self, flat: np.ndarray, hits: Hits) -> tuple[Hits, np.ndarray, np.ndarray]:
        """(forms that are no part of a longer word, `Side` of the token before each, of that after)."""
        # A form without a space takes the second table.
        beside = flat.take(hits.start - 1) + self.forms.unspaced.take(hits.form) * (self.classes.outside + 1)
        before, after = self.classes.before.take(beside), self.classes.after.take(flat.take(hits.end))
        whole = np.flatnonzero((before != int(Side.PART)) & (after != int(Side.PART)))
        return hits.only(whole), before[whole], after[whole]

    def outcomes(self, flat: np.ndarray, hits: Hits, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """int64 (hits,): the role of each, or COORDINATED, CODE, UNSURE or ASK. before, after: `Side`s."""
        ask = self.asks(flat, hits, before, after)
        coordinated, is_code = self.coordinations(flat, hits, before, after, ask), self.code(flat, hits, after, ask)
        outcome = self.forms.role.take(hits.form)
        for word in AMBIGUOUS:
            chosen = np.flatnonzero((self.forms.word.take(hits.form) == WORDS.index(word)) & ~ask)
            if chosen.size:
                scores = self.roles.scores(flat, hits.start[chosen], hits.end[chosen], word)
                marked, determiner = ROLE_NAMES.index(MARKED_ROLE[word]), ROLE_NAMES.index("determiner")
                roles = np.where(scores > 0, marked, determiner)
                roles[np.abs(scores) < self.possessives.margin] = UNSURE
                roles[np.isnan(scores)] = ASK
                outcome[chosen] = roles
        outcome[is_code] = CODE
        outcome[coordinated] = COORDINATED
        outcome[ask] = ASK
        return outcome

    def asks(self, flat: np.ndarray, hits: Hits, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """bool (hits,): only the text can tell what is beside it."""
        classes, forms = self.classes, self.forms
        ask = (forms.lengths.take(hits.form) > 1) | (before == int(Side.ASK)) | (after == int(Side.ASK))
        ask |= (before == int(Side.LOOK_CASE)) & forms.lower.take(hits.form)
        chosen = np.flatnonzero(after == int(Side.LOOK_NEXT))
        ask[chosen] |= classes.joins.take(flat.take(hits.end[chosen] + 1))
        chosen = np.flatnonzero(after == int(Side.LOOK_SPACE))
        ask[chosen] |= classes.after_space.take(flat.take(hits.end[chosen] + 1)) != Side.PLAIN
        at = hits.start - 2
        chosen = np.flatnonzero(before == int(Side.LOOK_SPACE))
        sides = classes.before[0].take(flat.take(at[chosen]))
        # Line ends are a token each: a paragraph begins after two.
        for line_ends in range(1, MAX_LINE_ENDS):
            further = np.flatnonzero(sides == Side.LOOK_SPACE)
            sides[further] = classes.before[0].take(flat.take(at[chosen[further]] - line_ends))
        ask[chosen] |= sides != Side.PLAIN
        # HE is a pronoun beside an upper-case word, and else for the text to judge.
        chosen = np.flatnonzero(forms.upper.take(hits.form))
        is_whole = ~classes.joins.take(flat.take(hits.end[chosen] + 1))
        is_loud = classes.is_loud.take(flat.take(hits.end[chosen])) & is_whole
        ask[chosen] |= ~(is_loud | classes.is_loud.take(flat.take(hits.start[chosen] - 1)))
        # An underscore is emphasis if there is one on either side, and no word beyond them.
        opens, closes = before == int(Side.LOOK_EMPHASIS), after == int(Side.LOOK_EMPHASIS)
        ask |= opens != closes
        chosen = np.flatnonzero(opens & closes)
        for beside, beyond, reaches in (
            (hits.end, hits.end + 1, classes.joins),
            (hits.start - 1, hits.start - 2, classes.is_joined),
        ):
            is_bare = flat.take(beside[chosen]) == self.underscore
            ask[chosen] |= is_bare & reaches.take(flat.take(beyond[chosen]))
        return ask

    def coordinations(
        self, flat: np.ndarray, hits: Hits, before: np.ndarray, after: np.ndarray, ask: np.ndarray
    ) -> np.ndarray:
        """bool (hits,): it is half of "he or she". Adds to `ask` what may be, in several tokens."""
        classes, forms = self.classes, self.forms
        coordinated = np.zeros(hits.form.shape, dtype=bool)
        for sides, beyond, is_pronoun in (
            (after, hits.end + 1, classes.starts_pronoun),
            (before, hits.start - 2, classes.ends_pronoun),
        ):
            chosen = np.flatnonzero(sides == int(Side.LOOK_OR))
            other, next_ = flat.take(beyond[chosen]), flat.take(beyond[chosen] + 1)
            gender = forms.gender_of.take(other)
            ask[chosen] |= is_pronoun.take(other) & ((gender == 0) | classes.joins.take(next_))
            if self.direction != "both":
                coordinated[chosen] |= (gender > 0) & (gender != forms.gender.take(hits.form[chosen]))
        return coordinated

    def code(self, flat: np.ndarray, hits: Hits, after: np.ndarray, ask: np.ndarray) -> np.ndarray:
        """bool (hits,): the mark after it touches identifiers. Adds to `ask` where a slash may join two pronouns."""
        chosen = np.flatnonzero(after == int(Side.LOOK_SLASH))
        ask[chosen] |= self.classes.starts_pronoun.take(flat.take(hits.end[chosen] + 1))
        return (after == int(Side.CODE)) | (after == int(Side.LOOK_SLASH))

    def as_text(self, row: np.ndarray, swaps: TokenSwaps) -> tuple[str, list[Swap]]:
        """The text of a row (tokens,) and its swaps in characters."""
        decode = self.vocabulary.tokenizer.decode
        parts: list[str] = []
        found: list[Swap] = []
        length = at = 0
        for number in range(len(swaps)):
            start, end = int(swaps.start[number]), int(swaps.start[number] + swaps.width[number])
            ids = swaps.pieces.get(number, (int(swaps.new[number]),))
            before, after = self.vocabulary.text(row[start:end].tolist()), self.vocabulary.text(ids)
            parts.append(decode(row[at:start].tolist(), skip_special_tokens=False))
            length += len(parts[-1])
            lead = before[0] in " '" and before[0] == after[0]
            found.append(Swap(length + lead, length + len(before), before[lead:], after[lead:]))
            parts.append(before)
            length, at = length + len(before), end
        return "".join([*parts, decode(row[at:].tolist(), skip_special_tokens=False)]), found


_COMPILED: dict[str, tuple[Vocabulary, TokenClasses]] = {}


def compiled(tokenizer: Tokenizer) -> tuple[Vocabulary, TokenClasses]:
    """The tables of a tokenizer; made once for all tokenizers that do the same."""
    fingerprint = fingerprint_of(tokenizer)
    if fingerprint not in _COMPILED:
        vocabulary = Vocabulary.of(tokenizer)
        _COMPILED[fingerprint] = (vocabulary, classes_of(vocabulary))
    return _COMPILED[fingerprint]
