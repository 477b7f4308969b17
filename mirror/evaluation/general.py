"""General benchmarks: published pairs with human scores, independent of a recipe's own text.

A model that is tuned over and over on one domain may lose general quality a little each time.  Only
such a benchmark shows this.
"""

from __future__ import annotations

import logging

from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import definition_names, read_member
from mirror.evaluation.scored_pairs import PairBenchmark
from mirror.log_once import warn_once
from mirror.recipe import Recipe

log = logging.getLogger(__name__)


def is_general(name: str) -> bool:
    """Return whether a benchmark measures general quality.

    Similarity of published pairs does, and an average of nothing else.  A local `file` is a team's
    own; an unknown benchmark is not general.
    """
    try:
        benchmark = read_member(name)
    except BenchmarkError:
        return False
    if benchmark.members:
        return all(map(is_general, benchmark.members))
    return benchmark.TASK == "similarity" and bool(benchmark.files)


def describe_unseen_loss(recipe: Recipe) -> str:
    """Return why a loss of general quality would not be seen, with the remedy; empty if it would.

    Tuning on documents can cost general quality, and tuning one model again and again too.
    """
    if any(map(is_general, recipe.evaluation.scored)):
        return ""
    if recipe.base.registry is not None:
        cause = (
            f"the recipe continues from {recipe.base.registry}, and each generation may lose some"
        )
    elif recipe.tuning.uses_documents:
        cause = f"views of documents ({', '.join(recipe.tuning.views)}) can lower it"
    else:
        return ""
    chosen = choose_general(recipe.language, words=recipe.level == "word")
    remedy = (
        f'write guard = "{chosen}" under [evaluation]'
        if chosen
        else "add pairs with human scores in this language to benchmarks/"
    )
    return f"no benchmark measures general quality, but {cause}: {remedy}"


def warn_of_unseen_loss(recipe: Recipe) -> None:
    """Warn if a recipe continues from a registered model and has no general benchmark."""
    if recipe.base.registry is not None and (reason := describe_unseen_loss(recipe)):
        warn_once(log, f"recipe {recipe.name}: {reason}")


def choose_general(language: str, *, words: bool) -> str | None:
    """Return a shipped general benchmark in a language, to be a guard; None without one.

    One set of pairs is preferred to an average, since a guard is scored for each merge of weights;
    and one that is in no average, since a guard's labels are used.

    Args:
        language: ISO 639 code.
        words: whether it has pairs of words, else of sentences.
    """
    members = {name: read_member(name).members for name in definition_names() if is_general(name)}
    averaged = {member for names in members.values() for member in names}
    fitting = [
        (bool(names), name in averaged, name)
        for name, names in members.items()
        if read_member(name).languages == (language,) and _has_words(name) == words
    ]
    return min(fitting)[-1] if fitting else None


def _has_words(name: str) -> bool:
    benchmark = read_member(name)
    return isinstance(benchmark, PairBenchmark) and benchmark.format == "multisimlex"
