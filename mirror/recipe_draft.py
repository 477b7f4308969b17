"""Recipe drafted from a survey of a text, with a comment on each choice."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mirror.base_table import base_settings_of, choose_known_base, known_bases
from mirror.config_base import Level
from mirror.corpus.text_survey import TextSurvey
from mirror.corpus.vocabulary_fit import (
    MEASURED,
    check_vocabulary,
    measure_fit,
    weighted_characters,
)
from mirror.encoders.base_model import locate_base
from mirror.encoders.tokenizer_files import read_tokenizer
from mirror.errors import BenchmarkError, RecipeError
from mirror.evaluation.benchmark import definition_names, read_definition
from mirror.evaluation.datasets import check_benchmarks
from mirror.evaluation.document_counts import FEWEST_OF_SHORT, FEWEST_SENTENCES, MIN_PASSAGES
from mirror.evaluation.general import choose_general
from mirror.recipe import Recipe, parse_recipe

REHEARSED = 500
"""Strings or documents that a rehearsal tunes on."""
HELD_OUT = 0.1
"""Share of the documents that retrieval is measured on, at least."""
FEWEST_FOR_CROPS = 300
"""Documents of several sentences: a batch of 128, and those held out."""
Line = tuple[str, Any, str]
"""A key, its value and a comment."""


@dataclass(frozen=True)
class RecipeDraft:
    """A recipe that is not written yet."""

    name: str
    text: str
    """TOML with comments."""
    recipe: Recipe


def draft_recipe(
    name: str,
    language: str,
    domain: str,
    survey: TextSurvey,
    *,
    base: str | None = None,
    has_gpu: bool = False,
) -> RecipeDraft:
    """Return a recipe for a text.

    Args:
        name: of the recipe.
        language: ISO 639 code.
        domain: a name.
        survey: of the text.
        base: a folder, hub id with commit or registered model; None to choose from the table.
        has_gpu: whether this machine tunes on a GPU.

    Raises:
        RecipeError: the text fits no benchmark, or a name is malformed.
        BaseModelError: there is no such base, or none for the language.
    """
    level = survey.level
    sections: dict[str, list[Line]] = {
        "": [
            ("language", language, ""),
            ("domain", domain, ""),
            ("level", level, _why_level(survey)),
        ],
        "corpus": _corpus(survey),
        "base": _base(language, level, base, has_gpu),
        "tuning": _tuning(survey),
        "evaluation": _evaluation(survey, language),
        "registry": [("model", f"mirror-{name}", "")],
    }
    heading = f"# {domain}, {language}.  Written by `mirror new`.  Run it with: mirror run {name}\n"
    text = heading + "\n".join(_section(title, lines) for title, lines in sections.items() if lines)
    return RecipeDraft(name, text, parse_recipe(tomllib.loads(text), name=name, source=name))


def check_fit(recipe: Recipe, survey: TextSurvey) -> None:
    """Raise BaseModelError if a base that is on this machine hardly knows the text's letters."""
    texts = [document.text for document in survey.documents]
    if recipe.base.registry or not texts:
        return
    folder, origin = locate_base(recipe.base, Path)
    fit = measure_fit(texts, read_tokenizer(folder))
    pieces = fit.pieces_per_character * weighted_characters(texts[:MEASURED])
    words = sum(len(text.split()) for text in texts[:MEASURED])
    check_vocabulary(recipe, {**asdict(fit), "pieces_per_word": pieces / max(1, words)}, origin)


def write_rehearsal(draft: RecipeDraft, survey: TextSurvey, folder: Path) -> Path:
    """Write the sample, and a recipe that tunes on 500 of its strings; return the recipe's path.

    Args:
        draft: the recipe.
        survey: the sample.
        folder: an empty one.
    """
    content = tomllib.loads(draft.text)
    if survey.documents:
        path = folder / "documents.jsonl"
        rows = ({"text": d.body or d.text, "title": d.title} for d in survey.documents)
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        kept = {key: content["corpus"][key] for key in ("split_into",) if key in content["corpus"]}
        titles = {"title_column": "title"} if survey.titled else {}
        content["corpus"] = {"source": "files", "paths": [str(path)], **titles, **kept}
    content["sample"] = {"size": REHEARSED}
    top = [(key, value, "") for key, value in content.items() if not isinstance(value, dict)]
    sections = [
        _section(title, [(key, each, "") for key, each in value.items()])
        for title, value in content.items()
        if isinstance(value, dict)
    ]
    recipe = folder / f"{draft.name}.toml"
    recipe.write_text("\n".join([_section("", top), *sections]), encoding="utf-8")
    return recipe


