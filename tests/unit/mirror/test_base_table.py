"""The table of bases and the choice of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.base_table import base_settings_of, choose_known_base, known_bases
from mirror.encoders.base_model import check_base
from mirror.errors import BaseModelError
from mirror.paths import CHECKOUT
from mirror.recipe import BaseSection


def test_every_base_of_the_table_is_pinned_or_in_the_checkout() -> None:
    for base in known_bases():
        section = BaseSection.model_validate(base.settings)
        assert section.revision or check_base(CHECKOUT / str(section.path)) is None


@pytest.mark.parametrize(
    ("language", "level", "has_gpu", "name"),
    [
        ("en", "sentence", False, "sentence-transformers/all-MiniLM-L6-v2"),
        ("en", "sentence", True, "sentence-transformers/all-mpnet-base-v2"),
        ("de", "sentence", False, "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"),
        ("zh", "word", False, "google-bert/bert-base-chinese"),
        ("en", "word", False, "google-bert/bert-base-uncased"),
        ("de", "name", False, "google-bert/bert-base-multilingual-uncased"),
        ("sw", "sentence", False, "google-bert/bert-base-multilingual-uncased"),
    ],
)
def test_a_base_fits_language_level_and_machine(
    language: str, level: str, has_gpu: bool, name: str
) -> None:
    assert choose_known_base(language, level, has_gpu=has_gpu).name == name  # type: ignore[arg-type]


def test_a_language_that_no_base_knows_is_an_error() -> None:
    with pytest.raises(BaseModelError, match=r"no base of bases\.toml knows 'zu': name one with"):
        choose_known_base("zu", "sentence", has_gpu=False)


def test_a_base_is_named_in_four_ways(tmp_path: Path) -> None:
    commit = "0" * 40
    assert base_settings_of(str(tmp_path)) == {"path": str(tmp_path)}
    assert base_settings_of(f"a/b@{commit}") == {"hub": "a/b", "revision": commit}
    assert base_settings_of("models:/m@champion") == {"registry": "models:/m@champion"}
    assert base_settings_of("tartuNLP/EstBERT")["hub"] == "tartuNLP/EstBERT"
    with pytest.raises(BaseModelError, match="no base 'a/b': --base takes"):
        base_settings_of("a/b")
