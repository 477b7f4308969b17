"""Settings of tuning, with the defaults of each level and mode.

Settings that a recipe leaves out come from its level (`LEVEL_DEFAULTS`) and its mode
(`MODE_DEFAULTS`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mirror.config_base import Positive, Section, Share

Pooling = Literal["cls", "mean", "mean-with-padding", "first-last", "last"]
WEIGHABLE: tuple[Pooling, ...] = ("mean", "first-last")
"""The poolings that are a mean over tokens, in which they can have weights."""
Masking = Literal["characters", "characters-paper", "word-pieces", "words"]
Augmentation = Literal["dropout", "drophead", "both", "none", "controlled"]
FIRST_LAYER = 1
"""The first layer's number among hidden states, of which 0 is the embeddings' output."""
PROMPT_TEXT, PROMPT_MASK = "{text}", "[MASK]"
"""What stands in a prompt for the text, and for the tokenizer's mask token, whatever its name."""
Loss = Literal["info-nce", "decoupled", "multi-similarity"]


class TuningSection(Section):
    """Mirror-BERT's settings; what a recipe leaves out is set by its level (paper, section 3)."""

    mode: Literal["default", "paper"] = "default"
    """paper: what the recipe leaves out is as in the official code, its faults included."""
    temperature: Annotated[float, Field(gt=0)]
    """tau of InfoNCE; multi-similarity has constants of its own instead."""
    loss: Loss = "info-nce"
    """info-nce: the positive stands in the denominator, as in the official code; decoupled: it does
    not, as in the paper's equation 1; multi-similarity: on hard triplets (paper, section 2.1)."""
    duplicates: Literal["mask", "negatives"] = "mask"
    """Equal strings of a batch: masked from each other's negatives, or negatives like all others,
    as in the official code."""
    masking: Masking = "characters"
    """What a masked run is made of.  characters-paper has the official code's faults: it masks
    the first run that reads like the one drawn, never draws the last, adds spaces, and writes
    `[MASK]` for every model (paper.md, part 3, nos. 6 and 8)."""
    mask_length: Annotated[int, Field(ge=0)]
    """k: characters, word pieces or words masked in one side of a pair; 0 for none."""
    mask_min_characters: Positive = 30
    """Strings shorter than this are not masked."""
    augmentation: Augmentation = "dropout"
    """What makes two views of one string differ.  drophead leaves out whole attention heads in
    place of dropout; controlled is dropout with the same units left out on both sides (Table 8)."""
    dropout: Share = 0.1
    """Set in every layer, whatever the model's own configuration says."""
    drophead: Share = 0.2
    """The share of attention heads left out, of which at least one in each layer is kept."""
    epochs: Positive
    max_tokens: Annotated[int, Field(ge=3)]
    """Tokens of a string that are read at most, two special tokens included."""
    inference_max_tokens: Annotated[int, Field(ge=3)] | None = None
    """Tokens of a text that the tuned encoder reads at most; None for `max_tokens`."""
    pooling: Pooling = "mean"
    """mean-with-padding averages padding too, up to `max_tokens`, as the official code does;
    first-last is the mean over tokens of the first and the last layer's mean; last is the last
    token."""
    weighting: Literal["equal", "inverse-frequency"] = "equal"
    """What a token counts in a mean over tokens: inverse-frequency counts those less that are
    frequent in the sample, while tuning and in the encoder (Arora et al. 2017, SIF)."""
    prompt: str | None = None
    """Words around every text, as in `{text} means [MASK]`, written into the tokenizer and so read
    by whoever reads the encoder (Jiang et al. 2022, PromptBERT); the base is scored with them too.
    Their tokens count among `max_tokens` and are never masked.  With `pooling` last the vector is
    that of the mask that a prompt must then end with, which stands in the separator's place; with
    cls a mask that it begins with stands in the class token's; a mean takes all tokens, so that
    `{text} [MASK] [MASK]` gives a text two more.  Nothing leaves the tokenizer as the base has it.
    """
    lowercase: bool = False
    """Lower case and no accents in texts, whatever the base's tokenizer does, where its class is
    BERT's, as the official code has it for every model that it tunes (paper.md, part 3, no. 16);
    the base is scored as it is."""
    projection_head: Literal["none", "linear", "mlp"] = "none"
    """A head on the pooled vectors in training, thrown away after it; mlp has one tanh layer."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    batch_size: Annotated[int, Field(ge=2)] = 200
    """Strings in a batch; each gives two views."""
    batch_sampler: Literal["shuffled", "length-bucketed"] = "shuffled"
    """length-bucketed: a batch's strings are of similar length, which makes negatives harder."""
    gradient_caching: bool = False
    """Encode each batch twice, keeping one slice's activations at a time: memory no longer grows
    with the batch (Gao et al. 2021, GradCache); the gradients are the same."""
    warmup_ratio: Share = 0.0
    """Share of the steps over which the learning rate rises from zero."""
    lr_scheduler: Literal["constant", "linear"] = "constant"
    """The learning rate after the warm-up; linear falls to zero."""
    whitening: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Exponent of a whitening that is fitted to the sample's vectors after tuning and saved with
    the encoder as its last layer: 0 for none, as in the paper; 0.5 for all of it (Su et al. 2021).
    """
    center: bool = False
    """Subtract the sample's mean vector after tuning; whitening always does."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 where the processor has it; the loss is always fp32."""
    tokens_per_microbatch: Positive = 4_096
    """Tokens encoded at a time; limits memory and changes results only by rounding."""
    checkpoint_seconds: Positive = 60
    num_processes: Positive = 1
    """Processes of this machine that tune one large model together, each on a GPU of its own if
    there are GPUs.  The weights are those of one process except for rounding."""
    timeout_minutes: Annotated[float, Field(gt=0)] | None = None
    """Minutes that tuning may take, the wait for the device included.  After that it stops at a
    checkpoint, and the next run resumes there."""
    seed: int = 42

    @property
    def needs_mask_token(self) -> bool:
        """Whether the tokenizer must have a mask token of its own."""
        return self.mask_length > 0 and self.masking != "characters-paper"

    @property
    def encoder_tokens(self) -> int:
        """Tokens of a text that the tuned encoder reads at most."""
        return self.inference_max_tokens or self.max_tokens

    @property
    def dropout_rate(self) -> float:
        """The dropout that acts while tuning."""
        return self.dropout if self.augmentation in ("dropout", "both", "controlled") else 0.0

    @property
    def drophead_rate(self) -> float:
        """The drophead that acts while tuning."""
        return self.drophead if self.augmentation in ("drophead", "both") else 0.0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.augmentation == "none" and not self.mask_length:
            raise ValueError(
                "`augmentation` none and `mask_length` 0 make both views of a string the same: "
                "choose one"
            )
        if self.gradient_caching and self.augmentation == "controlled":
            raise ValueError(
                "`gradient_caching` does not go with `augmentation` controlled: "
                "leave one of them out"
            )
        if self.inference_max_tokens is not None and self.inference_max_tokens < self.max_tokens:
            raise ValueError(
                "`inference_max_tokens` is below `max_tokens`: raise it or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _weights_have_a_mean(self) -> Self:
        if self.weighting != "equal" and self.pooling not in WEIGHABLE:
            raise ValueError(
                f"`weighting` is for a mean over tokens, and `pooling` is {self.pooling}: "
                f"choose {' or '.join(WEIGHABLE)}, or leave the weights out"
            )
        return self

    @model_validator(mode="after")
    def _prompt_can_be_pooled(self) -> Self:
        if self.prompt is None:
            return self
        if self.prompt.count(PROMPT_TEXT) != 1 or self.prompt.strip() == PROMPT_TEXT:
            raise ValueError(
                f"`prompt` must contain {PROMPT_TEXT} once and other words, as in "
                f'"{PROMPT_TEXT} means {PROMPT_MASK}"'
            )
        if self.pooling == "last" and not self.prompt.rstrip().endswith(PROMPT_MASK):
            raise ValueError(
                f"`pooling` last takes the vector at a prompt's end: let `prompt` end with "
                f"{PROMPT_MASK}, or begin with it and choose cls, or choose mean"
            )
        return self


_SHORT = {"epochs": 2, "max_tokens": 25, "pooling": "cls"}
LEVEL_DEFAULTS: dict[str, dict[str, Any]] = {
    "word": {**_SHORT, "temperature": 0.2, "mask_length": 0},
    "name": {**_SHORT, "temperature": 0.04, "mask_length": 2},
    "sentence": {
        "temperature": 0.04,
        "mask_length": 5,
        "epochs": 1,
        "max_tokens": 50,
        "pooling": "mean",
    },
}
# Training pads to `max_tokens`, the official evaluation to 64 (paper.md, part 3, no. 1).
_OFFICIAL = {
    "masking": "characters-paper",
    "duplicates": "negatives",
    "lowercase": True,
    "inference_max_tokens": 64,
}
MODE_DEFAULTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "default": {},
    "paper": {
        "word": _OFFICIAL,
        "name": _OFFICIAL,
        "sentence": {**_OFFICIAL, "pooling": "mean-with-padding"},
    },
}


def fill_tuning(level: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's `[tuning]`, completed with the defaults of its level and mode."""
    of_level = LEVEL_DEFAULTS.get(level, {})
    of_mode = MODE_DEFAULTS.get(str(given.get("mode", "default")), {}).get(level, {})
    return {**of_level, **of_mode, **given}
