"""What a pretraining run can be told: `models/NAME.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from mirror.config_base import Language, Name, Positive, Section, Share, list_faults
from mirror.errors import RecipeError
from mirror.paths import CHECKOUT

MODELS = CHECKOUT / "models"

Count = Annotated[int, Field(ge=0)]


class ModelShape(Section):
    """A BERT's size, when one is trained from scratch."""

    vocabulary_size: Positive = 16_000
    lowercase: bool = True
    layers: Positive = 4
    width: Positive = 256
    heads: Positive = 4
    max_tokens: Positive = 128
    word_vector_epochs: Count = 3
    """Epochs of word2vec over the pieces to start the embeddings from; 0 for none."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class PretrainingSettings(Section):
    """Masked language modelling, from scratch (`shape`) or continuing (`base`)."""

    name: Name
    """The model's name: its file's name without the ending."""
    language: Language
    corpus: Annotated[tuple[str, ...], Field(min_length=1)]
    """Parquet files with the columns `text` and `source`, found as a recipe's files are."""
    exclude_sources: tuple[str, ...] = ()
    """Rows whose source contains one of these are not trained on."""
    shape: ModelShape = ModelShape()
    base: str | None = None
    """A model to continue from, found as a recipe's base is; tokenizer and shape are kept."""

    row_lengths: Annotated[tuple[Positive, ...], Field(min_length=1)] = (64, 64, 64, 128)
    """Tokens in a packed row; steps take them in turn."""
    mask_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    tokens_per_step: Positive = 9_216
    """Tokens of packed rows in a step, over all processes."""
    sentences_per_step: Count = 128
    """Rows of one sentence in a step; the class token predicts what stands in and beside it."""
    words_per_step: Count = 512
    """Rows of one to three words; the class token predicts what stands around them."""
    targets: Positive = 10
    """Pieces drawn for each sentence or word to predict."""
    window: Positive = 10
    """Pieces on either side that count as around a word."""
    subsampling: Annotated[float, Field(gt=0)] = 1e-4
    """word2vec's threshold for drawing frequent pieces less often."""
    context_weight: Annotated[float, Field(ge=0)] = 0.3
    """Weight of the class token's two losses beside the masked-token loss."""

    total_tokens: Positive = 100_000_000
    """Tokens of packed rows in the whole run; may be raised later, to lengthen it."""
    peak_rate: Annotated[float, Field(gt=0)] = 1.2e-3
    warmup_tokens: Count = 2_000_000
    decay_share: Share = 0.2
    """The last share of the run, over which the rate falls to zero.  Before it the rate is
    constant, so that a run can be lengthened from its last checkpoint before the decay."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    dropout: Share = 0.0
    processes: Positive = 2
    """Single-threaded processes that share a step on a CPU; a GPU takes one."""
    checkpoint_seconds: Positive = 300
    seed: int = 42

    @property
    def decay_starts(self) -> int:
        """Tokens after which the rate falls."""
        return int(self.total_tokens * (1 - self.decay_share))


def find_pretraining(name: str, corpus: tuple[str, ...] = ()) -> PretrainingSettings:
    """The settings in `models/NAME.toml`, or at that path if it ends in `.toml`.

    Args:
        name: a model's name, or a path.
        corpus: files to take in place of the settings' own.

    Raises:
        RecipeError: see `read_pretraining`.
    """
    path = Path(name) if name.endswith(".toml") else MODELS / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in path.parent.glob("*.toml"))) or "none"
        raise RecipeError(f"no pretraining file at {path}: those there are {known}")
    settings = read_pretraining(path)
    return settings.model_copy(update={"corpus": corpus}) if corpus else settings


def read_pretraining(path: Path) -> PretrainingSettings:
    """Reads a pretraining file.

    Raises:
        RecipeError: the file is missing, is not TOML, or has faults; all are listed.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path} cannot be read as TOML: {error}") from error
    try:
        return PretrainingSettings.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        raise RecipeError(
            f"{path} has {error.error_count()} fault(s):\n{list_faults(error)}"
        ) from error
