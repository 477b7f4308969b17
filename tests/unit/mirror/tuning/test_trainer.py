from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mirror.checkpoint import save_checkpoint
from mirror.encoders.encoder import Encoder
from mirror.errors import SampleError, TokenizerError, TuningError
from mirror.hashing import file_digests
from mirror.parallel import worker_threads
from mirror.tuning.items import DocumentItem, TextPair
from mirror.tuning.losses import info_nce
from mirror.tuning.trainer import Trainer, TrainingPaths, tune
from mirror.tuning.training_log import StepClock, TuningStep
from mirror.tuning.validation import ValidationSet, split_validation
from mirror.tuning_config import TuningSection
from tests.fixtures.bases import remove_mask_token
from tests.fixtures.full_disk import limited_file_size
from tests.fixtures.tuning import make_paths, short_tuning


def settings(**changes: Any) -> TuningSection:
    return short_tuning(**{"epochs": 2, **changes})


def items(texts: list[str]) -> list[TextPair]:
    """Return each text paired with itself."""
    return [TextPair(text, text) for text in texts]


@pytest.fixture
def paths(tiny_base: Path, tmp_path: Path) -> TrainingPaths:
    return make_paths(tiny_base, tmp_path)


@pytest.fixture
def tuned(tiny_base: Path, tmp_path: Path, sentences: list[str]) -> Callable[..., dict[str, str]]:
    """A function that tunes in new folders and returns the digests of the output files."""

    def tune_once(**changes: Any) -> dict[str, str]:
        paths = make_paths(tiny_base, tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}")
        tune(settings(**changes), sentences, paths)
        return file_digests(paths.out)

    return tune_once


def test_tuning_lowers_the_loss_and_returns_counts(
    paths: TrainingPaths, sentences: list[str]
) -> None:
    steps: list[TuningStep] = []
    counts = tune(settings(epochs=3), sentences, paths, steps.append)
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


def test_the_log_has_one_line_for_each_step_and_no_times(
    paths: TrainingPaths, sentences: list[str]
) -> None:
    steps: list[TuningStep] = []
    tune(settings(), sentences, paths, steps.append)
    lines = [json.loads(line) for line in (paths.out / "steps.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": s.step, "loss": s.loss, "learning_rate": s.learning_rate} for s in steps
    ]


def test_the_same_seed_gives_the_same_bytes(tuned: Callable[..., dict[str, str]]) -> None:
    assert tuned() == tuned()


def test_the_same_seed_gives_the_same_bytes_in_bf16(tuned: Callable[..., dict[str, str]]) -> None:
    first = tuned(precision="bf16", epochs=1)
    assert first == tuned(precision="bf16", epochs=1)
    assert first != tuned(epochs=1)


def test_another_seed_changes_the_weights(tuned: Callable[..., dict[str, str]]) -> None:
    weights = "encoder/model.safetensors"
    assert tuned()[weights] != tuned(seed=43)[weights]


