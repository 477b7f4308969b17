"""Pretraining stages: what their keys depend on, refused bases, and a full or damaged disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoModelForMaskedLM

from mirror.errors import BaseModelError, CorpusError, StoreError, TokenizerError, TuningError
from mirror.hashing import reached_modules
from mirror.pretraining.config import PretrainingSettings
from mirror.pretraining.export import write_model
from mirror.pretraining.stage import (
    PretrainingPaused,
    checkpoint_stage,
    pieces_stage,
    prepare_pieces,
    pretrain_model,
    pretrained_stage,
)
from mirror.pretraining.trainer import PretrainingStep
from mirror.store import StageRecord, Store
from tests.fixtures.bases import remove_mask_token
from tests.fixtures.full_disk import limited_file_size

PIECES = StageRecord("pieces", "k", "/absent", "d")


def settings(*corpus: Path, **changes: Any) -> PretrainingSettings:
    content = {"name": "tiny", "language": "en", "corpus": [str(path) for path in corpus]}
    return PretrainingSettings.model_validate({**content, **changes})


@pytest.fixture
def corpus_files(tmp_path: Path) -> tuple[Path, Path]:
    """Two files with the same name, in two folders."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "corpus.parquet").write_text(folder)
    return tmp_path / "a" / "corpus.parquet", tmp_path / "b" / "corpus.parquet"


def test_every_corpus_file_is_part_of_the_key(corpus_files: tuple[Path, Path]) -> None:
    first, second = corpus_files
    before = pieces_stage(settings(first, second)).key
    assert pieces_stage(settings(second)).key != before
    first.write_text("changed")
    assert pieces_stage(settings(first, second)).key != before


def test_the_order_of_corpus_files_is_part_of_the_key(corpus_files: tuple[Path, Path]) -> None:
    first, second = corpus_files
    assert pieces_stage(settings(first, second)).key != pieces_stage(settings(second, first)).key


def test_the_name_of_a_corpus_file_is_not_part_of_the_key(corpus_files: tuple[Path, Path]) -> None:
    first, second = corpus_files
    before = pieces_stage(settings(first)).key
    second.write_bytes(first.read_bytes())
    assert pieces_stage(settings(second.rename(second.with_name("other.parquet")))).key == before


def test_the_key_of_the_pieces_covers_the_code_that_makes_them(
    corpus_files: tuple[Path, Path],
) -> None:
    reached = reached_modules(f"mirror.{pieces_stage(settings(*corpus_files)).module}")
    for name in ("model", "dataset"):
        assert f"mirror.pretraining.{name}" in reached


def test_the_pieces_stage_names_its_libraries(corpus_files: tuple[Path, Path]) -> None:
    libraries = set(pieces_stage(settings(*corpus_files)).libraries)
    assert {"numpy", "pyarrow", "tokenizers", "torch", "transformers"} <= libraries
    assert ("gensim" in libraries) == (find_spec("gensim") is not None)
    without = settings(*corpus_files, shape={"word_vector_epochs": 0})
    assert "gensim" not in pieces_stage(without).libraries


def test_the_key_of_the_model_covers_the_code_of_training_and_export(
    corpus_files: tuple[Path, Path],
) -> None:
    reached = reached_modules(f"mirror.{pretrained_stage(settings(*corpus_files), PIECES).module}")
    assert "mirror.checkpoint" in reached
    for name in ("export", "trainer", "objective"):
        assert f"mirror.pretraining.{name}" in reached


def test_runs_of_different_length_share_checkpoints(
    corpus_files: tuple[Path, Path],
) -> None:
    short, long = (settings(*corpus_files, total_tokens=tokens) for tokens in (1_000, 2_000))
    stages = [pretrained_stage(run, PIECES) for run in (short, long)]
    assert stages[0].key != stages[1].key
    checkpoints = [checkpoint_stage(stage) for stage in stages]
    assert checkpoints[0].key == checkpoints[1].key
    assert "mirror.pretraining.export" not in reached_modules(f"mirror.{checkpoints[0].module}")
    other = settings(*corpus_files, learning_rate=1e-4)
    assert checkpoint_stage(pretrained_stage(other, PIECES)).key != checkpoints[0].key


def test_a_base_without_mask_token_is_refused_before_the_corpus_is_read(base: Path) -> None:
    remove_mask_token(base)
    with pytest.raises(TokenizerError, match="no mask token"):
        pieces_stage(settings(base / "absent.parquet", base=str(base)))


