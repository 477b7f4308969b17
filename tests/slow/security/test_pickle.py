"""Nothing pickled is read, copied, kept or registered, wherever it is put.

That a base with only pickled weights is refused by name is in
`tests/unit/mirror/encoders/test_base_model.py`.
"""

from __future__ import annotations

import io
import json
import pickletools
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mirror.checkpoint import load_checkpoint, save_checkpoint
from mirror.corpus.sources import check_sources, read_documents
from mirror.encoders.base_model import base_digest, check_base
from mirror.encoders.encoder import Encoder
from mirror.errors import BaseModelError, BenchmarkError, CorpusError, MirrorError
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.scored_pairs import load_pairs
from mirror.export.sentence_transformers import copy_encoder
from mirror.hashing import folder_digest
from mirror.pretraining.dataset import read_token_corpus
from mirror.recipe import read_recipe
from mirror.tuning.training_log import TrainingState
from tests.fixtures.security import HostileRun, Payload

USUAL = (
    *("pytorch_model.bin", "model.bin", "training_args.bin", "optimizer.pt", "scheduler.pt"),
    *("rng_state.pth", "tokenizer.pkl", "vocab.pkl", "adapter_model.bin", "model.joblib"),
    *("tf_model.h5", "python_model.pkl", "1_Pooling/pooling.pkl", "2_Dense/pytorch_model.bin"),
)
"""Files in a model's folder in which libraries store pickles."""


def is_pickle(content: bytes) -> bool:
    """Return whether bytes are a pickle, torch's archive of one, or NumPy's of objects."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return any(is_pickle(archive.read(name)) for name in archive.namelist())
    if content.startswith(b"\x93NUMPY"):
        return b"'|O'" in content[:200]
    try:
        return len([*pickletools.genops(content)]) > 1
    except Exception:
        return False


def torch_archive(payload: Payload) -> bytes:
    """A file whose code `torch.load` would run without `weights_only`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", payload.pickled)
        archive.writestr("archive/version", "3\n")
    return packed.getvalue()


def objects(payload: Payload) -> bytes:
    """NumPy's file of an array of objects."""
    packed = io.BytesIO()
    np.save(packed, np.array([payload], dtype=object), allow_pickle=True)
    return packed.getvalue()


@pytest.fixture(params=[lambda payload: payload.pickled, torch_archive, objects])
def poison(request: pytest.FixtureRequest, payload: Payload) -> bytes:
    content = bytes(request.param(payload))
    assert is_pickle(content)
    return content


def test_pickles_beside_a_sound_model_are_not_touched(
    base: Path, payload: Payload, tmp_path: Path
) -> None:
    clean = Encoder.load(base, "mean").encode(["the baker sells"])
    digest = base_digest(base)
    for name in USUAL:
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_bytes(torch_archive(payload) if "." in name else payload.pickled)
    check_base(base)
    encoder = Encoder.load(base, "mean")
    np.testing.assert_array_equal(encoder.encode(["the baker sells"]), clean)
    encoder.save(tmp_path / "saved")
    copy_encoder(base, tmp_path / "copied")
    assert base_digest(base) == digest
    names = {path.name for path in (*tmp_path.glob("saved/**/*"), *tmp_path.glob("copied/**/*"))}
    assert names.isdisjoint(Path(name).name for name in USUAL)
    assert not payload.was_executed()


def test_weights_that_are_a_pickle_by_another_name_are_refused(
    base: Path, payload: Payload, poison: bytes
) -> None:
    (base / "model.safetensors").write_bytes(poison)
    for read in (check_base, lambda folder: Encoder.load(folder, "mean")):
        with pytest.raises(BaseModelError):
            read(base)
    assert not payload.was_executed()


def test_no_file_of_a_model_names_other_weights_than_those_that_were_checked(
    base: Path, payload: Payload, edit: Callable[..., None], tmp_path: Path
) -> None:
    """transformers would read them in place of model.safetensors, and no digest would show it."""
    (base / "evil.bin").write_bytes(torch_archive(payload))
    whole = tmp_path / "whole"
    for file, keys, why in (
        ("config.json", {"transformers_weights": "evil.bin"}, "other weights"),
        ("adapter_config.json", {"base_model_name_or_path": str(tmp_path)}, "other weights"),
    ):
        shutil.rmtree(whole, ignore_errors=True)
        shutil.copytree(base, whole)
        edit(whole / file, **keys)
        for read in (check_base, lambda folder: Encoder.load(folder, "mean")):
            with pytest.raises(BaseModelError, match=why):
                read(whole)
    assert not payload.was_executed()


