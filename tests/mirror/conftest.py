"""A run that was never made: its stages' folders, with numbers of our choosing."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.encoders.architectures import ARCHITECTURES, set_dropout
from mirror.encoders.base_model import Base
from mirror.evidence.results import Results
from mirror.recipe import Recipe, parse_recipe
from mirror.store import MANIFEST, StageRecord, digest_of_json, file_digests

ITEMS = 120
QUERY = "<script>alert('first')</script> the baker & the miner"
RECIPE = {
    "language": "en",
    "domain": "trades",
    "level": "sentence",
    "corpus": {"source": "docstrings"},
    "base": {"path": "models/some-base"},
    "evaluation": {"benchmarks": ["likeness", "search"]},
    "registry": {"model": "mirror-en-trades"},
}
ROBERTA_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
}
SHAPES = {
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    "electra": {**SHAPE, "embedding_size": 16},
    "albert": {**SHAPE, "embedding_size": 16},
    "modernbert": {**SHAPE, "cls_token_id": 2, "sep_token_id": 3, "local_attention": 8},
}


@pytest.fixture(scope="session", params=list(ARCHITECTURES))
def any_base(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    write_tokenizer: Callable[..., dict[str, int]],
) -> Path:
    """A tiny masked language model of each architecture, dropout off in its configuration."""
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM

    kind = request.param
    folder = tmp_path_factory.mktemp("kinds") / kind
    roberta = ARCHITECTURES[kind] is ARCHITECTURES["roberta"]
    tokens = (ROBERTA_TOKENS,) if roberta else ()
    ids = write_tokenizer(folder, *tokens)
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(ids),
        pad_token_id=ids["<pad>" if roberta else "[PAD]"],
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.5,
        **SHAPES.get(kind, SHAPE),
    )
    set_dropout(config, 0.0)
    torch.manual_seed(1)
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture
def recipe() -> Recipe:
    """A recipe with two benchmarks."""
    return parse_recipe(dict(RECIPE), name="en-trades", place="a test")


@pytest.fixture
def write_stage(tmp_path: Path) -> Callable[..., StageRecord]:
    """Writes a stage's folder as if it had been made."""

    def write(name: str, counts: Mapping[str, Any], files: Mapping[str, Any]) -> StageRecord:
        folder = tmp_path / "made" / name
        folder.mkdir(parents=True)
        for file, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / file).write_text(text, encoding="utf-8")
        digest = digest_of_json([name, counts, files])
        manifest = {
            **{"name": name.split("-")[0], "key": digest[:20], "digest": digest},
            **{"module": name, "code": "c" * 64, "inputs": {}, "section": {}, "versions": {}},
            **{"python": "3.11.7", "files": file_digests(folder)},
        }
        (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        return StageRecord(name.split("-")[0], digest[:20], str(folder), digest, counts, 12.5)

    return write


@pytest.fixture
def results(recipe: Recipe, write_stage: Callable[..., StageRecord], tmp_path: Path) -> Results:
    """Better than its base on `likeness`; below BM25 on `search`."""
    base = tmp_path / "some-base"
    base.mkdir()
    (base / "README.md").write_text("---\nlanguage: en\nlicense: cc-by-4.0\n---\n# A base\n")
    corpus = {
        "rows_in": 500,
        "kept": 420,
        "rejected": {"duplicate": 70, "too_short": 10},
        "documents": 40,
        "passages": 12,
        "characters": 21_000,
    }
    sample = {
        "strings": 400,
        "available": 420,
        "by_source": {"a": 400},
        "lengths": [[20, 100], [40, 250], [60, 50]],
    }
    losses = [3.0, 2.0, 1.25]
    steps = "".join(
        json.dumps({"step": step, "loss": loss, "rate": 2e-5}) + "\n"
        for step, loss in enumerate(losses, 1)
    )
    tuned = {
        "steps": 3,
        "strings": 400,
        "first_loss": 3.0,
        "final_loss": 1.25,
        "masked_share": 0.875,
        "precision": "fp32",
        "device": "cpu",
        "threads": 1,
    }
    tune = write_stage("tune", tuned, {"steps.jsonl": steps})
    (tune.path / "encoder").mkdir()
    (tune.path / "encoder" / "config.json").write_text("{}")
    (tune.path / "encoder" / "model.safetensors").write_bytes(b"weights")
    return Results(
        recipe=recipe,
        base=Base(str(base), "b" * 64, "models/some-base"),
        corpus=write_stage("corpus", corpus, {}),
        sample=write_stage("sample", sample, {}),
        tuned=tune,
        before=_evaluation(write_stage, "before", noise=2.0, rank=0.25),
        after=_evaluation(write_stage, "after", noise=0.5, rank=0.4),
    )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which a server on this machine publishes it."""
    folder = tmp_path / "published"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _evaluation(
    write_stage: Callable[..., StageRecord], side: str, noise: float, rank: float
) -> StageRecord:
    from scipy.stats import spearmanr

    draw = np.random.default_rng(5)
    gold = draw.random(ITEMS)
    predicted = gold + noise * draw.random(ITEMS)
    likeness = float(spearmanr(gold, predicted).statistic)
    parts = {name: {"score": likeness, "n": ITEMS // 2} for name in ("north", "south")}
    scores = {
        "likeness": {
            "metric": "spearman",
            "score": likeness,
            "n": ITEMS,
            "subsets": parts,
            "beside": {},
        },
        "search": {
            "metric": "mrr",
            "score": rank,
            "n": ITEMS,
            "subsets": {},
            "beside": {"bm25": 0.5},
        },
    }
    looks = {
        "neighbours": [
            {
                "query": QUERY,
                "nearest": [["a miner in a valley", 0.75], [f"only {side} tuning", 0.5]],
            }
        ],
        "cosines": {"bins": [-1.0, 0.0, 0.5, 1.0], "counts": [10, 20, 30]},
        "mean_cosine": 0.5,
        "isotropy": 0.125,
        "mean_vector_norm": 3.5,
        "different": 1.0,
    }
    record = write_stage(
        f"evaluation-{side}",
        {"likeness": likeness, "search": rank},
        {"scores.json": scores, "looks.json": looks},
    )
    folder = record.path / "predictions"
    folder.mkdir()
    subsets = ["north", "south"] * (ITEMS // 2)
    _predictions(folder / "likeness.parquet", subsets, gold.tolist(), predicted.tolist())
    _predictions(folder / "search.parquet", [""] * ITEMS, [None] * ITEMS, [rank] * ITEMS)
    return record


def _predictions(
    path: Path, subsets: list[str], gold: list[float] | list[None], predicted: list[float]
) -> None:
    columns = {
        "item": pa.array(range(ITEMS), pa.int32()),
        "subset": pa.array(subsets, pa.string()),
        "gold": pa.array(gold, pa.float64()),
        "predicted": pa.array(predicted, pa.float64()),
    }
    pq.write_table(pa.table(columns), path)
