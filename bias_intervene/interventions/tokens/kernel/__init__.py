"""The common case of the rule as compiled loops, where Numba is installed (the extra `fast`).

`rows` is where to begin: a row is read once, copied and searched in one pass, and decided while it is in the nearest
cache. `plain` decides most pronouns, without a branch that could not be foreseen; `closer` those whose sides need a
second look; what is rarer (a coordination, upper case, a form of several tokens, text that may not be English, half a
character beside it) is left to `rule`. So this says a second time only what is asked of every pronoun: the tokens on
its sides, four common words near it, and the neighbours of `her` and `his`. The names are those of `outcomes`,
`language` and `roles`, which say why.
"""

from bias_intervene.interventions.tokens.kernel.rows import Kernel

__all__ = ["Kernel"]
