"""Rows copied, searched and swapped in one pass.

Enters: rows, and the tables of one direction and one tokenizer. Leaves: new rows in which the pronouns are swapped that
`plain` and `closer` decide, the number of swaps, and the places of the other pronouns. Promised: the swaps that `rule`
makes by itself. The places of a row are sorted before they are decided, so that each loop does the same for all.
"""

# pyright: basic
# The loops take what Numba makes of their arguments.

from collections.abc import Iterator

import numpy as np

from bias_intervene.interventions.tokens.classes import MARGIN, TokenClasses
from bias_intervene.interventions.tokens.forms import Forms
from bias_intervene.interventions.tokens.kernel.closer import NO_PRONOUN, decide, role_by_neighbours
from bias_intervene.interventions.tokens.kernel.plain import LEFT, ONE, is_english, is_whole
from bias_intervene.interventions.tokens.kernel.tables import compiled, inlined, tables_of
from bias_intervene.interventions.tokens.roles import TokenRoles
from bias_intervene.interventions.tokens.vocabulary import Vocabulary

TYPES = tuple(map(np.dtype, ("uint16", "int32", "int64")))
"""Of ids that the loops are compiled for, in this machine's order of bytes."""
MAX_ROW_TOKENS = 1 << 16
"""Rows that stay in a cache; longer ones gain nothing."""
LEFT_ROOM = 1 << 16
"""Places left in one go."""
IDS_A_PASS = 20
"""Ids compared in one pass: as many as most directions have; the registers hold no more."""
NEAR = 16
"""Tokens on either side read for the language at first: they suffice nine times in ten."""
GROUP, CHUNK = 8, 64
"""Tokens whose marks are one number; tokens that are passed over at once where none is marked."""
ZERO, TOP, EVERY_BYTE = np.uint64(0), np.uint64(56), np.uint64(0x0101010101010101)
FOUND, SETTLED, OF_TWO_ROLES, FURTHER = range(4)
"""Lists of places: all; of a form with one role; of `her` and `his`; to be looked at more closely."""


