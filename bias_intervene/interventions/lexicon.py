"""The words of the swap: which gender becomes which, and the word lists that the rule over words decides by.

A pronoun has a role, and a direction says which gender becomes which; the form that replaces it is the one of the new
gender in the same role. Two words need their neighbours for their role: `his` is a determiner or stands alone ("the
fault is his"), `her` is a determiner or an object. The stop list is that second decision: after these words `her` is an
object. On hand-annotated text a list of this kind is right in about 92 of 100 cases; `possessive.fit` fits tables that
do better.
"""

DOCUMENT_MARKS = ("<|endoftext|>", "<|padding|>")
"""Strings between documents in decoded rows."""

DIRECTIONS: dict[str, dict[str, str]] = {
    "masculine_to_feminine": {"masculine": "feminine"},
    "feminine_to_masculine": {"feminine": "masculine"},
    "both": {"masculine": "feminine", "feminine": "masculine"},
    "neutral": {"masculine": "neutral", "feminine": "neutral"},
}
"""direction -> which gender becomes which."""

FIXED_ROLE = {
    "he": "subject", "she": "subject", "him": "object", "hers": "alone", "himself": "reflexive", "herself": "reflexive",
}  # fmt: skip
"""form -> role, where the form alone tells it; `his` and `her` need their neighbours."""

OBJECT_STOP_LIST = frozenset(
    """
    a an the this that these those some any no every each all both another such
    i me you he him she her it we us they them himself herself myself yourself themselves itself
    my your our their its his hers
    who whom whose which what when where why how whether if because since although though while until unless
    and or but nor so yet than as
    about above across after against along amid among around at before behind below beneath beside besides between
    beyond by despite down during except for from in inside into like near of off on onto out outside over
    round through throughout till to toward towards under underneath up upon via with within without
    am is are was were be been being has have had do does did will would shall should can could may might must
    not never ever always often sometimes again once twice now then here there today tonight tomorrow yesterday
    too also just only even still already almost quite rather very more most much later soon away back alone
    together instead anyway anywhere everywhere somewhere indeed perhaps however therefore
    go come know feel see hear think say tell ask speak understand believe realise realize forget remember
    become stay leave keep want need seem look sit stand lie sleep wait run walk die live get give take make let
    laugh cry smile blush weep shiver tremble
    afraid angry happy unhappy sad aware able unable sick ill well better worse dead alive ready sure free
    everything something anything nothing everyone someone anyone everybody somebody anybody nobody
    asleep awake become appear speak enter sing scream shout
    immediately carefully gently quietly quickly slowly suddenly finally directly deeply dearly badly tightly closely
    softly warmly kindly politely passionately properly simply repeatedly frequently briefly
    """.split()
)
"""Words after which a preceding `her` is an object: articles, pronouns, prepositions, conjunctions, auxiliaries,
adverbs and the commonest bare verbs and adjectives of "let her go", "made her happy"."""

BRINGING_VERBS = frozenset(
    """
    send sends sent sending take takes took taken taking bring brings brought bringing drive drives drove driven
    driving walk walked see saw seen follow followed escort escorted carry carried lead led drag dragged fly flew
    """.split()
)
"""Verbs after which `her home` is an object and an adverb: "they sent her home"."""

COPULAS = frozenset("is was are were be been being am become became s t re m than as like and not this that".split())
"""Words after which a possessive that ends its clause stands alone: "the boat is his", "it isn't his"."""

AFTER_ALONE = frozenset("and or but nor yet now alone again because by if when since until till too to".split())
"""Words before which a possessive after a copula stands alone: "the book is his and hers is lost"."""

AFTER_DOUBLE_GENITIVE = frozenset(
    "that which who whom whose when while where from with for at in on to by after before because if as than".split()
)
"""Words before which a possessive after `of` stands alone: "a photo of his that I kept", "one of his to keep"."""

PAST_FORMS = frozenset(
    """
    said told came went wrote saw took gave made knew thought found got left felt brought began kept held stood heard
    let meant met ran paid sat spoke lay led grew lost fell sent built understood drew broke spent rose drove bought
    wore chose was were had did has is are will would can could may might should must does
    called asked wanted lived died worked decided showed turned looked seemed tried started moved helped played believed
    happened arrived returned remembered suggested visited stayed passed joined explained reported claimed walked talked
    owned invited offered knocked answered appeared laughed smiled
    """.split()
)
"""Irregular past forms and auxiliaries: after "a cousin of his" they are the verb, not a noun that he has."""

FUNCTION_WORDS = frozenset(
    """
    the and that it with as this not are but from have they which you were their there been would when who if out what
    up its about into than them can only other these could my your we our because after before how said where then
    some through should must while very to be him himself her herself his she
    """.split()
)
"""Frequent words of English that are not words of its neighbours (no in, is, on, so, was, had, for, at ...)."""
LANGUAGE_WINDOW_WORDS = 32
"""Words looked at on either side of a hit."""
LANGUAGE_MINIMUM_WORDS = 24
"""With fewer words around it than this a text is taken as English."""
LANGUAGE_MINIMUM_FUNCTION_WORDS = 4
"""Function words that make a text English."""