def test_the_number_of_checkpoints_changes_no_byte(
    tuned: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = tuned()
    clock = iter(range(0, 10**9, 100))
    monkeypatch.setattr("mirror.tuning.training_log.time.monotonic", lambda: next(clock))
    assert tuned(checkpoint_seconds=1) == rare


def test_a_step_is_one_adamw_step_on_the_loss_of_the_whole_batch(
    paths: TrainingPaths, sentences: list[str]
) -> None:
    trainer = Trainer(settings(dropout=0.0, tokens_per_microbatch=64), items(sentences), paths)
    batch = trainer.views.batch(range(40), 0)
    batch = replace(batch, second=batch.first)
    twin = Encoder.load(paths.base, "mean", 20, dropout=0.0)
    twin.model.train()
    trainer.encoder.model.train()
    twin_optimizer = torch.optim.AdamW(twin.model.parameters(), lr=1e-3, weight_decay=0.01)
    for _ in range(2):
        trainer.take_step(batch)
        twin_optimizer.zero_grad()
        inputs = twin.tokenizer(sentences[:40], padding=True, return_tensors="pt")
        hidden, mask = twin.model(**inputs).last_hidden_state, inputs["attention_mask"][:, :, None]
        vectors = (hidden * mask).sum(1) / mask.sum(1)
        loss = info_nce(vectors, vectors, 0.04)
        loss.backward()
        twin_optimizer.step()
        assert trainer.state.losses[-1] == pytest.approx(loss.item(), abs=1e-4)
    for ours, theirs in zip(
        trainer.encoder.model.parameters(), twin.model.parameters(), strict=True
    ):
        # gradients of the keys' biases are rounding errors, which AdamW scales to its learning rate
        torch.testing.assert_close(ours, theirs, atol=2.1e-3, rtol=0)
    table = trainer.encoder.model.get_input_embeddings().weight
    torch.testing.assert_close(
        table, twin.model.get_input_embeddings().weight, atol=2e-5, rtol=1e-4
    )


def test_truncated_texts_and_masks_behind_the_cut_are_counted(
    paths: TrainingPaths, sentences: list[str]
) -> None:
    official = settings(max_tokens=5, epochs=1, masking="characters-paper")
    counts = tune(official, sentences, paths)
    assert 0.05 < counts["masked_share"] < 0.7
    assert counts["full_share"] == 1


def test_masked_share_excludes_short_strings(paths: TrainingPaths, sentences: list[str]) -> None:
    strings = [*(text[:20] for text in sentences[::4]), *sentences[:200]]
    strings = list(dict.fromkeys(strings))
    counts = tune(settings(epochs=1, batch_size=len(strings)), strings, paths)
    assert counts["masked_share"] == pytest.approx(200 / len(strings))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"warmup_ratio": 0.2}, [0.25e-3, 0.5e-3, 0.75e-3, *[1e-3] * 17]),
        (
            {"warmup_ratio": 0.1, "lr_scheduler": "linear"},
            [0.5e-3, 1e-3, *(1e-3 * (20 - step) / 18 for step in range(2, 20))],
        ),
    ],
    ids=["constant", "linear to zero"],
)
def test_the_learning_rate_rises_during_warm_up_and_then_follows_its_schedule(
    paths: TrainingPaths, sentences: list[str], schedule: dict[str, Any], expected: list[float]
) -> None:
    steps: list[TuningStep] = []
    tune(settings(**schedule), sentences, paths, steps.append)
    assert [step.learning_rate for step in steps] == pytest.approx(expected)


@pytest.mark.parametrize("strings", [[], ["one"] * 500, [f"string {n}" for n in range(39)]])
def test_too_few_different_strings_are_refused_before_the_base_is_loaded(
    strings: list[str], paths: TrainingPaths
) -> None:
    with pytest.raises(SampleError, match=r"a batch takes 40.*tuning\.batch_size"):
        tune(settings(), strings, replace(paths, base=paths.base / "absent"))
    assert not list(paths.out.iterdir())


def test_masking_needs_a_mask_token(paths: TrainingPaths, sentences: list[str], base: Path) -> None:
    remove_mask_token(base)
    paths = replace(paths, base=base)
    with pytest.raises(TokenizerError, match=r"tuning\.mask_length to 0"):
        tune(settings(), sentences, paths)
    counts = tune(settings(mask_length=0, epochs=1), sentences, paths)
    assert counts["masked_share"] == 0


@pytest.mark.case("c5")
def test_a_loss_that_is_not_finite_stops_the_run(
    paths: TrainingPaths, sentences: list[str]
) -> None:
    with pytest.raises(TuningError, match=r"loss is nan at step \d+ of 200.*learning_rate"):
        tune(settings(learning_rate=1e6, epochs=20), sentences, paths)


def test_collapsed_vectors_stop_the_run(
    paths: TrainingPaths, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Encoder,
        "forward",
        lambda self, embedded, *_: self.model.embeddings.LayerNorm.bias + 1.0 + 0 * embedded.sum(1),
    )
    with pytest.raises(TuningError, match=r"collapsed at step 26 of 40.*mean cosine is 1\.0"):
        tune(settings(epochs=4), sentences, paths)


def test_a_full_disk_is_an_os_error(paths: TrainingPaths, sentences: list[str]) -> None:
    with limited_file_size(20_000), pytest.raises(OSError, match=r"(?i)large"):
        tune(settings(epochs=1), sentences, paths)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_bytes_each_time(tuned: Callable[..., dict[str, str]]) -> None:
    assert torch.cuda.is_available()
    assert tuned(precision="auto") == tuned(precision="auto")


