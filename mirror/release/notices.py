"""Notices of a run: what was cut, skipped, left out, replaced or ignored, with what helps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mirror.corpus import reasons
from mirror.corpus.file_kinds import describe_endings
from mirror.corpus.text_templates import MANY as MANY_TEMPLATES
from mirror.corpus.vocabulary_fit import fits_badly
from mirror.evaluation.score_change import TRUNCATED
from mirror.recipe import Recipe
from mirror.release.run_results import RunResults
from mirror.shared_texts import MOST, SharedTexts
from mirror.stage_files import read_json
from mirror.store import INPUT_FILES

SHOWN = 6
"""Notices that the terminal shows; the others are counted."""
MANY_COPIES = 0.2
"""Share of near copies from which there is a notice."""
MANY_NUMBERS = 0.2
"""Share of strings without a letter from which there is a notice."""
FEW_MASKS = 0.95
"""Share of pairs that differ by a mask below which there is a notice."""

_IN_REJECTS = "look at them in rejects/ of the corpus's folder"


@dataclass(frozen=True)
class Notice:
    """Something that a run cut, skipped, left out, replaced or ignored."""

    name: str
    """Short and stable, in lower case with underscores, for metrics."""
    what: str
    """What it was, in the plural, to follow the count."""
    count: int
    share: float
    """Of all such things, 0 to 1."""
    remedy: str

    @property
    def text(self) -> str:
        """The notice in one line."""
        return f"{self.count:,} {self.what} ({self.share:.1%}): {self.remedy}"


def find_notices(results: RunResults) -> tuple[Notice, ...]:
    """Return a run's notices, the largest shares first.

    Raises:
        StoreError: the evaluation's folder is damaged.
    """
    counts = results.pairs.counts if results.pairs else None
    truncated = read_json(results.after.path / "diagnostics.json").get(TRUNCATED)
    notices = [
        *corpus_notices(results.corpus.counts),
        *(pairs_notices(counts) if counts else ()),
        *(profile_notices(results.profile.counts) if results.profile else ()),
        *sample_notices(results.sample.counts, results.recipe),
        *tuning_notices(results.tuned.counts, results.recipe),
        *(evaluation_notices(truncated, results.recipe) if truncated else ()),
    ]
    return tuple(sorted(notices, key=lambda notice: (-notice.share, notice.name)))


def corpus_notices(counts: Mapping[str, Any]) -> Iterator[Notice]:
    """Yield what ingestion rejected or left out, given the counts of the corpus stage."""
    for reason, count in counts.get("rejected", {}).items():
        remedy = reasons.REMEDIES.get(reason, _IN_REJECTS)
        what = f"rows of text rejected, {reason}"
        yield _notice(f"rejected_{reason}", what, count, counts["rows_in"], remedy)
    if endings := counts.get(reasons.FILES_LEFT_OUT):
        left_out = sum(endings.values())
        yield _notice(
            "files_left_out",
            f"files left out of folders, {describe_endings(endings)}",
            left_out,
            left_out + len(counts.get(INPUT_FILES, ())),
            "convert them to a format that is read",
        )
    if (share := counts.get(reasons.NEAR_COPIES, 0)) > MANY_COPIES:
        yield _notice(
            reasons.NEAR_COPIES,
            "strings are near copies of another, as estimated",
            round(share * counts["kept"]),
            counts["kept"],
            "set corpus.near_duplicates, for example to 0.8, to take one of each",
        )


def pairs_notices(counts: Mapping[str, Any]) -> Iterator[Notice]:
    """Yield what was skipped of labelled pairs, given the counts of their stage."""
    read = counts["pairs"] + sum(counts["skipped"].values())
    for reason, count in counts["skipped"].items():
        remedy = reasons.REMEDIES.get(reason, "correct or remove them").partition(", and check")[0]
        yield _notice(
            f"pairs_skipped_{reason}", f"labelled pairs skipped, {reason}", count, read, remedy
        )
    if doubtful := counts.get("doubtful"):
        what = "labelled pairs have a text such as 'nan', and are kept"
        remedy = "remove them if it is the text of an empty cell"
        yield _notice("pairs_doubtful", what, doubtful, read, remedy)
    shared = SharedTexts(**counts["shared_texts"]) if "shared_texts" in counts else None
    if shared and shared.items > 1 and shared.largest_share > MOST:
        yield _notice(
            "pairs_sharing_texts",
            "labelled pairs share a text, so they are no negatives of each other",
            shared.largest,
            shared.items,
            "check pairs.first and pairs.second",
        )


def profile_notices(counts: Mapping[str, Any]) -> Iterator[Notice]:
    """Yield strings that the tokenizer knows badly, or of templates, given the profile's counts."""
    if fits_badly(counts):
        what = (
            f"strings looked at, of which the base's tokenizer does not know "
            f"{counts['unknown_characters']:.0%}, with {counts['pieces_per_character']:.2f} pieces "
            "a character"
        )
        remedy = "choose a base made for the language"
        yield _notice("vocabulary", what, counts["drawn"], counts["drawn"], remedy)
    if (share := counts.get(reasons.TEMPLATES, 0)) > MANY_TEMPLATES:
        yield _notice(
            reasons.TEMPLATES,
            "strings are made from templates, as estimated",
            round(share * counts["strings"]),
            counts["strings"],
            "set corpus.near_duplicates to 0.8 or lower, or leave generated text out: an encoder "
            "learns little from it",
        )
    if (share := counts.get(reasons.WITHOUT_LETTERS, 0)) > MANY_NUMBERS:
        yield _notice(
            reasons.WITHOUT_LETTERS,
            "strings have no letter, such as numbers",
            round(share * counts["strings"]),
            counts["strings"],
            "check corpus.text_column, or leave them out: they have no meaning to learn",
        )


