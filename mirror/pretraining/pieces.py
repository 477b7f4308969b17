"""Makes what a pretraining run starts from: tokenizer, first weights, the corpus as pieces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from mirror.disk_faults import disk_faults
from mirror.paths import local_path
from mirror.pretraining.config import PretrainingSettings
from mirror.pretraining.dataset import write_token_corpus
from mirror.pretraining.first_model import new_model
from mirror.pretraining.objective import masked_head
from mirror.pretraining.texts import read_texts
from mirror.pretraining.tokenizer import train_wordpiece
from mirror.progress import OnProgress, no_progress


def write_pieces(
    settings: PretrainingSettings, out: Path, on_progress: OnProgress = no_progress
) -> Mapping[str, Any]:
    """Writes `start/` and the pieces to `out`; the corpus is read once for each pass.

    Returns:
        Counts of pieces, paragraphs, sentences and the vocabulary.

    Raises:
        CorpusError: the corpus holds no text.
        TokenizerError: it is too little for a vocabulary.
        BaseModelError: the base has no masked-language head that is known here.
        OSError: the folder cannot be written.
    """
    if settings.base is None:
        tokenizer = _new_tokenizer(settings, on_progress)
        corpus = write_token_corpus(read_texts(settings, on_progress), tokenizer, out)
        model = new_model(settings, tokenizer, corpus)
    else:
        # the base first: encoding the corpus takes long
        tokenizer, model = _read_base(local_path(settings.base, Path.is_dir))
        corpus = write_token_corpus(read_texts(settings, on_progress), tokenizer, out)
    with disk_faults():
        model.float().save_pretrained(out / "start")
    tokenizer.save_pretrained(out / "start")
    return {
        "pieces": corpus.size,
        "paragraphs": len(corpus.paragraph_starts) - 1,
        "sentences": len(corpus.sentence_starts) - 1,
        "vocabulary": len(tokenizer),
    }


def _new_tokenizer(
    settings: PretrainingSettings, on_progress: OnProgress
) -> PreTrainedTokenizerBase:
    shape = settings.shape
    return train_wordpiece(
        read_texts(settings, on_progress),
        size=shape.vocabulary_size,
        lowercase=shape.lowercase,
        max_tokens=shape.max_tokens,
    )


def _read_base(folder: Path) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    model = AutoModelForMaskedLM.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, trust_remote_code=False
    )
    masked_head(model)
    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    return tokenizer, model
