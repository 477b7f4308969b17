"""`mirror export`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mirror.encoders.encoder import Encoder
from tests.fixtures.flows import Command


@pytest.fixture(scope="module")
def encoder_folder(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a saved encoder."""
    folder = tmp_path_factory.mktemp("encoders") / "encoder"
    Encoder.load(tiny_base, "mean", 24).save(folder)
    return folder


def test_sentence_transformers_copies_the_encoder(
    encoder_folder: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "out"
    command("export", encoder_folder, "--format", "sentence-transformers", "--out", out)
    assert (out / "model.safetensors").read_bytes() == (
        encoder_folder / "model.safetensors"
    ).read_bytes()


def test_word_vectors_are_those_of_the_words_in_the_file(
    encoder_folder: Path, tmp_path: Path, command: Command
) -> None:
    words, out = tmp_path / "words.txt", tmp_path / "out"
    words.write_text("baker\nmirror\n")
    options = ("--format", "word-vectors", "--words", words, "--out", out)
    command("export", encoder_folder, *options)
    vectors = load_file(out / "vectors.safetensors")["vectors"]
    expected = Encoder.load(encoder_folder).encode(["baker", "mirror"])
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_an_existing_folder_is_refused(
    encoder_folder: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "mine").write_text("mine")
    options = ("--format", "sentence-transformers", "--out", tmp_path)
    assert "exists already" in command("export", encoder_folder, *options, code=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "word-vectors"], "either --words FILE or --recipe NAME"),
        (["--format", "word-vectors", "--words", "w", "--recipe", "r"], "either --words FILE or"),
        (["--format", "word-vectors", "--words", "w", "--limit", "5"], "--limit needs --recipe"),
        (["--format", "onnx", "--recipe", "r"], "need --format word-vectors"),
        (["--format", "pickle"], "is not one of"),
    ],
)
def test_contradicting_options_are_refused(
    options: list[str], message: str, tmp_path: Path, command: Command
) -> None:
    assert message in command("export", "encoder", *options, "--out", tmp_path / "out", code=2)