def sample_notices(counts: Mapping[str, Any], recipe: Recipe) -> Iterator[Notice]:
    """Yield documents that give no two views, given the counts of the sample stage."""
    remedy = "let neighbouring sentences be in one row or paragraph"
    if single := counts.get("single_sentences"):
        what = "documents of one sentence, tuned on with itself"
        yield _notice("single_sentences", what, single, counts["documents"], remedy)
    if recipe.views_are_replaced:
        what = "strings are paired with themselves, since few documents have several sentences"
        yield _notice("views_replaced", what, counts["strings"], counts["strings"], remedy)


def tuning_notices(counts: Mapping[str, Any], recipe: Recipe) -> Iterator[Notice]:
    """Yield texts that were cut or not masked in tuning, given the counts of its stage."""
    seen = counts.get("steps", 0) * recipe.tuning.batch_size
    if full := counts.get("full_share"):
        tokens = recipe.tuning.max_tokens
        yield _notice(
            "texts_full_in_tuning",
            f"texts fill all {tokens} tokens that tuning reads, and are cut if they are longer",
            round(full * seen),
            seen,
            "raise tuning.max_tokens, or split them",
        )
    masked = counts.get("masked_share", 1.0)
    if recipe.tuning.mask_length and not recipe.tuning.uses_documents and masked < FEW_MASKS:
        yield _notice(
            "pairs_without_mask",
            "pairs do not differ by a mask",
            round((1 - masked) * seen),
            seen,
            f"expected of texts below tuning.mask_min_characters "
            f"({recipe.tuning.mask_min_characters}); lower it to mask them",
        )


def evaluation_notices(counts: Mapping[str, int], recipe: Recipe) -> Iterator[Notice]:
    """Yield the benchmarks' texts that were cut, given their `cut` and `texts`."""
    if counts["cut"]:
        yield _notice(
            "texts_cut_in_evaluation",
            f"texts of benchmarks are longer than the {recipe.tuning.encoder_tokens} tokens that "
            "the encoder reads",
            counts["cut"],
            counts["texts"],
            "raise tuning.inference_max_tokens",
        )


def notice_lines(notices: Sequence[Notice]) -> list[str]:
    """Return at most `SHOWN` lines for a terminal; the last counts the notices that are left."""
    if len(notices) <= SHOWN:
        return [notice.text for notice in notices]
    rest = len(notices) - SHOWN + 1
    return [*(each.text for each in notices[: SHOWN - 1]), f"and {rest} more, in the report"]


def _notice(name: str, what: str, count: int, total: int, remedy: str) -> Notice:
    spelt = re.sub(r"\W+", "_", name.lower(), flags=re.ASCII).strip("_")
    return Notice(spelt, what, count, count / max(total, 1), remedy)
