"""Settings of the group data: where the rows come from.

Input: the values of conf/data/*.yaml. Output: one model per kind of corpus, chosen by `kind`.
Guarantees: a key that the chosen kind does not have is refused.
"""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictStr

from bias_intervene.settings.bounds import Checked, HeldoutRows, Nats, Seed, Share


class WorldData(Checked):
    """Sentences about occupations, generated with known pronoun probabilities."""

    kind: Literal["world"]
    seed: Seed = Field(description="Draws the sentences; another seed is another world.")
    bias_log_odds: Nats = Field(description="Largest |log P(he)/P(she)| of an occupation, nats.")
    heldout_rows: HeldoutRows = Field(description="Rows kept out of training for the manipulation check.")
    shuffle: StrictBool = Field(
        description="Read the window's rows in an order drawn from `seed`; false: in the original's."
    )
    unmentioned: Annotated[int, Field(ge=0, le=10)] = Field(
        description="Occupations, evenly spread from female to male leaning, that the end of the training does not "
        "mention: no sentence about them is ever swapped."
    )
    unmentioned_fraction: Share = Field(
        description="Share of the training, counted back from its end, that does not mention them."
    )
    pieces: StrictBool = Field(
        description="Some sentences hold he, him and his as pieces of names (Bolhen), and in brackets: what a swap of "
        "tokens that looks at no neighbours damages."
    )


class _TextCorpusData(Checked):
    """Keys that every corpus of the user's own has."""

    shuffle: StrictBool = Field(description="Order rows by a permutation drawn from `seed`.")
    allow_repeats: StrictBool = Field(description="Read the corpus again when it is too short.")
    heldout_rows: HeldoutRows = Field(description="Last rows, kept out of training for the check.")


class TextData(_TextCorpusData):
    """Plain text: a file or a folder of .txt, also .txt.gz or .txt.zst, one document a file."""

    kind: Literal["text"]
    path: StrictStr = Field(description="File or folder.")


class JsonlData(_TextCorpusData):
    """JSON lines: a file or a folder of .jsonl, also .jsonl.gz or .jsonl.zst, one document a line."""

    kind: Literal["jsonl"]
    path: StrictStr = Field(description="File or folder.")
    field: StrictStr = Field(description="Key that holds the text.")


class HubData(_TextCorpusData):
    """A data set of the Hugging Face hub (or a local folder in its format), one document an example."""

    kind: Literal["hub"]
    repository: StrictStr = Field(description="Data set on the hub, or a local folder.")
    config: StrictStr | None = Field(description="Configuration; null: the only one.")
    split: StrictStr = Field(description="Split, e.g. train or train[:1000].")
    revision: StrictStr | None = Field(description="Branch, tag or commit; null: the default branch.")
    field: StrictStr = Field(description="Column that holds the text.")


class IndexedData(_TextCorpusData):
    """Rows of one length in Megatron's format, as `python -m bias_intervene.data write` leaves them."""

    kind: Literal["indexed"]
    path: StrictStr = Field(description="A .bin, its shards' folder, or their common prefix.")


class PileData(Checked):
    """Pythia's own rows in their own order: tokens as they were trained on."""

    kind: Literal["pile"]
    source: StrictStr = Field(
        description="hub, or a folder that holds document.bin or those of its shards that the window needs."
    )
    fetch: Literal["shards", "range"] = Field(
        description="From the hub: whole shards, checked by sha256; or only the window's bytes, checked by size."
    )
    heldout_rows: HeldoutRows = Field(
        description="Rows for the check: those just before the window, which the base model was trained on last of "
        "all, or the first ones of `validation`."
    )
    validation: StrictStr | None = Field(
        description="Text that was not trained on, for the check: JSON lines, or a data set of the hub, with texts "
        "under `text`; null: the rows before the window."
    )
    shuffle: StrictBool = Field(
        description="Read the window's rows in an order drawn from `seed`; false: in the original's."
    )


CorpusData = TextData | JsonlData | HubData
DataSettings = Annotated[
    WorldData | TextData | JsonlData | HubData | IndexedData | PileData, Field(discriminator="kind")
]