@pytest.mark.parametrize(
    "place", ["evil.bin", "../outside.safetensors", "{tmp}/outside.safetensors"]
)
def test_an_index_of_weights_leads_to_no_pickle_and_nowhere_else(
    place: str, base: Path, payload: Payload, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.safetensors"
    (base / "model.safetensors").rename(outside)
    (base / "evil.bin").write_bytes(torch_archive(payload))
    places = {"bert.embeddings.word_embeddings.weight": place.format(tmp=tmp_path)}
    index = {"metadata": {}, "weight_map": places}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(BaseModelError, match=r"is truncated|which is elsewhere"):
        check_base(base)
    assert not payload.was_executed()


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
def test_a_checkpoint_swapped_for_a_pickle_is_left_aside(
    name: str, tmp_path: Path, payload: Payload, poison: bytes
) -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    save_checkpoint(tmp_path, model, optimizer, TrainingState(step=3))
    assert load_checkpoint(tmp_path, model, optimizer, TrainingState) == TrainingState(step=3)
    (tmp_path / "checkpoint-00000003" / name).write_bytes(poison)
    assert load_checkpoint(tmp_path, model, optimizer, TrainingState) is None
    assert not payload.was_executed()


def test_arrays_of_a_token_corpus_hold_no_objects(tmp_path: Path, payload: Payload) -> None:
    (tmp_path / "pieces.json").write_text('{"dtype": "uint16", "size": 2}')
    (tmp_path / "pieces.bin").write_bytes(bytes(4))
    for name in ("paragraphs.npy", "sentences.npy"):
        (tmp_path / name).write_bytes(objects(payload))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_token_corpus(tmp_path)
    assert not payload.was_executed()


@pytest.mark.parametrize("ending", ["txt", "jsonl", "csv", "tsv", "parquet"])
def test_text_that_is_a_pickle_is_no_text(
    ending: str, write_recipe: Callable[..., Path], tmp_path: Path, payload: Payload, poison: bytes
) -> None:
    text = tmp_path / f"words.{ending}"
    text.write_bytes(poison)
    recipe = read_recipe(write_recipe(tmp_path / "recipe", text=str(text)))
    with pytest.raises(CorpusError):
        check_sources(recipe)
    with pytest.raises(CorpusError):
        list(read_documents(recipe))
    assert not payload.was_executed()


def test_a_data_set_of_pickles_or_with_a_script_is_not_read(
    write_recipe: Callable[..., Path], tmp_path: Path, payload: Payload
) -> None:
    pytest.importorskip("datasets")
    folder = tmp_path / "words"
    folder.mkdir()
    (folder / "words.py").write_text(payload.code)
    (folder / "train.pkl").write_bytes(payload.pickled)
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files: '*'\n---\n"
    )
    recipe = write_recipe(tmp_path / "recipe")
    toml = recipe.read_text().replace('source = "files"', f'source = "hub"\ndataset = "{folder}"')
    recipe.write_text("".join(line for line in toml.splitlines(True) if "paths =" not in line))
    with pytest.raises(MirrorError):
        list(read_documents(read_recipe(recipe)))
    assert not payload.was_executed()


def test_a_benchmark_that_is_a_pickle_is_no_table(
    tmp_path: Path, payload: Payload, poison: bytes
) -> None:
    (tmp_path / "own.tsv").write_bytes(poison)
    (tmp_path / "own.toml").write_text('task = "similarity"\nfile = "own.tsv"\n')
    with pytest.raises(BenchmarkError):
        load_pairs(read_definition(str(tmp_path / "own.toml")))
    assert not payload.was_executed()


def test_a_whole_run_leaves_no_pickle_anywhere(hostile_run: HostileRun) -> None:
    """Not in stages, registry, Prefect's storage or temporary files, under any name."""
    assert hostile_run.done.returncode == 0, hostile_run.done.stderr
    files = [path for path in hostile_run.folder.rglob("*") if path.is_file()]
    assert {"model.safetensors", "MLmodel", "prefect.db"} <= {path.name for path in files}
    assert [path for path in files if is_pickle(path.read_bytes())] == []


def test_the_search_for_pickles_finds_them(tmp_path: Path, encoders: list[Path]) -> None:
    torch.save(nn.Linear(1, 1).state_dict(), tmp_path / "weights")
    assert is_pickle((tmp_path / "weights").read_bytes())
    assert folder_digest(encoders[0])
    assert not is_pickle((encoders[0] / "model.safetensors").read_bytes())


def test_a_registered_model_names_no_pickle(hostile_run: HostileRun) -> None:
    models = [path.read_text() for path in hostile_run.home.rglob("MLmodel")]
    assert len(models) == 1
    loaded: Any = models[0]
    assert "loader_module: mlflow.sentence_transformers" in loaded
    assert "pickle" not in loaded
