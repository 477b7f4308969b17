"""Settings of tuning; `mirror.tuning_defaults` has those that a recipe leaves out."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mirror.config_base import Positive, Section, Share

Pooling = Literal["cls", "mean", "mean-with-padding", "first-last", "last"]
WEIGHABLE: tuple[Pooling, ...] = ("mean", "first-last")
"""The poolings that are a mean over tokens, in which they can have weights."""
Masking = Literal["characters", "characters-paper", "word-pieces", "words"]
Augmentation = Literal["dropout", "drophead", "both", "none", "controlled"]
FIRST_LAYER = 1
"""The first layer's number among hidden states, of which 0 is the embeddings' output."""
PROMPT_TEXT, PROMPT_MASK = "{text}", "[MASK]"
"""Placeholders in a prompt: the text, and the tokenizer's mask token, whatever its name."""
Loss = Literal["info-nce", "decoupled", "multi-similarity"]
View = Literal["identity", "crops", "titles"]


def _as_shares(value: Any) -> Any:
    return {value: 1.0} if isinstance(value, str) else value


ViewShares = Annotated[
    dict[View, Annotated[float, Field(gt=0)]], Field(min_length=1), BeforeValidator(_as_shares)
]
"""Kinds of views, and the share of items that get each; one kind may be written by its name."""


MergeShares = Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)]


