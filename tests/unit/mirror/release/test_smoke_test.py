"""Smoke test of an encoder: what does not depend on the encoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.errors import StoreError
from mirror.release.smoke_test import check_encoder, run_client
from mirror.store import StageRecord


def test_no_answer_in_time_is_a_fault(tmp_path: Path) -> None:
    assert run_client(tmp_path, ["a text"], tmp_path, 0.01) == "no answer within 0.01 seconds"


def test_a_damaged_sample_is_an_error_and_not_a_fault_of_the_encoder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="run again"):
        check_encoder(tmp_path, StageRecord("sample", "k", str(tmp_path), "d"), tmp_path)