def test_tuning_separates_strings_more_than_their_views(
    paths: TrainingPaths, sentences: list[str]
) -> None:
    def margin(encoder: Encoder) -> float:
        """Return how much higher a string's cosine to its beginning is than to other strings'."""
        full = encoder.encode(sentences)
        beginning = encoder.encode([text.rsplit(" ", 3)[0] for text in sentences])
        full /= np.linalg.norm(full, axis=1, keepdims=True)
        beginning /= np.linalg.norm(beginning, axis=1, keepdims=True)
        cosines = full @ beginning.T
        return float(np.diag(cosines).mean() - cosines.mean())

    tune(settings(epochs=5), sentences, paths)
    before = margin(Encoder.load(paths.base, "mean"))
    assert margin(Encoder.load(paths.out / "encoder")) > 1.5 * before > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"augmentation": "drophead"},
        {"augmentation": "both"},
        {"augmentation": "none"},
        {"augmentation": "controlled", "mask_length": 0},
        {"loss": "decoupled"},
        {"loss": "multi-similarity"},
        {"duplicates": "negatives"},
        {"near_duplicates": 0.1},
        {"masking": "characters-paper"},
        {"masking": "words", "mask_length": 2},
        {"masking": "word-pieces", "mask_length": 2},
        {"projection_head": "linear"},
        {"projection_head": "mlp"},
        {"pooling": "mean-with-padding"},
        {"pooling": "first-last"},
        {"weighting": "inverse-frequency"},
        {"pooling": "cls"},
        {"batch_sampler": "length-bucketed"},
        {"lr_scheduler": "linear"},
    ],
    ids=str,
)
def test_each_setting_changes_the_weights_reproducibly(
    changes: dict[str, Any], tuned: Callable[..., dict[str, str]]
) -> None:
    weights = "encoder/model.safetensors"
    # The sentences have no duplicates, so that `duplicates` changes no weight.
    default = tuned(epochs=1)[weights]
    changed = tuned(epochs=1, **changes)[weights]
    if changes == {"duplicates": "negatives"}:
        assert changed == default
    else:
        assert changed != default
    assert tuned(epochs=1, **changes)[weights] == changed


def test_gradient_caching_gives_the_same_weights(
    paths: TrainingPaths, sentences: list[str], tmp_path: Path
) -> None:
    """With dropout, drophead and a projection head; only the order of sums differs."""
    options = {
        "augmentation": "both",
        "projection_head": "mlp",
        "tokens_per_microbatch": 100,
        "epochs": 1,
        "learning_rate": 1e-4,
    }
    results = []
    for caching in (False, True):
        out = make_paths(paths.base, tmp_path / f"caching-{caching}")
        counts = tune(settings(**options, gradient_caching=caching), sentences, out)
        results.append((counts["final_loss"], Encoder.load(out.out / "encoder")))
    (loss, encoder), (cached_loss, cached) = results
    assert cached_loss == pytest.approx(loss, abs=1e-4)
    raw = Encoder.load(paths.base, "mean").encode(sentences)
    plain, with_caching = encoder.encode(sentences), cached.encode(sentences)
    assert np.abs(plain - with_caching).max() < 0.05 * np.abs(plain - raw).max()


def test_without_augmentation_views_differ_only_by_masks(
    paths: TrainingPaths, sentences: list[str]
) -> None:
    trainer = Trainer(settings(augmentation="none"), items(sentences), paths)
    batch = trainer.views.batch(range(40), 0)
    trainer.encoder.model.train()
    output = trainer.train_step.forward_backward(replace(batch, second=batch.first), 3)
    same = torch.nn.functional.normalize(output.first, dim=-1)
    expected = info_nce(same, same, 0.04, batch.text_ids)
    assert output.loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert trainer.train_step.forward_backward(batch, 3).loss.item() > output.loss.item() + 1e-3


