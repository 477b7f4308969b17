"""Model card of an encoder: contents, data, settings and scores."""

from __future__ import annotations

import re
from pathlib import Path

from mirror.corpus_config import find_source
from mirror.encoders.encoder_ref import ENCODER
from mirror.encoders.sentence_transformers_reader import read_encoder_settings
from mirror.evaluation.score_change import ScoreChange
from mirror.recipe import Recipe
from mirror.release.run_results import RunResults, metric_changes, score_changes
from mirror.rendering import fill_template
from mirror.store import section_content

CARD_TEMPLATE = "card.md.j2"
POOLING_WORDS = {
    "cls": "the vector of its first token, before any pooler",
    "mean": "the mean of its tokens' vectors, padding left out",
    "mean-with-padding": (
        "the mean of its tokens' vectors and of padding up to the length below, as in the paper's "
        "code; `SentenceTransformer` leaves padding out and so gives OTHER vectors: load it with "
        "`mirror.encoders.encoder.Encoder`"
    ),
    "first-last": (
        "the mean over its tokens, padding left out, of the first and the last layer's vectors"
    ),
    "last": "the vector of its last token",
}
WEIGHTING_WORDS = {
    "equal": "",
    "inverse-frequency": (
        ", in which a token counts less the more frequent it was in the sample (`1_WordWeights`)"
    ),
}
UNKNOWN = "unknown"


def render_card(results: RunResults) -> str:
    """Return the card as Markdown with the front matter of the Hugging Face hub."""
    recipe = results.recipe
    scores = score_changes(results)
    licence = base_licence(Path(results.base.folder))
    return fill_template(
        CARD_TEMPLATE,
        {
            "recipe": recipe,
            "corpus": results.corpus.counts,
            "sample": results.sample.counts,
            "corpus_words": corpus_words(recipe),
            "digests": results.digests,
            "pooling_words": POOLING_WORDS[str(recipe.tuning.pooling)]
            + WEIGHTING_WORDS[recipe.tuning.weighting],
            "scores": scores,
            "extra_metrics": metric_changes(results),
            "others": other_methods(scores),
            "interval": f"{recipe.evaluation.gate.confidence:.0%}",
            "base": results.base,
            "readings": results.readings,
            "saved": read_encoder_settings(results.tuned.path / ENCODER),
            "licence": licence,
            "licence_words": _licence_words(licence),
            "settings": section_content(recipe.tuning),
        },
    )


def other_methods(scores: tuple[ScoreChange, ...]) -> list[str]:
    """Return the names of the baselines of any benchmark, sorted."""
    return sorted({name for line in scores for name in line.baselines})


def corpus_words(recipe: Recipe) -> str:
    """Return a short description of a recipe's text source."""
    return find_source(recipe.corpus.source).describe(recipe.corpus)


def base_licence(folder: Path) -> str:
    """Return the licence in the base's model card, or `unknown`."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return UNKNOWN
    matter = re.match(r"---\s*\n(.*?)\n---\s*\n", text, re.DOTALL)
    if matter is None:
        return UNKNOWN
    named = re.search(r"^license:\s*[\"']?([\w.+-]+)[\"']?\s*$", matter[1], re.MULTILINE)
    return named[1] if named else UNKNOWN


def _licence_words(licence: str) -> str:
    if licence == UNKNOWN:
        return "its card names none; ask its publisher before you publish this encoder"
    return f"{licence}, as its card says"