class Kernel:
    """The loops and what they read, for one direction and one tokenizer."""

    def __init__(self, vocabulary: Vocabulary, classes: TokenClasses, forms: Forms, roles: TokenRoles, margin: float):
        self.wanted = sorted({form.ids[0] for form in forms.forms})
        self.tables = tables_of(vocabulary, classes, forms, roles, margin)

    def takes(self, rows: np.ndarray, out: np.ndarray) -> bool:
        """Whether the loops are for such rows; what they leave is read after they have written."""
        is_known = rows.dtype == out.dtype and rows.dtype in TYPES
        return is_known and rows.shape[-1] <= MAX_ROW_TOKENS and not np.shares_memory(rows, out)

    def swap(
        self,
        rows: np.ndarray,
        out: np.ndarray,
        is_changed: np.ndarray,
        counts: np.ndarray,
        *,
        is_cut: bool,
        laid_out_as: np.dtype,
    ) -> Iterator[np.ndarray]:
        """int64 arrays of the places that are left to `rule`, ascending, as indices into the flat rows.

        rows: (rows, tokens) of one of TYPES. out: the same, written. is_changed: bool (rows,), set. counts: int64, of
        swaps as `TokenSwap.names`, and of those that would change the length; added to. laid_out_as: the type to
        compare ids in, that of the rows or a wider one.
        """
        count, size = rows.shape
        near = np.full(size + 2 * MARGIN, self.tables.outside, dtype=laid_out_as)
        marks = np.zeros(-(-size // CHUNK) * CHUNK, dtype=bool)
        # Unsigned, so that no index is asked whether it counts from the end.
        groups, lists = np.empty(marks.size // GROUP + 1, dtype=np.uint32), np.empty((4, size + 1), dtype=np.uint16)
        left = np.empty(LEFT_ROOM + size, dtype=np.int64)
        wanted, begin = self.passes(laid_out_as), 0
        while begin < count:
            begin, num_left = swap_rows(
                rows, out, begin, is_changed, counts, is_cut, wanted, near, marks, marks.view(np.uint64), groups, lists,
                left, self.tables,
            )  # fmt: skip
            if num_left:
                yield np.sort(left[:num_left])

    def passes(self, dtype: np.dtype) -> tuple[tuple[tuple[np.integer, ...], ...], ...]:
        """The ids that forms begin with, twice ten for each pass over a row; some twice, to fill the last."""
        count = -(-len(self.wanted) // IDS_A_PASS)
        ids = np.resize(self.wanted, (count, 2, IDS_A_PASS // 2)).astype(dtype)
        return tuple(tuple(tuple(ten) for ten in one) for one in ids)


@compiled
def swap_rows(rows, out, begin, is_changed, counts, is_cut, wanted, near, marks, marks_of_8, groups, lists, left, t):
    """Swaps rows from `begin` on, until there is no more room in `left`: (where it ended, number of places left).

    near: room for a row laid out, `outside` on both sides of it; marks: bool, room for a row, cleared beyond it;
    marks_of_8: the same as uint64; groups, lists: room for places in a row.
    """
    size, num_left = rows.shape[1], 0
    ids, own_marks, places, outside = near[MARGIN : MARGIN + size], marks[:size], lists[FOUND], near[0]
    for row in range(begin, rows.shape[0]):
        if num_left + size > left.size:
            return row, num_left
        new_row = out[row]
        take_in(rows[row], new_row, ids, outside, wanted[0], own_marks)
        for number in range(1, len(wanted)):
            mark(ids, wanted[number], own_marks)
        count = list_places(marks_of_8, groups, places)
        num_settled, num_of_two, num_further = sort_places(near, places[:count], lists, t)
        has_changed = False
        for at in lists[SETTLED, :num_settled]:
            has_changed |= put(new_row, ids, at, t.forms.kinds[t.forms.of[ids[at]]].role, counts, t.forms)
        for at in lists[OF_TWO_ROLES, :num_of_two]:
            role = role_by_neighbours(near, MARGIN + at, t.forms.kinds[t.forms.of[ids[at]]].word, t.roles)
            if role != LEFT:
                has_changed |= put(new_row, ids, at, role, counts, t.forms)
            else:
                left[num_left] = row * size + at
                num_left += 1
        for at in lists[FURTHER, :num_further]:
            role = decide(near, MARGIN + at, is_cut, t)
            if role >= 0:
                has_changed |= put(new_row, ids, at, role, counts, t.forms)
            elif role != NO_PRONOUN:
                left[num_left] = row * size + at
                num_left += 1
        is_changed[row] = has_changed
    return rows.shape[0], num_left


@compiled
def take_in(row, new_row, ids, outside, wanted, marks):
    """Copies a row, and once more laid out; marks the places of the first `wanted`."""
    first, second = wanted
    for at in range(row.size):
        id_ = row[at]
        new_row[at] = id_
        id_ = outside if id_ < 0 or id_ > outside else id_
        ids[at] = id_
        marks[at] = is_one(id_, first) | is_one(id_, second)


@compiled
def mark(ids, wanted, marks):
    """Marks the places of further ones."""
    first, second = wanted
    for at in range(ids.size):
        id_ = ids[at]
        marks[at] = marks[at] | is_one(id_, first) | is_one(id_, second)


@inlined
def is_one(id_, of):
    """Whether it is one of ten: each a value of its own, so that the loops around are vectorized."""
    a, b, c, d, e, f, g, h, i, j = of
    return (
        (id_ == a) | (id_ == b) | (id_ == c) | (id_ == d) | (id_ == e)
        | (id_ == f) | (id_ == g) | (id_ == h) | (id_ == i) | (id_ == j)
    )  # fmt: skip


@compiled
def list_places(marks_of_8, groups, places):
    """Writes the places that are marked; their number. groups: room for those of eight marks in which one is set."""
    num_groups = count = ZERO
    for chunk in range(0, marks_of_8.size, CHUNK // GROUP):
        some = marks_of_8[chunk]
        for group in range(chunk + 1, chunk + CHUNK // GROUP):
            some |= marks_of_8[group]
        if some:
            for group in range(chunk, chunk + CHUNK // GROUP):
                groups[num_groups] = group
                num_groups += np.uint64(marks_of_8[group] != 0)
    for group in groups[:num_groups]:
        rest = marks_of_8[group]
        while rest:
            # As many bytes are below the first that is marked as ones are left of it.
            below = ((rest & (~rest + ONE)) - ONE) & EVERY_BYTE
            places[count] = GROUP * group + np.uint32((below * EVERY_BYTE) >> TOP)
            count += ONE
            rest &= rest - ONE
    return count


@compiled
def sort_places(ids, places, lists, t):
    """Writes each place to one of the lists; their numbers."""
    num_settled = num_of_two = num_further = ZERO
    for at in places:
        form = t.forms.kinds[t.forms.of[ids[MARGIN + at]]]
        is_near = (
            form.is_plain
            & is_whole(ids, MARGIN + at, form.is_unspaced, t.beside)
            & is_english(ids, MARGIN + at, NEAR, t.words)
        )
        has_one = form.has_one_role
        lists[SETTLED, num_settled] = lists[OF_TWO_ROLES, num_of_two] = lists[FURTHER, num_further] = at
        num_settled += np.uint64(is_near & has_one)
        num_of_two += np.uint64(is_near & (not has_one))
        num_further += np.uint64(not is_near)
    return num_settled, num_of_two, num_further


@inlined
def put(new_row, ids, at, role, counts, forms):
    """Swaps the form at `at` in this role, and counts it; whether that changes it."""
    form = forms.of[ids[at]]
    new_row[at] = forms.new[form, role]
    counts[forms.names[form, role]] += 1
    return forms.new[form, role] != ids[at]
