from __future__ import annotations

import json
import math
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mirror import tuning
from mirror.contrastive import info_nce
from mirror.encoder import Encoder
from mirror.errors import SampleError, TokenizerError, TuningError
from mirror.store import file_digests
from mirror.tuning import Place, Run, tune
from mirror.tuning_settings import TuningSection
from mirror.tuning_step import TuningStep


def settings(**changes: Any) -> TuningSection:
    usual = {
        "temperature": 0.04,
        "mask_length": 5,
        "epochs": 2,
        "max_tokens": 20,
        "batch_size": 40,
        "learning_rate": 1e-3,
        "precision": "fp32",
    }
    return TuningSection(**{**usual, **changes})


@pytest.fixture
def place(tiny_base: Path, tmp_path: Path) -> Place:
    place = Place(tiny_base, tmp_path / "out", tmp_path / "work")
    place.out.mkdir()
    place.work.mkdir()
    return place


@pytest.fixture
def tuned(tiny_base: Path, tmp_path: Path, sentences: list[str]) -> Callable[..., dict[str, str]]:
    """Tunes in folders of its own and gives the digests of what came out."""

    def tune_once(**changes: Any) -> dict[str, str]:
        root = tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
        (root / "out").mkdir(parents=True)
        (root / "work").mkdir()
        tune(settings(**changes), sentences, Place(tiny_base, root / "out", root / "work"))
        return file_digests(root / "out")

    return tune_once


def test_tuning_lowers_the_loss_and_counts_what_it_did(place: Place, sentences: list[str]) -> None:
    steps: list[TuningStep] = []
    counts = tune(settings(epochs=3), sentences, place, steps.append)
    assert [step.step for step in steps] == list(range(1, 31))
    assert {step.total for step in steps} == {30}
    assert steps[-1].seconds_left == 0
    assert all(step.strings_per_second > 0 for step in steps)
    assert counts["steps"] == 30
    assert counts["strings"] == 400
    assert counts["masked_share"] == 1
    assert counts["first_loss"] == steps[0].loss
    assert counts["final_loss"] == steps[-1].loss < steps[0].loss
    assert counts["precision"] == "fp32"


def test_the_log_has_one_line_a_step_and_nothing_of_the_clock(
    place: Place, sentences: list[str]
) -> None:
    steps: list[TuningStep] = []
    tune(settings(), sentences, place, steps.append)
    lines = [json.loads(line) for line in (place.out / "steps.jsonl").read_text().splitlines()]
    assert lines == [{"step": s.step, "loss": s.loss, "rate": s.rate} for s in steps]


def test_the_same_seed_gives_the_same_bytes(tuned: Callable[..., dict[str, str]]) -> None:
    assert tuned() == tuned()


def test_the_same_seed_gives_the_same_bytes_in_bf16(tuned: Callable[..., dict[str, str]]) -> None:
    first = tuned(precision="bf16", epochs=1)
    assert first == tuned(precision="bf16", epochs=1)
    assert first != tuned(epochs=1)


def test_another_seed_gives_other_weights(tuned: Callable[..., dict[str, str]]) -> None:
    weights = "encoder/model.safetensors"
    assert tuned()[weights] != tuned(seed=43)[weights]