def test_a_base_with_an_unsupported_head_is_refused_before_the_corpus_is_read(
    write_tokenizer: Callable[..., dict[str, int]], tmp_path: Path, store: Store
) -> None:
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    base, corpus = tmp_path / "base", tmp_path / "unreadable.parquet"
    vocabulary = write_tokenizer(base)
    config = DistilBertConfig(
        vocab_size=len(vocabulary), dim=8, n_layers=1, n_heads=1, hidden_dim=8
    )
    DistilBertForMaskedLM(config).save_pretrained(base)
    corpus.write_text("not Parquet")
    with pytest.raises(BaseModelError, match="no supported masked-language head"):
        prepare_pieces(settings(corpus, base=str(base)), store)


@pytest.mark.case("c7")
def test_a_base_without_head_is_refused_unless_the_settings_ask_for_a_new_one(
    tiny_base: Path, base: Path, tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    from transformers import AutoModel

    corpus = tmp_path / "text.parquet"
    AutoModel.from_pretrained(tiny_base).save_pretrained(base)
    pq.write_table(pa.table({"text": ["the baker sells"] * 9, "source": ["a"] * 9}), corpus)
    with pytest.raises(BaseModelError, match=r"no masked-language head.*new_head = true"):
        prepare_pieces(settings(corpus, base=str(base)), store)
    made = prepare_pieces(settings(corpus, base=str(base), new_head=True), store)
    assert made.counts["paragraphs"] == 9
    assert "which can spoil it" in caplog.text


def test_paths_of_corpus_and_base_are_resolved_as_in_recipes(
    tiny_base: Path,
    corpus_files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "b")
    shutil.copytree(tiny_base, tmp_path / "mine")
    first, second = corpus_files
    relative = settings(Path("~/a/corpus.parquet"), Path("corpus.parquet"), base="~/mine")
    absolute = settings(first, second, base=str(tmp_path / "mine"))
    assert pieces_stage(relative).inputs == pieces_stage(absolute).inputs
    with pytest.raises(CorpusError, match=rf"no corpus at {tmp_path / 'none.parquet'}"):
        pieces_stage(settings(Path("~/none.parquet")))


@pytest.fixture
def tiny_run(tmp_path: Path, sentences: list[str]) -> PretrainingSettings:
    """Settings of a run of four steps."""
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": [f"{sentence}." for sentence in sentences]}), path)
    return settings(
        path,
        shape={
            "vocabulary_size": 400,
            "num_layers": 1,
            "hidden_size": 32,
            "word_vector_epochs": 0,
        },
        row_lengths=[16],
        tokens_per_step=64,
        sentences_per_step=2,
        words_per_step=2,
        total_tokens=64 * 4,
        num_processes=1,
    )


def test_a_full_disk_is_a_store_error(tiny_run: PretrainingSettings, store: Store) -> None:
    with limited_file_size(50_000), pytest.raises(StoreError, match="free some space"):
        prepare_pieces(tiny_run, store)
    pieces = prepare_pieces(tiny_run, store)
    with limited_file_size(50_000), pytest.raises(StoreError, match="free some space"):
        pretrain_model(tiny_run, pieces, store)
    assert pretrain_model(tiny_run, pieces, store).counts["steps"] == 4


def test_a_full_disk_while_the_model_is_written_is_an_os_error(
    tiny_run: PretrainingSettings, store: Store, tmp_path: Path
) -> None:
    pieces = prepare_pieces(tiny_run, store)
    model = AutoModelForMaskedLM.from_pretrained(pieces.path / "start")
    last = PretrainingStep(4, 256, 256, 1.0, 1.0, 1.0, 0.0, 1.0)
    with limited_file_size(20_000), pytest.raises(OSError, match="File too large"):
        write_model(tiny_run, pieces, (model, last), tmp_path / "out")


def test_the_error_of_a_damaged_checkpoint_names_its_folder(
    tiny_run: PretrainingSettings, store: Store
) -> None:
    pieces = prepare_pieces(tiny_run, store)
    with pytest.raises(PretrainingPaused):
        pretrain_model(tiny_run, pieces, store, minutes=0.0)
    (state,) = (store.root / "pretraining").rglob("state.json")
    state.write_text("{")
    with pytest.raises(TuningError, match=r"in .*constant is damaged: remove it, and run again"):
        pretrain_model(tiny_run, pieces, store)
