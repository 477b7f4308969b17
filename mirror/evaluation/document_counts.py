"""Documents that a corpus has for each form of label-free retrieval, known before tuning."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mirror.corpus_config import find_source
from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import read_definition
from mirror.recipe import Recipe
from mirror.store import StageRecord

MIN_PASSAGES = 20
Form = Literal["titles", "halves", "sentences"]
FEWEST_SENTENCES: dict[Form, int] = {"titles": 1, "halves": 4, "sentences": 3}
"""Sentences of a document at least."""
FEWEST_OF_SHORT = 2
"""Likewise for `sentences` where fewer than `MIN_PASSAGES` documents have three."""
BENCHMARKS: dict[Form, str] = {
    "titles": "title-retrieval",
    "halves": "passage-retrieval",
    "sentences": "sentence-retrieval",
}
"""The shipped benchmark of each form."""
RARE = 0.02
"""Share of the documents from which more text of the same kind is a remedy."""

_COUNTS = """
CREATE TEMP TABLE counted AS
WITH documents AS (
    SELECT document, count(*) AS sentences
    FROM read_parquet($sentences, hive_partitioning = false) GROUP BY document
),
titled AS (SELECT DISTINCT document FROM read_parquet($titles, hive_partitioning = false))
SELECT documents.sentences, titled.document IS NOT NULL AS has_title,
       held_out.document IS NOT NULL AS is_held_out
FROM documents LEFT JOIN titled USING (document) LEFT JOIN held_out USING (document)
"""


@dataclass(frozen=True)
class DocumentCounts:
    """Documents of a corpus: all, and those that each form of retrieval can use."""

    documents: int
    usable: Mapping[Form, int]
    """Of all documents."""
    held_out: Mapping[Form, int]
    """Of those held out, which are the ones that are searched."""


def check_retrieval_forms(recipe: Recipe) -> None:
    """Check that a recipe with label-free retrieval has documents at all.

    Raises:
        BenchmarkError: its corpus is a list of words, or a benchmark's definition is damaged.
    """
    is_word_list = find_source(recipe.corpus.source).is_word_list
    if is_word_list and (names := list(retrieval_forms(recipe))):
        raise BenchmarkError(
            f"{', '.join(names)} (evaluation.benchmarks) searches parts of documents, and the "
            f"corpus source {recipe.corpus.source!r} is a list of words: name a benchmark with "
            "labels, such as stsb"
        )


def check_documents_for_retrieval(recipe: Recipe, corpus: StageRecord) -> None:
    """Check, before tuning, that a corpus has documents for a recipe's label-free retrieval.

    Texts that are also tuned on are left out later, so fewer may be left than are counted here.

    Raises:
        BenchmarkError: too few documents have a title, or as many sentences as are needed.
    """
    forms = retrieval_forms(recipe)
    if not forms:
        return
    counts = count_documents(corpus)
    faults = [
        f"{name}: {too_few_documents(corpus.path, counts, form, counts.held_out[form])}"
        for name, form in forms.items()
        if counts.held_out[form] < MIN_PASSAGES
    ]
    if faults:
        raise BenchmarkError("\n".join(faults))


def count_documents(corpus: StageRecord) -> DocumentCounts:
    """Return the documents that each form of retrieval can use; texts are not read."""
    from mirror.duckdb_connection import connect, part_names
    from mirror.held_out import create_held_out

    sentences, titles = (part_names(corpus.path / name) for name in ("sentences", "titles"))
    with tempfile.TemporaryDirectory(prefix="mirror-") as work, connect(Path(work)) as connection:
        create_held_out(connection, corpus.path)
        connection.execute(_COUNTS, {"sentences": sentences, "titles": titles})

        def count(condition: str) -> int:
            query = f"SELECT count(*) FROM counted WHERE {condition}"  # noqa: S608  # ours
            [(number,)] = connection.execute(query).fetchall()
            return int(number)

        def by_form(rows: str) -> dict[Form, int]:
            parts = count(f"{rows} AND sentences >= {FEWEST_SENTENCES['sentences']}")
            if parts < MIN_PASSAGES:
                parts = count(f"{rows} AND sentences >= {FEWEST_OF_SHORT}")
            return {
                "titles": count(f"{rows} AND has_title"),
                "halves": count(f"{rows} AND sentences >= {FEWEST_SENTENCES['halves']}"),
                "sentences": parts,
            }

        return DocumentCounts(count("true"), by_form("true"), by_form("is_held_out"))


def too_few_documents(corpus: Path, counts: DocumentCounts, form: Form, usable: int) -> str:
    """Return an error about a corpus with too few documents for a form, with what helps.

    Args:
        corpus: its folder.
        counts: its documents.
        form: of the benchmark.
        usable: held-out documents that the form can use.
    """
    fewest = FEWEST_OF_SHORT if form == "sentences" else FEWEST_SENTENCES[form]
    needed = "a title" if form == "titles" else f"{fewest} sentences or more"
    found = (
        f"the corpus in {corpus} has {usable} held-out documents with {needed}, and retrieval of "
        f"{form} needs {MIN_PASSAGES}; {counts.usable[form]:,} of its {counts.documents:,} "
        "documents have them"
    )
    return f"{found}: {'; or '.join(_remedies(counts, form))}"


def _remedies(counts: DocumentCounts, form: Form) -> list[str]:
    remedies = [
        f"name {BENCHMARKS[other]} in evaluation.benchmarks, for which it has {number:,}"
        for other, number in counts.held_out.items()
        if other != form and number >= MIN_PASSAGES
    ]
    if counts.usable[form] > RARE * counts.documents:
        remedies.append("give it more such text")
    elif form == "titles":
        remedies.append(
            "name the column of titles with corpus.title_column, or read files with headings or "
            "subjects"
        )
    else:
        remedies.append(
            "let each row, paragraph, docstring, section or mail be a whole document, since more "
            "text like this does not help"
        )
    return [*remedies, "choose a benchmark with labels"]


def retrieval_forms(recipe: Recipe) -> dict[str, Form]:
    """Return the forms of a recipe's benchmarks of label-free retrieval, by name."""
    benchmarks = map(read_definition, recipe.evaluation.scored)
    return {each.name: vars(each)["form"] for each in benchmarks if each.TASK == "retrieval"}