def _corpus(survey: TextSurvey) -> list[Line]:
    count = f"{len(survey.documents):,} documents"
    sampled = f"{count} in all" if survey.is_whole else f"{count} of them looked at"
    comments = {
        "source": f"{survey.files:,} file(s), {survey.megabytes:,.1f} MB, "
        f"{', '.join(survey.formats)}; {sampled}"
        if survey.files
        else "a list of the language's most frequent words",
        "encoding": "not UTF-8",
        "text_column": "the column of sentences",
        "title_column": "titles look for their texts in evaluation",
        "format": "lines are cut at a width: a blank line ends a document",
        "split_into": "each line is one string",
    }
    return [(key, value, comments.get(key, "")) for key, value in survey.settings.items()]


def _base(language: str, level: Level, name: str | None, has_gpu: bool) -> list[Line]:
    if name is None:
        chosen = choose_known_base(language, level, has_gpu=has_gpu)
        machine = "a GPU" if has_gpu else "a processor"
        why = f"{chosen.describe(language)}; chosen for {machine} (bases.toml)"
        settings: Mapping[str, Any] = chosen.settings
    else:
        settings = base_settings_of(name)
        why = next((b.describe(language) for b in known_bases() if b.name == name), "as asked")
    lines = [(key, value, "") for key, value in settings.items()]
    return [(*lines[0][:2], why), *lines[1:]]


def _tuning(survey: TextSurvey) -> list[Line]:
    if survey.level != "sentence":
        return []
    count = len(survey.documents)
    several = round(survey.share(2) * count)
    found = f"{several:,} of {count:,} documents have two sentences or more"
    if several >= count / 2 and not (survey.is_whole and several < FEWEST_FOR_CROPS):
        return [("views", "crops", f"neighbouring sentences are each other's views: {found}")]
    return [("views", "identity", f"each sentence with itself: only {found}")]


def _evaluation(survey: TextSurvey, language: str) -> list[Line]:
    names, why = _benchmarks(survey, language)
    guard = choose_general(language, words=False) if survey.level == "sentence" else None
    if guard is None or guard in names:
        return [("benchmarks", names, why)]
    try:
        check_benchmarks([guard])
    except BenchmarkError:
        why += f'; with guard = "{guard}" the gate refuses a loss of general quality: '
        why += f"mirror evaluate BASE --benchmarks {guard} --fetch"
        return [("benchmarks", names, why)]
    return [("benchmarks", names, why), ("guard", guard, "general quality, which must not fall")]


def _benchmarks(survey: TextSurvey, language: str) -> tuple[list[str], str]:
    """Return benchmarks that the text or the language has, and why."""
    if survey.level == "sentence":
        names = [name for name, number in _retrieval(survey).items() if _is_enough(number, survey)]
        if names:
            return names, "need no labels: a tenth of the documents is held out"
    wanted = {"word": "multisimlex-", "name": "", "sentence": "sts"}[survey.level]
    for name in definition_names() if wanted else ():
        benchmark = read_definition(name)
        if name.startswith(wanted) and benchmark.languages == (language,):
            return [name], "labelled pairs"
    found = "no benchmark in benchmarks/ has labels for it"
    if survey.level == "sentence":
        several = sum(number > 1 for number in survey.sentences)
        found = (
            f"{several:,} of {len(survey.documents):,} documents have two sentences that no other "
            f"has, which is too few, and {found}"
        )
    raise RecipeError(
        f"nothing measures level {survey.level} in {language!r}: {found}: name text with whole "
        "documents in a row, paragraph or section each, or add a benchmark (CONTRIBUTING.md)"
    )


def _retrieval(survey: TextSurvey) -> dict[str, int]:
    """Return documents of the sample that each form of retrieval can use."""
    count = len(survey.documents)
    return {
        "title-retrieval": survey.titled,
        "passage-retrieval": round(survey.share(FEWEST_SENTENCES["halves"]) * count),
        "sentence-retrieval": round(survey.share(FEWEST_OF_SHORT) * count),
    }


def _is_enough(number: int, survey: TextSurvey) -> bool:
    """Return whether about 20 such documents will be among those held out."""
    count = len(survey.documents)
    held_out = min(max(200.0, HELD_OUT * count), count / 2) if survey.is_whole else 200.0
    return number / count * held_out >= 1.5 * MIN_PASSAGES


def _why_level(survey: TextSurvey) -> str:
    if survey.level == "sentence":
        return "texts are sentences"
    return f"lines are {survey.level}s"


def _section(title: str, lines: list[Line]) -> str:
    body = "".join(
        (f"# {comment}\n" if comment else "") + f"{key} = {_toml(value)}\n"
        for key, value, comment in lines
    )
    return f"[{title}]\n{body}" if title else body


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
