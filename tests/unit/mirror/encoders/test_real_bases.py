"""Real tokenizers and configurations, each with a tiny model of its kind; skips without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.bases import BaseTrial, markdown, try_base
from mirror.paths import CHECKOUT

BASES = CHECKOUT.parent / "shared" / "bases"
REFUSED = {
    "albert-base": '"do_lower_case": false',
    "albert-with-t5-tokenizer": "position_embedding_type 'rotary'",
    "jina-v5-nano": "names code of its own",
}
FAST = {"albert-base", "all-MiniLM-L6-v2", "bert-base-cased", "jina-v5-nano", "kpfbert"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.parent.name, marks=() if path.parent.name in FAST else pytest.mark.slow)
        for path in sorted(BASES.glob("*/config.json"))
    ],
)
def test_a_real_base_is_checked_tuned_saved_and_read_by_others(name: str, tmp_path: Path) -> None:
    trial = try_base(BASES / name, tmp_path)
    if name in REFUSED:
        assert REFUSED[name] in trial.refusal
    else:
        assert not trial.refusal
        assert trial.unknown is not None
        assert trial.unknown < 0.05


def test_the_table_has_a_row_for_each_base() -> None:
    trials = [BaseTrial("a", "bert", "BertTokenizer", 0.012), BaseTrial("b", refusal="no | model")]
    assert markdown(trials).splitlines()[2:] == [
        "| a | bert | BertTokenizer | 1.2% | works |",
        "| b |  |  |  | no \\| model |",
    ]
