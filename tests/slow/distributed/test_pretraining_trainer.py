"""Pretraining: it learns, it goes on where it was, and its processes agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from transformers import AutoModelForMaskedLM, AutoTokenizer

from mirror.errors import CorpusError, RecipeError
from mirror.pretraining.config import PretrainingSettings, find_pretraining
from mirror.pretraining.model import train_wordpiece
from mirror.pretraining.objective import mask_rows
from mirror.pretraining.stage import PretrainingPaused, prepare_pieces, pretrain_model
from mirror.pretraining.trainer import TrainingSession, learning_rate_at, pretrain
from mirror.store import StageRecord, Store


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, sentences: list[str]) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "texts.parquet"
    texts = [". ".join(sentences[i : i + 3]) + "." for i in range(0, 390, 3)]
    sources = ["kept"] * (len(texts) - 1) + ["[left_out]"]
    pq.write_table(pa.table({"text": [*texts[:-1], "zebra " * 50], "source": sources}), path)
    return path


def settings(corpus: Path, **changes: Any) -> PretrainingSettings:
    content: dict[str, Any] = {
        "name": "tiny",
        "language": "en",
        "corpus": [str(corpus)],
        "exclude_sources": ["left_out"],
        "shape": {
            "vocabulary_size": 400,
            "num_layers": 1,
            "hidden_size": 32,
            "num_heads": 2,
            "max_tokens": 48,
            "word_vector_epochs": 1,
        },
        "row_lengths": [16, 24],
        "tokens_per_step": 192,
        "sentences_per_step": 8,
        "words_per_step": 8,
        "total_tokens": 192 * 40,
        "warmup_tokens": 192 * 4,
        "learning_rate": 5e-3,
        "num_processes": 1,
    }
    return PretrainingSettings.model_validate({**content, **changes})


@pytest.fixture(scope="module")
def pieces(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> StageRecord:
    return prepare_pieces(settings(corpus), Store(tmp_path_factory.mktemp("pieces")))


def run(settings: PretrainingSettings, pieces: StageRecord, checkpoints: Path) -> Any:
    steps: list[Any] = []
    result = pretrain(settings, TrainingSession(pieces.path, checkpoints), steps.append)
    assert result is not None
    return result[0], steps


def test_the_loss_falls_and_all_three_parts_are_trained(corpus, pieces, tmp_path) -> None:
    _, steps = run(settings(corpus), pieces, tmp_path)
    assert len(steps) == 40
    for part in ("masked_loss", "sentence_loss", "word_loss"):
        first = np.mean([getattr(step, part) for step in steps[:4]])
        last = np.mean([getattr(step, part) for step in steps[-4:]])
        assert last < first - 0.3, part


@pytest.mark.parametrize(("supported", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_products_are_in_bf16_only_if_the_device_has_it(
    corpus, pieces, tmp_path, monkeypatch: pytest.MonkeyPatch, supported: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr("mirror.pretraining.trainer.device_has_bf16", lambda _: supported)
    dtypes = set[torch.dtype]()

    def record(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if isinstance(module, nn.Linear):
            dtypes.add(output.dtype)

    with nn.modules.module.register_module_forward_hook(record):
        run(settings(corpus, total_tokens=192 * 4), pieces, tmp_path)
    assert dtypes == {dtype}


def test_sources_left_out_are_not_in_the_vocabulary(corpus, pieces) -> None:
    vocabulary = AutoTokenizer.from_pretrained(pieces.path / "start").get_vocab()
    assert "zebra" not in vocabulary
    assert "lantern" in vocabulary


def test_a_run_cut_in_two_gives_the_weights_of_one_that_was_not(corpus, pieces, tmp_path) -> None:
    whole, _ = run(settings(corpus), pieces, tmp_path / "whole")
    steps: list[Any] = []

    class Killed(Exception):
        pass

    def kill(step: Any) -> None:
        steps.append(step)
        if len(steps) == 20:
            raise Killed

    cut = settings(corpus, checkpoint_seconds=1)
    with pytest.raises(Killed):
        pretrain(cut, TrainingSession(pieces.path, tmp_path / "cut"), kill)
    assert (
        pretrain(cut, TrainingSession(pieces.path, tmp_path / "cut", minutes=0.0), lambda _: None)
        is None
    )
    resumed, later = run(cut, pieces, tmp_path / "cut")
    assert later[0].step > 1
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_two_processes_train_one_model(corpus, pieces, tmp_path) -> None:
    model, steps = run(settings(corpus, num_processes=2), pieces, tmp_path)
    assert steps[-1].tokens == 192 * 40
    assert steps[-1].masked_loss < steps[0].masked_loss
    again, _ = run(settings(corpus, num_processes=2), pieces, tmp_path / "again")
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


def test_a_lengthened_run_goes_on_from_before_the_decay(corpus, pieces, tmp_path) -> None:
    run(settings(corpus), pieces, tmp_path)
    longer = settings(corpus, total_tokens=192 * 50)
    _, steps = run(longer, pieces, tmp_path)
    assert steps[0].step == 33
    assert steps[-1].step == 50


def test_the_stage_leaves_a_small_model_that_loads(corpus, tmp_path) -> None:
    store = Store(tmp_path)
    chosen = settings(corpus)
    pieces = prepare_pieces(chosen, store)
    with pytest.raises(PretrainingPaused, match="continues from it"):
        pretrain_model(chosen, pieces, store, minutes=0.0)
    made = pretrain_model(chosen, pieces, store)
    model = AutoModelForMaskedLM.from_pretrained(made.path / "model")
    assert model.dtype == torch.float16
    assert made.counts["tokens"] == 192 * 40
    assert made.counts["steps"] == 40
    assert not list(made.path.rglob("*.bin"))
    assert pretrain_model(chosen, pieces, store).reused


def test_pretraining_goes_on_from_a_base(corpus, tiny_base: Path, tmp_path) -> None:
    store = Store(tmp_path)
    chosen = settings(corpus, base=str(tiny_base), total_tokens=192 * 4)
    made = pretrain_model(chosen, prepare_pieces(chosen, store), store)
    ours = AutoModelForMaskedLM.from_pretrained(made.path / "model", dtype=torch.float32)
    theirs = AutoModelForMaskedLM.from_pretrained(tiny_base)
    assert ours.config.hidden_size == theirs.config.hidden_size == 32
    a, b = ours.get_input_embeddings().weight, theirs.get_input_embeddings().weight
    assert 0 < (a - b).abs().max() < 0.1


def test_rate_warms_up_stays_and_falls_to_zero(corpus) -> None:
    chosen = settings(corpus, total_tokens=1000, warmup_tokens=100, decay_ratio=0.2)
    rates = [
        learning_rate_at(chosen, tokens) / chosen.learning_rate
        for tokens in (0, 50, 100, 800, 900, 1000)
    ]
    assert rates == pytest.approx([1 / 101, 51 / 101, 1, 1, 0.5, 0])


def test_masking_is_berts(sentences: list[str]) -> None:
    tokenizer = train_wordpiece(sentences, size=300, lowercase=True, max_tokens=32)
    rows = torch.full((100, 32), tokenizer.convert_tokens_to_ids("lantern"))
    rows[:, 0], rows[:, -1] = tokenizer.cls_token_id, tokenizer.sep_token_id
    masked, places, labels = mask_rows(rows, 0.2, tokenizer, np.random.default_rng(0))
    assert len(places) == 600
    assert torch.equal(labels, rows.flatten()[places])
    chosen = masked.flatten()[places]
    share_masked = (chosen == tokenizer.mask_token_id).float().mean().item()
    share_kept = (chosen == labels).float().mean().item()
    assert share_masked == pytest.approx(0.8, abs=0.05)
    assert share_kept == pytest.approx(0.1, abs=0.04)
    untouched = torch.ones(rows.numel(), dtype=torch.bool)
    untouched[places] = False
    assert torch.equal(masked.flatten()[untouched], rows.flatten()[untouched])


def test_a_missing_corpus_is_named(tmp_path: Path, store: Store) -> None:
    with pytest.raises(CorpusError, match="--corpus"):
        prepare_pieces(settings(tmp_path / "absent.parquet"), store)


def test_a_corpus_without_text_names_its_columns(tmp_path: Path, store: Store) -> None:
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "t.parquet")
    with pytest.raises(CorpusError, match=r"no column `text`.*body"):
        prepare_pieces(settings(tmp_path / "t.parquet"), store)


def test_faults_of_a_pretraining_file_are_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text('language = "en"\nmask_ratio = 2.0\n[shape]\nhidden_size = 33\nnum_heads = 2\n')
    with pytest.raises(RecipeError, match="3 fault") as caught:
        find_pretraining(str(path))
    for place in ("corpus: missing", "mask_ratio", "33 is not a multiple"):
        assert place in str(caught.value)


def test_the_shipped_pretraining_file_loads() -> None:

    chosen = find_pretraining("mirror-mini-en")
    assert chosen.name == "mirror-mini-en"
    assert "open_english_wordnet" in chosen.exclude_sources
