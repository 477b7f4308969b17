"""Corpus profile as JSON, which the registry keeps."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from mirror.corpus.profile import CorpusProfile, parse_profile, read_profile
from mirror.errors import StoreError
from mirror.store import StageRecord

PROFILE = CorpusProfile(2, ("00ff", "11aa"), {"baker": 3, "[UNK]": 1}, 1, 3, {"0": 1, "20": 1})


def test_a_profile_survives_json(tmp_path) -> None:
    (tmp_path / "profile.json").write_text(json.dumps(asdict(PROFILE)))
    assert read_profile(StageRecord("profile", "k", str(tmp_path), "d")) == PROFILE


@pytest.mark.parametrize(
    "content",
    [None, {}, [], {"sketch": []}, {"sketch": 3}, asdict(PROFILE) | {"pieces": {"a": "many"}}],
)
def test_json_that_is_no_profile_is_refused(content) -> None:
    with pytest.raises(StoreError, match="here is no profile of a corpus"):
        parse_profile(content, "here")


def test_a_damaged_profile_names_its_file_and_the_remedy(tmp_path) -> None:
    (tmp_path / "profile.json").write_text("{")
    with pytest.raises(StoreError, match=r"profile\.json cannot be read .* run again"):
        read_profile(StageRecord("profile", "k", str(tmp_path), "d"))