def test_how_often_checkpoints_are_written_changes_nothing(
    tuned: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = tuned()
    clock = iter(range(0, 10**9, 100))
    monkeypatch.setattr(tuning.time, "monotonic", lambda: next(clock))
    assert tuned(checkpoint_seconds=1) == rare


def test_a_step_is_one_adamw_step_on_the_loss_of_the_whole_batch(
    place: Place, sentences: list[str]
) -> None:
    run = Run(settings(dropout=0.0, mask_length=0, slice_tokens=64), sentences, place)
    batch = run.batch(range(40), 0)
    twin = Encoder.load(place.base, "mean", 20, dropout=0.0)
    twin.model.train()
    run.encoder.model.train()
    twin_optimizer = torch.optim.AdamW(twin.model.parameters(), lr=1e-3, weight_decay=0.01)
    for _ in range(2):
        run.take_step(batch)
        twin_optimizer.zero_grad()
        inputs = twin.tokenizer(sentences[:40], padding=True, return_tensors="pt")
        hidden, mask = twin.model(**inputs).last_hidden_state, inputs["attention_mask"][:, :, None]
        vectors = (hidden * mask).sum(1) / mask.sum(1)
        loss = info_nce(vectors, vectors, 0.04)
        loss.backward()
        twin_optimizer.step()
        assert run.advance.losses[-1] == pytest.approx(loss.item(), abs=1e-4)
    for ours, theirs in zip(run.encoder.model.parameters(), twin.model.parameters(), strict=True):
        # keys' biases have gradients of rounding alone, which AdamW blows up to its rate
        torch.testing.assert_close(ours, theirs, atol=2.1e-3, rtol=0)
    table = run.encoder.model.get_input_embeddings().weight
    torch.testing.assert_close(
        table, twin.model.get_input_embeddings().weight, atol=2e-5, rtol=1e-4
    )


def test_views_of_a_string_differ_by_dropout_and_mask(place: Place, sentences: list[str]) -> None:
    run = Run(settings(), sentences, place)
    batch = run.batch(range(40), 0)
    mask = run.encoder.tokenizer.mask_token_id
    assert all(row.count(mask) == 1 for row in batch.masked)
    assert not any(mask in row for row in batch.plain)
    assert batch.names.tolist() == list(range(40))


def test_strings_that_read_alike_to_the_model_share_a_name(
    place: Place, sentences: list[str]
) -> None:
    strings = [*sentences[:50], sentences[3].upper()]
    batch = Run(settings(), strings, place).batch([3, 50, 4], 0)
    assert batch.names.tolist() == [0, 0, 2]


def test_a_mask_cut_off_with_the_rest_does_not_count(place: Place, sentences: list[str]) -> None:
    counts = tune(settings(max_tokens=5, epochs=1), sentences, place)
    assert 0.05 < counts["masked_share"] < 0.7


def test_short_strings_are_not_masked_and_counted_so(place: Place, sentences: list[str]) -> None:
    strings = [*(text[:20] for text in sentences[::4]), *sentences[:200]]
    strings = list(dict.fromkeys(strings))
    counts = tune(settings(epochs=1, batch_size=len(strings)), strings, place)
    assert counts["masked_share"] == pytest.approx(200 / len(strings))


def test_the_rate_rises_over_the_warm_up_and_stays(place: Place, sentences: list[str]) -> None:
    steps: list[TuningStep] = []
    tune(settings(warmup_share=0.2), sentences, place, steps.append)
    expected = [0.25e-3, 0.5e-3, 0.75e-3, *[1e-3] * 17]
    assert [step.rate for step in steps] == pytest.approx(expected)


@pytest.mark.parametrize("strings", [[], ["one"] * 500, [f"string {n}" for n in range(39)]])
def test_too_few_different_strings_are_refused_before_anything_is_loaded(
    strings: list[str], place: Place
) -> None:
    nowhere = Place(place.base / "absent", place.out, place.work)
    with pytest.raises(SampleError, match=r"a batch takes 40.*tuning\.batch_size"):
        tune(settings(), strings, nowhere)
    assert not list(place.out.iterdir())


def test_masks_need_a_mask_token(place: Place, sentences: list[str], tmp_path: Path) -> None:
    base = Path(shutil.copytree(place.base, tmp_path / "base"))
    config = json.loads((base / "tokenizer_config.json").read_text())
    config.pop("mask_token")
    (base / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(TokenizerError, match=r"tuning\.mask_length to 0"):
        tune(settings(), sentences, Place(base, place.out, place.work))
    counts = tune(settings(mask_length=0, epochs=1), sentences, Place(base, place.out, place.work))
    assert counts["masked_share"] == 0


def test_a_loss_that_is_no_number_stops_the_run(
    place: Place, sentences: list[str], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    base = Path(shutil.copytree(place.base, tmp_path / "base"))
    tensors = load_file(base / "model.safetensors")
    tensors["bert.embeddings.LayerNorm.weight"][3] = math.nan
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TuningError, match=r"loss is nan at step 1 of 20.*learning_rate"):
        tune(settings(), sentences, Place(base, place.out, place.work))


def test_collapsed_vectors_stop_the_run(
    place: Place, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Encoder,
        "vectors",
        lambda self, rows, _: self.model.embeddings.LayerNorm.bias.expand(len(rows), -1) + 1.0,
    )
    with pytest.raises(TuningError, match=r"collapsed at step 26 of 40.*mean cosine is 1\.0"):
        tune(settings(epochs=4), sentences, place)


def test_a_full_disk_is_an_error_of_the_system(place: Place, sentences: list[str]) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"(?i)large"):
            tune(settings(epochs=1), sentences, place)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.gpu
def test_a_gpu_tunes_to_the_same_bytes_each_time(tuned: Callable[..., dict[str, str]]) -> None:
    assert torch.cuda.is_available()
    assert tuned(precision="auto") == tuned(precision="auto")


def test_tuning_drives_strings_apart_and_keeps_views_together(
    place: Place, sentences: list[str]
) -> None:
    def margin(encoder: Encoder) -> float:
        """How much nearer a string is to itself without its last words than to others."""
        whole = encoder.encode(sentences)
        part = encoder.encode([text.rsplit(" ", 3)[0] for text in sentences])
        whole /= np.linalg.norm(whole, axis=1, keepdims=True)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
        cosines = whole @ part.T
        return float(np.diag(cosines).mean() - cosines.mean())

    tune(settings(epochs=5), sentences, place)
    before = margin(Encoder.load(place.base, "mean"))
    assert margin(Encoder.load(place.out / "encoder")) > 1.5 * before > 0
