from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

Script = Callable[[str], ModuleType]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_both_sides_give_the_same_vectors(
    script: Script, settings: dict[str, Any], tiny_base: Path, tmp_path: Path, pooling: str
) -> None:
    encoding = script("encoding_speed")
    encoder = encoding.make_encoder(tiny_base, pooling, 20, tmp_path / "encoder")
    common = {"encoder": str(encoder), "texts": settings["texts"], "device": "cpu"}
    vectors = []
    for side in ("ours", "theirs"):
        made = encoding.SIDES[side](common | {"vectors": str(tmp_path / f"{side}.npy")})
        assert made["texts_per_second"] > 0
        vectors.append(np.load(tmp_path / f"{side}.npy"))
    assert vectors[0].shape == (40, 32)
    np.testing.assert_allclose(*vectors, atol=1e-5)
