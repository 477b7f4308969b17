"""Strings and bases of the speed benchmarks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from mirror.corpus.ingest import ingest_corpus
from mirror.recipe import find_recipe, parse_recipe
from mirror.sampling.sample import sample_strings
from mirror.store import Store

MAIN_JOB = "en-python-docs"


def read_texts(path: Path | None, count: int, workspace: Path) -> list[str]:
    """Return the first `count` different strings of a file, or of the main job's sample.

    Args:
        path: lines of text, or Parquet with a column `text`; None for the main job's sample.
        count: number of strings.
        workspace: where the main job's corpus is made, for `path` None.
    """
    if path is None:
        texts = _main_job(count, workspace)
    elif path.suffix == ".parquet":
        texts = pq.read_table(path, columns=["text"])["text"].to_pylist()
    else:
        texts = path.read_text(encoding="utf-8").splitlines()
    different = list(dict.fromkeys(text.strip() for text in texts if text.strip()))[:count]
    if len(different) < count:
        raise SystemExit(
            f"{path or MAIN_JOB} has {len(different)} different strings, but {count} are needed: "
            "give --texts a larger file"
        )
    return different


def write_texts(texts: Sequence[str], folder: Path) -> str:
    """Write strings as JSON for the sides, and return the file's path."""
    path = folder / "texts.json"
    path.write_text(json.dumps(texts), encoding="utf-8")
    return str(path)


def _main_job(count: int, workspace: Path) -> list[str]:
    content = find_recipe(MAIN_JOB).model_dump(mode="json")
    content["sample"]["size"] = max(count, int(content["tuning"]["batch_size"]))
    recipe, store = parse_recipe(content, name=MAIN_JOB, source="bench"), Store(workspace)
    drawn = sample_strings(recipe, ingest_corpus(recipe, store), store)
    texts: list[str] = pq.read_table(drawn.path / "strings.parquet")["text"].to_pylist()
    return texts


def random_base(tokenizer: Path, layers: int, width: int, folder: Path) -> Path:
    """Make a BERT of random weights, with heads of 64 numbers and another model's tokenizer."""
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
