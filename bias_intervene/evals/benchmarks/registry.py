"""All benchmarks, in the order in which results should be read: manipulation check, bias, capabilities.

They are scored in the order of the fields of `EvalsSettings`. README.md of the package says how to add one.
"""

from bias_intervene.evals.benchmarks.benchmark import Benchmark
from bias_intervene.evals.benchmarks.crows_pairs import CrowsPairs
from bias_intervene.evals.benchmarks.harness import Harness
from bias_intervene.evals.benchmarks.lambada import Lambada
from bias_intervene.evals.benchmarks.perplexity import Perplexity
from bias_intervene.evals.benchmarks.pronouns import Pronouns
from bias_intervene.evals.benchmarks.winobias import WinoBias

_ALL: tuple[Benchmark, ...] = (Pronouns(), WinoBias(), CrowsPairs(), Lambada(), Perplexity(), Harness())
BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}
"""Name -> benchmark."""
