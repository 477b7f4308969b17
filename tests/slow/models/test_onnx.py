"""ONNX graphs that give the encoder's own vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from mirror.encoders.encoder import Encoder
from mirror.encoders.fitted_layers import fit_whitening
from mirror.encoders.sif_weights import inverse_frequencies
from mirror.errors import BaseModelError, InputError
from mirror.evaluation.metrics import unit_rows
from mirror.export import onnx
from mirror.export.onnx import OnnxEncoder, export_onnx
from mirror.tuning_config import Pooling

POOLINGS = [name for name in get_args(Pooling) if name != "mean-with-padding"]


@pytest.fixture
def _extra() -> None:
    """Skip where the extra `onnx` is not installed, which `make test` installs."""
    for name in onnx.NEEDED:
        pytest.importorskip(name)


def exported(folder: Path, place: Path, pooling: Pooling | None) -> tuple[Encoder, OnnxEncoder]:
    encoder = Encoder.load(folder, pooling, 24)
    assert export_onnx(encoder, folder, place) <= 1e-5
    return encoder, OnnxEncoder(place)


@pytest.mark.usefixtures("_extra")
def test_every_kind_of_model_gives_equal_vectors(
    any_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    encoder, graph = exported(any_base, tmp_path / "onnx", "cls")
    for texts in (sentences[:9], sentences[:1], ["a <pad> b", "the [PAD] of it <pad>"]):
        expected, given = (unit_rows(each.encode(texts)) for each in (encoder, graph))
        np.testing.assert_allclose(given, expected, atol=1e-5)


@pytest.mark.usefixtures("_extra")
@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_is_part_of_the_graph(
    tiny_base: Path, sentences: list[str], tmp_path: Path, pooling: Pooling
) -> None:
    encoder, graph = exported(tiny_base, tmp_path / "onnx", pooling)
    texts = [*sentences[:3], "the mirror", " ".join(sentences[:9])]
    np.testing.assert_allclose(graph.encode(texts), encoder.encode(texts), atol=1e-5)
    settings = json.loads((tmp_path / "onnx" / "encoder.json").read_text())
    assert (settings["pooling"], settings["max_tokens"]) == (pooling, 24)
    assert settings["normalised"] is False
    names = {path.name for path in (tmp_path / "onnx").iterdir()}
    assert names == {"model.onnx", "tokenizer.json", "encoder.json"}


@pytest.mark.usefixtures("_extra")
def test_a_last_layer_token_weights_and_a_prompt_are_part_of_it(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    encoder = Encoder.load(tiny_base, "mean", 32, prompt="the [X] is not")
    rows = encoder.token_ids(sentences[:64])
    encoder.token_weights = inverse_frequencies(rows, encoder.model.config.vocab_size)
    encoder.append_layer(fit_whitening(encoder.encode(sentences[:64]), 0.25))
    encoder.save(tmp_path / "encoder")
    loaded, graph = exported(tmp_path / "encoder", tmp_path / "onnx", None)
    assert len(loaded.head) == 1
    assert loaded.token_weights is not None
    np.testing.assert_allclose(graph.encode(sentences[:5]), loaded.encode(sentences[:5]), atol=1e-5)


@pytest.mark.usefixtures("_extra")
def test_the_modules_of_an_encoder_are_part_of_it(
    save_encoder: Callable[..., Path], cased_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    prompts = {"prompts": {"query": "the red "}, "default_prompt_name": "query"}
    folder = save_encoder(Dense(32, 8), Normalize(), base=cased_base, max_seq_length=24, **prompts)
    path = folder / "sentence_bert_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_lower_case": True}))
    assert export_onnx(Encoder.load(folder), folder, tmp_path / "onnx") <= 1e-5
    texts = ["The BAKER sells one mirror", *sentences[:5]]
    theirs = SentenceTransformer(str(folder), device="cpu").encode(texts)
    np.testing.assert_allclose(OnnxEncoder(tmp_path / "onnx").encode(texts), theirs, atol=1e-5)
    settings = json.loads((tmp_path / "onnx" / "encoder.json").read_text())
    assert (settings["width"], settings["normalised"]) == (8, True)
    assert settings["prompt"] == "the red "


@pytest.mark.usefixtures("_extra")
def test_a_graph_that_differs_is_not_written(tiny_base: Path, tmp_path: Path) -> None:
    encoder = Encoder.load(tiny_base, "mean", 24)
    encoder.model.embeddings.word_embeddings.weight.data.mul_(1.5)  # the folder's is another model
    with pytest.raises(BaseModelError, match="gives vectors that differ by"):
        export_onnx(encoder, tiny_base, tmp_path / "onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_mean_over_padding_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    for name in onnx.NEEDED:
        pytest.importorskip(name)
    with pytest.raises(BaseModelError, match="mean-with-padding"):
        export_onnx(Encoder.load(tiny_base, "mean-with-padding", 24), tiny_base, tmp_path / "onnx")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "NEEDED", ("onnx_that_nobody_has",))
    with pytest.raises(InputError, match=r"pip install .*\[onnx\]"):
        onnx.check_onnx()


@pytest.mark.usefixtures("_extra")
def test_the_command_prints_the_difference(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "encoder", tmp_path / "out"
    Encoder.load(tiny_base, "mean", 24).save(folder)
    arguments = ["export", str(folder), "--format", "onnx", "--out", str(out)]
    assert run_guarded(mirror, arguments) == 0
    assert "differ from those of sentence-transformers by" in capsys.readouterr().err
    assert (out / "model.onnx").is_file()
