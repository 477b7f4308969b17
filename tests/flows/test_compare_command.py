"""`mirror compare`, as users give it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flows.command import mirror
from flows.faults import run_guarded
from mirror.encoder import Encoder
from mirror.whitening import fit_whitening


def test_a_whitened_encoder_beside_the_same_without(
    tiny_base: Path, sentences: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = Encoder.load(tiny_base, "mean", 32)
    encoder.save(tmp_path / "plain")
    encoder.projection = fit_whitening(encoder.encode(sentences[:200]), 1.0)
    encoder.save(tmp_path / "white")
    (tmp_path / "texts.txt").write_text("".join(f"{line}\n" for line in sentences[:200]))

    def give(old: str, *more: str, code: int = 0) -> str:
        arguments = ("compare", str(tmp_path / old), str(tmp_path / "white"), *more)
        assert run_guarded(mirror, arguments) == code
        shown = capsys.readouterr()
        return shown.out if code == 0 else shown.err

    texts = ("--texts", str(tmp_path / "texts.txt"))
    places = ("--save-map", str(tmp_path / "map.npz"), "--out", str(tmp_path / "page.html"))
    same = give("white", *texts)
    assert "10 nearest by either encoder alone: 1.000 [1.000, 1.000] the same" in same
    assert "\nKeep\n" in same
    other = give("plain", *texts, *places)
    assert "as it is" in other and "rotated" in other
    assert "\nKeep\n" not in other
    assert np.load(tmp_path / "map.npz", allow_pickle=False)["turn"].shape == (32, 32)
    assert "What an index of old vectors gives" in (tmp_path / "page.html").read_text()
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    few = give("plain", "--texts", str(tmp_path / "few.txt"), code=1)
    assert "2 different texts are too few: give 60 or more" in few


def test_places_and_texts_are_looked_at_before_encoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path))
    for arguments, code, complaint in (
        (["--save-map", "map.pkl"], 1, "ends in neither .safetensors nor .npz"),
        (["--out", "page.md"], 1, "ends in .html"),
        ([], 1, "no run in"),
        (["--texts", "a", "--recipe", "b"], 2, "not both"),
        (["--texts", str(tmp_path / "none.txt")], 1, "cannot be read"),
    ):
        assert run_guarded(mirror, ["compare", "no-such", "no-such", *arguments]) == code
        assert complaint in capsys.readouterr().err
