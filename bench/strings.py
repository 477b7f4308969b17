"""The strings and bases that the speed benchmarks run on."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from mirror.corpus.ingest import ingest_corpus
from mirror.recipe import find_recipe, parse_recipe
from mirror.sampling.sample import sample_strings
from mirror.store import Store

MAIN_JOB = "en-python-docs"


def read_texts(place: Path | None, count: int, workspace: Path) -> list[str]:
    """The first `count` different strings of a file, or else of the main job's sample.

    Args:
        place: a line each, or Parquet with a column `text`.
        count: how many.
        workspace: where the main job's corpus is made, if no file is named.
    """
    if place is None:
        texts = _main_job(count, workspace)
    elif place.suffix == ".parquet":
        texts = pq.read_table(place, columns=["text"])["text"].to_pylist()
    else:
        texts = place.read_text(encoding="utf-8").splitlines()
    different = list(dict.fromkeys(text.strip() for text in texts if text.strip()))[:count]
    if len(different) < count:
        raise SystemExit(f"{place} has {len(different)} different strings; {count} are wanted")
    return different


def _main_job(count: int, workspace: Path) -> list[str]:
    content = find_recipe(MAIN_JOB).model_dump(mode="json")
    content["sample"]["size"] = max(count, int(content["tuning"]["batch_size"]))
    recipe, store = parse_recipe(content, name=MAIN_JOB, place="bench"), Store(workspace)
    drawn = sample_strings(recipe, ingest_corpus(recipe, store), store)
    texts: list[str] = pq.read_table(drawn.path / "strings.parquet")["text"].to_pylist()
    return texts


def random_base(tokenizer: Path, layers: int, width: int, folder: Path) -> Path:
    """A BERT with random weights and another model's tokenizer, with heads of 64 numbers."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, BertConfig, BertForMaskedLM

    old = AutoConfig.from_pretrained(tokenizer, trust_remote_code=False)
    config = BertConfig(
        vocab_size=old.vocab_size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        intermediate_size=4 * width,
        max_position_embeddings=old.max_position_embeddings,
        pad_token_id=old.pad_token_id,
    )
    torch.manual_seed(0)
    BertForMaskedLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False).save_pretrained(folder)
    return folder
