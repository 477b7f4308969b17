"""Overlap of the champion's sample with the documents that are held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mirror.store import StageRecord
from tasks.gate import find_overlap
from tasks.registry.candidate import Champion
from tests.fixtures.recipes import make_recipe

REASON = "10% of the documents were held out then, and 25% are now"


def overlap_of(champion: Champion | None, *benchmarks: str) -> str:
    sample = StageRecord("sample", "k", "unused", "digest", {"held_out_share": 0.25})
    changes: dict[str, Any] = {"evaluation": {"benchmarks": list(benchmarks)}}
    return find_overlap(make_recipe(**changes), sample, champion)


@pytest.mark.case("c16")
def test_a_champion_of_a_larger_corpus_is_judged_by_documents_it_was_tuned_on(
    tmp_path: Path,
) -> None:
    champion = Champion(str(tmp_path), "c" * 64, held_out_share=0.1)
    assert overlap_of(champion, "passage-retrieval") == REASON
    assert overlap_of(champion, "stsb") == ""
    assert overlap_of(None, "passage-retrieval") == ""
