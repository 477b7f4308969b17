"""References to encoders."""

from __future__ import annotations

from pathlib import Path

from mirror.encoders.encoder_ref import (
    EncoderRef,
    folder_encoder_digest,
    tuned_encoder,
    untuned_encoder,
)
from mirror.store import Stage, Store
from mirror.tuning_config import TuningSection
from mirror.tuning_defaults import fill_tuning


def write_encoder(folder: Path, card: str = "a card\n") -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "README.md").write_text(card)
    return folder


def test_the_model_card_is_not_part_of_the_digest(tmp_path: Path) -> None:
    encoder = write_encoder(tmp_path / "encoder")
    before = folder_encoder_digest(encoder)
    (encoder / "README.md").write_text("another card\n")
    assert folder_encoder_digest(encoder) == before
    (encoder / "model.safetensors").write_bytes(b"Weights")
    assert folder_encoder_digest(encoder) != before


def test_a_tuned_encoders_digest_comes_from_the_manifest(tmp_path: Path) -> None:
    def write(out: Path, work: Path) -> dict[str, int]:
        write_encoder(out / "encoder")
        (out / "steps.jsonl").write_text("{}")
        return {}

    record = Store(tmp_path).make(Stage("tune", "store", {}, {}), write)
    encoder = tuned_encoder(record)
    assert encoder.digest == folder_encoder_digest(record.path / "encoder")
    assert (encoder.folder, encoder.label) == (str(record.path / "encoder"), "tuned")


def test_an_untuned_encoder_has_the_recipes_pooling_and_max_tokens() -> None:
    tuning = TuningSection(**fill_tuning("sentence", {"pooling": "mean"}))
    base = EncoderRef("folder", "digest", "models/tiny")
    assert untuned_encoder(base, tuning) == EncoderRef(
        "folder", "digest", "models/tiny", pooling="mean", max_tokens=tuning.encoder_tokens
    )