def test_controlled_dropout_drops_the_same_units_in_both_views(
    paths: TrainingPaths, sentences: list[str]
) -> None:
    """Equal views have equal vectors in each micro-batch; with ordinary dropout they differ."""
    for augmentation, equal in (("controlled", True), ("dropout", False)):
        chosen = settings(augmentation=augmentation, dropout=0.3, tokens_per_microbatch=150)
        trainer = Trainer(chosen, items(sentences), paths)
        trainer.encoder.model.train()
        batch = trainer.views.batch(range(40), 0)
        output = trainer.train_step.forward_backward(replace(batch, second=batch.first), 5)
        assert torch.equal(output.first, output.second) is equal
        assert not torch.equal(output.first, trainer.train_step.forward_backward(batch, 6).first)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "fp32"},
        {"precision": "bf16"},
        {"augmentation": "both", "gradient_caching": True},
        {"augmentation": "controlled", "pooling": "mean"},
    ],
)
def test_the_number_of_threads_changes_no_byte(
    tuned: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    digests = []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        digests.append(tuned(tokens_per_microbatch=150, epochs=1, **changes))
    assert digests[0] == digests[1] == digests[2]


def test_the_loss_in_bf16_is_near_that_in_fp32(paths: TrainingPaths, sentences: list[str]) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        trainer = Trainer(settings(precision=precision), items(sentences), paths)
        trainer.encoder.model.train()
        losses.append(
            trainer.train_step.forward_backward(trainer.views.batch(range(40), 0), 3).loss.item()
        )
    assert losses[1] != losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_the_projection_head_is_trained_and_not_saved(
    paths: TrainingPaths, sentences: list[str]
) -> None:
    trainer = Trainer(settings(projection_head="mlp"), items(sentences), paths)
    before = [weight.clone() for weight in trainer.train_step.objective.parameters()]
    trainer.encoder.model.train()
    trainer.take_step(trainer.views.batch(range(40), 0))
    after = list(trainer.train_step.objective.parameters())
    assert len(after) == 2
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    trainer.encoder.save(paths.out / "encoder")
    modules = json.loads((paths.out / "encoder" / "modules.json").read_text())
    assert [module["type"].rsplit(".")[-1] for module in modules] == ["Transformer", "Pooling"]


def test_a_run_with_a_projection_head_is_resumed_to_the_same_bytes(
    tuned: Callable[..., dict[str, str]], paths: TrainingPaths, sentences: list[str]
) -> None:
    changes = {"projection_head": "mlp", "augmentation": "both", "epochs": 1}
    uninterrupted = tuned(**changes)
    trainer = Trainer(settings(**changes), items(sentences), paths)
    trainer.encoder.model.train()
    with worker_threads(1) as threads:
        for indices in list(trainer.batch_indices(0))[:4]:
            trainer.take_step(trainer.views.batch(indices, 0), threads)
    save_checkpoint(paths.work, trainer.trained, trainer.optimizer, trainer.state)
    counts = tune(settings(**changes), sentences, paths)
    assert counts["steps"] == 10
    assert file_digests(paths.out) == uninterrupted


def test_the_saved_encoder_has_inference_max_tokens(
    paths: TrainingPaths, sentences: list[str]
) -> None:
    tune(settings(epochs=1, inference_max_tokens=25), sentences, paths)
    assert Encoder.load(paths.out / "encoder").settings.max_tokens == 25


def test_lowercase_is_used_and_saved(
    paths: TrainingPaths,
    sentences: list[str],
    vocabulary: dict[str, int],
    cased_base: Path,
    tmp_path: Path,
) -> None:
    texts = [text.upper() for text in sentences[:40]]
    ids = []
    for name, lowercase in (("lowercase", True), ("cased", False)):
        out = make_paths(cased_base, tmp_path / name)
        tune(settings(epochs=1, lowercase=lowercase), texts, out)
        ids.append(Encoder.load(out.out / "encoder").token_ids(texts[:1])[0])
    assert ids[0] == Encoder.load(paths.base, "cls").token_ids(sentences[:1])[0]
    assert vocabulary["[UNK]"] not in ids[0] and vocabulary["[UNK]"] in ids[1]


def test_centering_only_subtracts_the_mean(
    paths: TrainingPaths, sentences: list[str], tmp_path: Path
) -> None:
    tune(settings(epochs=1, center=True), sentences, paths)
    centred = Encoder.load(paths.out / "encoder").encode(sentences)
    assert np.abs(centred.mean(axis=0)).max() < 1e-4
    plain = make_paths(paths.base, tmp_path / "plain")
    tune(settings(epochs=1), sentences, plain)
    vectors = Encoder.load(plain.out / "encoder").encode(sentences)
    np.testing.assert_allclose(centred, vectors - vectors.mean(axis=0), atol=1e-4)


def test_labelled_pairs_become_more_similar(paths: TrainingPaths, sentences: list[str]) -> None:
    """Tuning raises the cosine of paired texts above that of others."""
    pairs = [TextPair(a, b) for a, b in zip(sentences[:40], sentences[40:80], strict=True)]

    def cosine(encoder: Encoder) -> float:
        first, second = (
            encoder.encode([getattr(pair, name) for pair in pairs]) for name in ("first", "second")
        )
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        others = (first * np.roll(second, 1, axis=0)).sum(1)
        return float(((first * second).sum(1) / norms - others / norms).mean())

    before = cosine(Encoder.load(paths.base, "mean", 20))
    counts = tune(settings(epochs=80, dropout=0.0), pairs, paths)
    assert counts["strings"] == 40
    assert cosine(Encoder.load(paths.out / "encoder")) > before + 0.1


@pytest.fixture
def documents(sentences: list[str]) -> list[DocumentItem]:
    """400 documents of three sentences."""
    count = len(sentences)
    return [
        DocumentItem((f"{text} {n}.", sentences[(n * 7 + 1) % count], f"{text} again."))
        for n, text in enumerate(sentences)
    ]


def document_settings(**changes: Any) -> TuningSection:
    usual = {"views": {"crops": 1.0}, "validation_documents": 30, "merge_shares": (0.5, 1.0)}
    return settings(**{**usual, **changes})


def test_the_checkpoint_that_finds_most_is_kept(
    paths: TrainingPaths, documents: list[DocumentItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    means = iter([0.7, 0.7, 0.3, 0.1])  # three validations, then the share of a half
    weights: list[torch.Tensor] = []

    def score(self: ValidationSet, encoder: Encoder) -> dict[str, float]:
        weights.append(next(encoder.model.parameters()).detach().clone())
        return {"crops": 0.0, "mean": next(means)}

    monkeypatch.setattr(ValidationSet, "score", score)
    counts = tune(document_settings(), documents, paths)
    assert counts["validation_documents"] == 30
    assert (counts["steps"], counts["best_step"]) == (18, 12)
    assert (counts["tuned_share"], counts["validation_score"]) == (1.0, 0.7)
    base = next(Encoder.load(paths.base, "mean", 20).model.parameters())
    assert torch.equal(weights[3], torch.lerp(base, weights[1], 0.5))
    saved = Encoder.load(paths.out / "encoder")
    assert torch.equal(next(saved.model.parameters()), weights[1])
    log = json.loads((paths.out / "validation.json").read_text())
    assert [step["step"] for step in log["steps"]] == [6, 12, 18]
    assert [each["share"] for each in log["merges"]] == [1.0, 0.5]


def test_a_run_that_is_resumed_validates_to_the_same_bytes(
    tiny_base: Path, tmp_path: Path, documents: list[DocumentItem]
) -> None:
    def run(name: str, stop_at: int | None) -> dict[str, str]:
        paths = make_paths(tiny_base, tmp_path / name)

        def stop(step: TuningStep) -> None:
            if step.step == stop_at:
                raise KeyboardInterrupt

        chosen = document_settings(checkpoint_seconds=1)
        if stop_at:
            with pytest.raises(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
                patch.setattr(StepClock, "since_save", 10.0)
                tune(chosen, documents, paths, stop)
        tune(chosen, documents, paths)
        return file_digests(paths.out)

    whole = run("whole", None)
    assert run("before a validation", 5) == whole
    assert run("between a checkpoint and the validation of its step", 7) == whole
    assert run("after a validation", 8) == whole


@pytest.mark.parametrize(
    ("shares", "guarded", "encodings", "loads"),
    [
        # Three validations; then each merge, and with a guard the base and all shares on it.
        ((1.0,), False, 3, 1),
        ((0.5, 1.0), False, 4, 2),
        ((1.0,), True, 5, 2),
        ((0.5, 0.75, 1.0), True, 9, 2),
    ],
)
def test_no_weights_are_scored_twice(
    shares: tuple[float, ...],
    guarded: bool,
    encodings: int,
    loads: int,
    paths: TrainingPaths,
    documents: list[DocumentItem],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: Counter[str] = Counter()
    plain_encode, plain_load = Encoder.encode, Encoder.load

    def encode(self: Encoder, *arguments: Any, **options: Any) -> Any:
        done["encodings"] += 1
        return plain_encode(self, *arguments, **options)

    def load(*arguments: Any, **options: Any) -> Encoder:
        done["loads"] += 1
        return plain_load(*arguments, **options)

    class Sentences:
        tolerance = 1.0

        def score(self, encoder: Encoder) -> float:
            return float(encoder.encode(["a guard's text"])[0, 0])

    guard: Any = Sentences() if guarded else None
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "encode", encode)
        patch.setattr(Encoder, "load", load)
        tune(document_settings(merge_shares=shares), documents, paths, guard=guard)
    assert done == {"encodings": encodings, "loads": loads}
    log = json.loads((paths.out / "validation.json").read_text())
    _, validation = split_validation(documents, 30, 3)
    assert validation is not None
    chosen = log["merges"][0]
    assert chosen["scores"] == validation.score(Encoder.load(paths.out / "encoder"))
    assert (chosen["guard"] is None) is not guarded
    assert {each["share"] for each in log["merges"]} == set(shares)


def test_documents_too_few_to_validate_on_are_warned_of(
    paths: TrainingPaths, documents: list[DocumentItem], caplog: pytest.LogCaptureFixture
) -> None:
    counts = tune(document_settings(), documents[:150], paths)
    assert "tuned_share" not in counts
    assert "too few documents of several sentences to validate on" in caplog.text


def test_a_batch_that_validation_leaves_too_small_is_said_to_be(
    paths: TrainingPaths, documents: list[DocumentItem]
) -> None:
    with pytest.raises(SampleError, match="370 different documents without 30 for validation"):
        tune(document_settings(batch_size=380), documents, paths)