class TuningSection(Section):
    """Settings of Mirror-BERT; a recipe's level and mode set the defaults (paper, section 3)."""

    mode: Literal["default", "paper"] = "default"
    """paper: defaults as in the official code, including its faults."""
    views: ViewShares = Field(default={"identity": 1.0})
    """The two texts of an item.  identity: a string and itself (paper, section 2.1); crops: two
    neighbouring runs of whole sentences of one document; titles: a document's title and its text.
    A table gives shares, as in `{ crops = 0.7, titles = 0.3 }`.  A document without a title gives
    crops, and one of a single sentence the sentence and itself."""
    crop_sentences: Positive = 3
    """crops: the most sentences of a run."""
    temperature: Annotated[float, Field(gt=0)]
    """tau of InfoNCE; not used by multi-similarity."""
    loss: Loss = "info-nce"
    """info-nce: the denominator includes the positive, as in the official code; decoupled: it does
    not, as in the paper's equation 1; multi-similarity: on hard triplets (paper, section 2.1)."""
    duplicates: Literal["mask", "negatives"] = "mask"
    """Equal strings in a batch: excluded from each other's negatives, or used as negatives like all
    others, as in the official code."""
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = None
    """Jaccard similarity of two texts' sets of tokens from which they are excluded from each
    other's negatives too, as are texts that others connect; None for equal texts only."""
    masking: Masking = "characters"
    """The unit of a masked span.  characters-paper has the official code's faults: it masks the
    first span with the same characters as the one drawn, never draws the last span, adds spaces,
    and writes `[MASK]` for every model (docs/official-code.md, faults 6 and 8)."""
    mask_length: Annotated[int, Field(ge=0)]
    """k: characters, word pieces or words masked in one view of a string; 0 for none."""
    mask_min_characters: Positive = 30
    """Strings shorter than this are not masked."""
    augmentation: Augmentation = "dropout"
    """The source of the difference between two views of a string.  drophead drops whole attention
    heads instead of units; controlled is dropout with the same units in both views (Table 8)."""
    dropout: Share = 0.1
    """The dropout rate of every layer; overrides the model's configuration."""
    drophead: Share = 0.2
    """The share of attention heads that are dropped; at least one in each layer is kept."""
    epochs: Positive
    max_tokens: Annotated[int, Field(ge=3)] | None = None
    """The most tokens of a string that tuning reads, including two special tokens; None for what a
    base reads that is an encoder, else for the level's default."""
    inference_max_tokens: Annotated[int, Field(ge=3)] | None = None
    """The most tokens of a text that the tuned encoder reads; None for what a base reads that is an
    encoder, else for `max_tokens`."""
    pooling: Pooling | None = None
    """None for that of a base that is an encoder, else for the level's default.  mean-with-padding
    averages padding too, up to `max_tokens`, as the official code does; first-last is the mean over
    tokens of the first and the last layer's mean; last is the last token."""
    weighting: Literal["equal", "inverse-frequency"] = "equal"
    """Weights of tokens in a mean over tokens: equal keeps those of the base, if it has any;
    inverse-frequency gives tokens that are frequent in the sample less weight, in tuning and in the
    encoder (Arora et al. 2017, SIF)."""
    prompt: str | None = None
    """Words around every text, as in `{text} means [MASK]` (Jiang et al. 2022, PromptBERT); None
    for no prompt.  The prompt is written into the tokenizer, so every user of the encoder has it;
    the base is scored with it too.  Its tokens count among `max_tokens` and are never masked.
    With `pooling` last the prompt must end with a mask, which takes the separator's position and
    gives the vector.  With cls a mask at the prompt's start takes the class token's position.  A
    mean is over all tokens, so `{text} [MASK] [MASK]` adds two to each text."""
    lowercase: bool = False
    """Lower-case texts and strip accents, as the official code does for every model that it tunes
    (docs/official-code.md, fault 16).  Only for tokenizers of BERT's class; not for the base."""
    projection_head: Literal["none", "linear", "mlp"] = "none"
    """A head on the pooled vectors in tuning, which the encoder does not have; mlp has one tanh
    layer."""
    learning_rate: Annotated[float, Field(gt=0)] | None = 2e-5
    """The highest rate.  None, the default with views of documents, for a rate that fits the base:
    see `mirror.encoders.base_settings.default_rate`."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    batch_size: Annotated[int, Field(ge=2)] = 200
    """Strings in a batch, each in two views."""
    batch_sampler: Literal["shuffled", "length-bucketed"] = "shuffled"
    """length-bucketed: strings of similar length in a batch, which makes negatives harder."""
    gradient_caching: bool = False
    """Encode each batch twice and keep the activations of one micro-batch at a time: memory does
    not grow with the batch, and gradients are the same (Gao et al. 2021, GradCache)."""
    warmup_ratio: Share = 0.0
    """Share of the steps in which the learning rate rises from zero."""
    lr_scheduler: Literal["constant", "linear"] = "constant"
    """The learning rate after the warm-up; linear falls to zero."""
    validation_documents: Annotated[int, Field(ge=0)] = 0
    """Documents that are not tuned on: parts of them are looked for among themselves, and the
    checkpoint that finds most is kept.  At most a tenth of the sample's documents; 0 keeps the last
    checkpoint."""
    merge_shares: MergeShares = (1.0,)
    """Shares of the tuned weights in a mean with the base's, of which the validation documents
    choose one (Wortsman et al. 2022, WiSE-FT); 1, the tuned weights, is always tried."""
    whitening: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Exponent of a whitening that is fitted to the sample's vectors after tuning and saved as the
    encoder's last layer: 0 for none, as in the paper; 0.5 for full whitening (Su et al. 2021)."""
    center: bool = False
    """Subtract the sample's mean vector after tuning; whitening always does."""
    dimensions: Positive | None = None
    """Dimensions of the encoder's vectors, at most the base's: a projection that is fitted to the
    sample's vectors after tuning and whitening, and saved as the last layer; None for all."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 if the processor supports it; the loss is always fp32."""
    tokens_per_microbatch: Positive = 4_096
    """Tokens encoded at a time: limits memory.  Dropout is drawn for each such group of texts, so
    another value gives another result, as another seed does."""
    checkpoint_seconds: Positive = 60
    """Seconds between checkpoints."""
    num_processes: Positive = 1
    """Processes of this machine that tune one large model together, on one GPU each if there are
    GPUs.  The weights are those of one process except for rounding."""
    timeout_minutes: Annotated[float, Field(gt=0)] | None = None
    """Minutes for tuning, including the wait for the device; then it stops at a checkpoint, from
    which the next run resumes."""
    seed: int = 42

    @property
    def uses_documents(self) -> bool:
        """Whether views are drawn from documents, in place of strings."""
        return any(view != "identity" for view in self.views)

    @property
    def needs_mask_token(self) -> bool:
        """Whether the tokenizer must have a mask token of its own."""
        return self.mask_length > 0 and self.masking != "characters-paper"

    @property
    def encoder_tokens(self) -> int | None:
        """The most tokens of a text that the tuned encoder reads; None if the base decides."""
        return self.inference_max_tokens or self.max_tokens

    @property
    def dropout_rate(self) -> float:
        """The dropout rate in tuning; 0 if `augmentation` does not use it."""
        return self.dropout if self.augmentation in ("dropout", "both", "controlled") else 0.0

    @property
    def drophead_rate(self) -> float:
        """The drophead rate in tuning; 0 if `augmentation` does not use it."""
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
        if self.near_duplicates is not None and self.duplicates == "negatives":
            raise ValueError(
                "`duplicates` negatives keeps even equal texts as negatives, `near_duplicates` "
                "excludes nearly equal ones: choose one"
            )
        longest = self.inference_max_tokens
        if longest is not None and self.max_tokens is not None and longest < self.max_tokens:
            raise ValueError(
                "`inference_max_tokens` is below `max_tokens`: raise it or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _validation_has_documents(self) -> Self:
        if self.validation_documents and not self.uses_documents:
            raise ValueError(
                "`validation_documents` are parts of documents, and `views` identity has only "
                "strings: set it to 0"
            )
        if set(self.merge_shares) != {1.0} and not self.validation_documents:
            raise ValueError(
                "`merge_shares` are chosen on `validation_documents`, and there are none: set "
                "them, or leave `merge_shares` out"
            )
        return self

    @model_validator(mode="after")
    def _weights_have_a_mean(self) -> Self:
        if self.weighting != "equal" and self.pooling not in (None, *WEIGHABLE):
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
