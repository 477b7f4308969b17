"""Settings of a pretraining run: `models/NAME.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from mirror.config_base import Language, Name, Positive, Section, Share, read_section
from mirror.errors import RecipeError
from mirror.paths import CHECKOUT

MODELS = CHECKOUT / "models"

Count = Annotated[int, Field(ge=0)]


class ModelShape(Section):
    """Size of a BERT trained from scratch."""

    vocabulary_size: Positive = 16_000
    lowercase: bool = True
    num_layers: Positive = 4
    hidden_size: Positive = 256
    num_heads: Positive = 4
    max_tokens: Positive = 128
    word_vector_epochs: Count = 3
    """Epochs of word2vec that initialise the token embeddings; 0 for random embeddings."""

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}"
            )
        return self


class PretrainingSettings(Section):
    """Masked language modelling, from scratch (`shape`) or continuing (`base`)."""

    name: Name
    """The model's name: the file's name without its ending."""
    language: Language
    corpus: Annotated[tuple[str, ...], Field(min_length=1)]
    """Parquet files with the columns `text` and `source`; paths as in a recipe."""
    exclude_sources: tuple[str, ...] = ()
    """Rows whose source contains one of these are not trained on."""
    shape: ModelShape = ModelShape()
    base: str | None = None
    """A model to continue from, path as in a recipe; its tokenizer and shape are used."""
    new_head: bool = False
    """Whether a base without a masked-language head gets a random one, as for any encoder of
    sentences.  Training it can spoil what the base was tuned to."""

    row_lengths: Annotated[tuple[Positive, ...], Field(min_length=1)] = (64, 64, 64, 128)
    """Tokens in a packed row; successive steps cycle through these lengths."""
    mask_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.2
    tokens_per_step: Positive = 9_216
    """Tokens of packed rows in a step, over all processes; the batch size."""
    sentences_per_step: Count = 128
    """Rows of one sentence in a step; its class token predicts tokens in and near it."""
    words_per_step: Count = 512
    """Rows of one to three words in a step; their class token predicts tokens around them."""
    targets: Positive = 10
    """Tokens to predict for each sentence or string of words."""
    window: Positive = 10
    """Tokens on either side that count as the context of words."""
    subsampling: Annotated[float, Field(gt=0)] = 1e-4
    """Threshold of word2vec's subsampling of frequent tokens."""
    context_weight: Annotated[float, Field(ge=0)] = 0.3
    """Weight of the class token's two losses relative to the masked-token loss."""

    total_tokens: Positive = 100_000_000
    """Tokens of packed rows in the whole run; may be raised later to lengthen it."""
    learning_rate: Annotated[float, Field(gt=0)] = 1.2e-3
    warmup_tokens: Count = 2_000_000
    decay_ratio: Share = 0.2
    """The last part of the run, in which the learning rate decays to zero.  It is constant before,
    so that a run can be lengthened from its last checkpoint before the decay."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    dropout: Share = 0.0
    num_processes: Positive = 2
    """Single-threaded processes that share a step on a CPU; on a GPU there is one."""
    checkpoint_seconds: Positive = 300
    seed: int = 42

    @property
    def decay_starts(self) -> int:
        """Tokens after which the learning rate decays."""
        return int(self.total_tokens * (1 - self.decay_ratio))


def find_pretraining(name: str, corpus: tuple[str, ...] = ()) -> PretrainingSettings:
    """Return the settings in `models/NAME.toml`, or at that path if it ends in `.toml`.

    Args:
        name: a model's name, or a path.
        corpus: files that replace those of the settings; empty for no change.

    Raises:
        RecipeError: there is no such file, or it is invalid; all faults are listed.
    """
    path = Path(name) if name.endswith(".toml") else MODELS / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.toml"))) or "none"
        raise RecipeError(f"no pretraining file at {path}: known names are {known}")
    settings = read_section(path, PretrainingSettings, RecipeError)
    return settings.model_copy(update={"corpus": corpus}) if corpus else settings
