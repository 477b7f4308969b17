"""`mirror compare`."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mirror.documents import TextRow
from mirror.encoders.embeddings_file import EmbeddingsOrigin
from mirror.encoders.encoder import Encoder
from mirror.encoders.encoder_ref import folder_encoder_digest
from mirror.encoders.fitted_layers import fit_whitening
from tests.fixtures.flows import Command


def test_a_plain_encoder_is_compared_with_its_whitened_copy(
    tiny_base: Path, sentences: list[str], tmp_path: Path, command: Command
) -> None:
    encoder = Encoder.load(tiny_base, "mean", 32)
    encoder.save(tmp_path / "plain")
    encoder.append_layer(fit_whitening(encoder.encode(sentences[:200]), 1.0))
    encoder.save(tmp_path / "white")
    (tmp_path / "texts.txt").write_text("".join(f"{line}\n" for line in sentences[:200]))

    compare = partial(command, "compare", tmp_path / "plain", tmp_path / "white", "--texts")
    outputs = ("--save-map", tmp_path / "map.npz", "--out", tmp_path / "page.html")
    output = compare(tmp_path / "texts.txt", *outputs)
    assert "unchanged" in output and "rotated" in output
    assert "\nKeep\n" not in output
    assert np.load(tmp_path / "map.npz", allow_pickle=False)["turn"].shape == (32, 32)
    assert "New queries on an index of old vectors" in (tmp_path / "page.html").read_text()
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    few = compare(tmp_path / "few.txt", code=1)
    assert "2 different texts are too few: give 60 or more" in few


def test_options_are_checked_before_encoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path))
    for arguments, code, message in (
        (["--save-map", "map.pkl"], 1, "ends in neither .safetensors nor .npz"),
        (["--out", "page.md"], 1, "ends in neither .html nor .htm"),
        ([], 1, "no encoder at no-such"),
        (["--texts", "a", "--recipe", "b"], 2, "not both"),
    ):
        assert message in command("compare", "no-such", "no-such", *arguments, code=code)


def test_encoders_are_checked_before_texts_and_must_differ(
    tiny_base: Path,
    sentences: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
) -> None:
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / "home"))
    first, twin, other = (str(tmp_path / name) for name in ("first", "twin", "other"))
    Encoder.load(tiny_base, "mean", 32).save(Path(first))
    shutil.copytree(first, twin)
    Encoder.load(tiny_base, "cls", 32).save(Path(other))
    lines = tmp_path / "texts.txt"
    lines.write_text("".join(f"{line}\n" for line in sentences[:200]))

    compare = partial(command, "compare", code=1)
    assert "no encoder at no-such" in compare(first, "no-such")
    for same in (first, twin):
        assert "OLD and NEW are the same encoder: name two different" in compare(first, same)
    assert "are the same" in compare(str(tiny_base), str(tiny_base), "--pooling", "cls")
    assert "no workspace at" in compare(first, other)
    assert "cannot be read" in compare(first, other, "--texts", str(tmp_path / "none.txt"))
    shorter = compare(first, twin, "--texts", str(lines), "--max-tokens", "31", code=0)
    assert "\nKeep\n" in shorter


def test_stored_vectors_are_compared_by_their_texts(
    tiny_base: Path, sentences: list[str], tmp_path: Path, command: Command
) -> None:
    from mirror.encoders.write_embeddings import write_embeddings

    rows = [TextRow(str(number), text) for number, text in enumerate(sentences[:120])]
    for pooling, texts in (("mean", rows[:100]), ("cls", rows[20:])):
        encoder = Encoder.load(tiny_base, pooling, 32)
        encoder.save(tmp_path / pooling)
        digest = folder_encoder_digest(tmp_path / pooling)
        origin = EmbeddingsOrigin(pooling, "1", digest, encoder.dimension)
        write_embeddings(encoder, texts, tmp_path / f"{pooling}.parquet", origin)
    (tmp_path / "texts.txt").write_text("".join(f"{line}\n" for line in sentences[:120]))

    def compare(*arguments: str, code: int = 0) -> str:
        inside = (tmp_path / each if "." in each or each == "cls" else each for each in arguments)
        return command("compare", *inside, code=code)

    assert "unchanged" in compare("mean.parquet", "cls.parquet")
    assert "unchanged" in compare("mean.parquet", "cls", "--texts", "texts.txt")
    (tmp_path / "others.txt").write_text("no such text\n")
    others = compare("mean.parquet", "cls", "--texts", "others.txt", code=1)
    assert "no text has a vector in" in others
    same = compare("mean.parquet", "mean.parquet", code=1)
    assert "OLD and NEW are the same encoder" in same
    assert "are the same encoder" in compare("cls.parquet", "cls", "--texts", "texts.txt", code=1)
    assert "cosines between them mean nothing" in compare("*.parquet", "cls", code=1)
