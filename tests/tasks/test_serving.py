"""What is served, looked at before it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.serve_command import checked_model
from mirror.errors import BaseModelError
from tasks.candidate import Candidate
from tasks.registry import pin_model, register_encoder
from tasks.registry.origins import find_lineage

MODEL = "mirror-en-trades"


@pytest.fixture
def registered(
    tracking: str, workspace: Path, make_candidate: Callable[..., Candidate]
) -> Callable[..., Any]:
    """Registers the encoder of that number."""
    return lambda number, **how: register_encoder.fn(make_candidate(number, **how), workspace)


def test_a_name_alone_means_its_champion(registered: Callable[..., Any]) -> None:
    registered(0)
    registered(1, promote=False)
    assert checked_model(MODEL) == f"models:/{MODEL}/1"
    assert checked_model(f"models:/{MODEL}@challenger") == f"models:/{MODEL}/2"
    assert pin_model(f"models:/{MODEL}/2") == f"models:/{MODEL}/2"


def test_a_model_without_champion_is_not_served(registered: Callable[..., Any]) -> None:
    registered(0, promote=False)
    with pytest.raises(BaseModelError, match=f"has no models:/{MODEL}@champion"):
        checked_model(MODEL)


def test_a_damaged_model_is_not_served(registered: Callable[..., Any], workspace: Path) -> None:
    registered(0)
    checked_model(MODEL)
    [weights] = (workspace / "registered").rglob("model.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(BaseModelError, match="safetensors"):
        checked_model(MODEL)


def test_a_version_has_its_lineage(registered: Callable[..., Any]) -> None:
    registered(0)
    lineage = find_lineage(f"models:/{MODEL}@champion")
    assert lineage["base"] == {"digest": "b" * 64}
    assert lineage["model"]["name"] == MODEL
