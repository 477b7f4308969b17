"""Strings, documents and bases of the speed benchmarks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from mirror.corpus.ingest import ingest_corpus
from mirror.recipe import find_recipe, parse_recipe
from mirror.sampling.sample import sample_strings
from mirror.store import Store
from mirror.tuning.items import ItemFiles, read_items

MAIN_JOB = "en-python-docs"


def read_texts(path: Path | None, count: int, workspace: Path) -> list[str]:
    """Return the first `count` different strings of a file, or of the main job's sample.

    Args:
        path: lines of text, or Parquet with a column `text`; None for the main job's sample.
        count: number of strings.
        workspace: where the main job's corpus is made, for `path` None.
    """
    if path is None:
        texts = pq.read_table(_main_job(count, workspace) / "strings.parquet")["text"].to_pylist()
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


def read_documents(path: Path | None, count: int, workspace: Path) -> list[list[str]]:
    """Return the sentences of the first `count` documents of two sentences or more.

    Args:
        path: JSON, a list of lists of sentences; None for the main job's sample.
        count: number of documents.
        workspace: as in `read_texts`.
    """
    if path is None:
        sample = _main_job(count, workspace)
        items = read_items(ItemFiles(sample / "strings.parquet", sample / "titles.parquet"))
        documents = [list(item.texts) for item in items]
    else:
        documents = json.loads(path.read_text(encoding="utf-8"))
    chosen = [sentences for sentences in documents if len(sentences) > 1][:count]
    if len(chosen) < count:
        raise SystemExit(
            f"{path or MAIN_JOB} has {len(chosen)} documents of several sentences, but {count} are "
            "needed: give --documents a larger file"
        )
    return chosen


def write_texts(texts: Sequence[str] | Sequence[list[str]], folder: Path) -> str:
    """Write strings or documents as JSON for the sides, and return the file's path."""
    path = folder / "texts.json"
    path.write_text(json.dumps(texts), encoding="utf-8")
    return str(path)


def _main_job(count: int, workspace: Path) -> Path:
    """Return the folder of the main job's sample of at least `count` documents."""
    content = find_recipe(MAIN_JOB).model_dump(mode="json")
    content["sample"]["size"] = max(count, int(content["tuning"]["batch_size"]))
    recipe, store = parse_recipe(content, name=MAIN_JOB, source="bench"), Store(workspace)
    return sample_strings(recipe, ingest_corpus(recipe, store), store).path


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
