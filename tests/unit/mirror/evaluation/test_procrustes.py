"""Files of Procrustes maps: without pickle, with the same results after loading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mirror.errors import InputError
from mirror.evaluation.procrustes import MAP_ENDINGS, SpaceMap, fit_map, save_map
from mirror.paths import check_output


@pytest.fixture
def found() -> SpaceMap:
    drawn = np.random.default_rng(0)
    return fit_map(drawn.standard_normal((50, 6)), drawn.standard_normal((50, 4)))


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
def test_a_saved_map_gives_the_same_vectors(found: SpaceMap, tmp_path: Path, ending: str) -> None:
    place = tmp_path / f"map.{ending}"
    save_map(found, place)
    assert [path.name for path in tmp_path.iterdir()] == [place.name]
    read = load_file(place) if ending == "safetensors" else np.load(place, allow_pickle=False)
    assert sorted(read) == ["new_mean", "old_mean", "turn"]
    old = np.random.default_rng(1).standard_normal((9, 6))
    moved = (old - read["old_mean"]) @ read["turn"] + read["new_mean"]
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    np.testing.assert_allclose(moved, found.apply(old), atol=1e-6)


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        ("map.pkl", "ends in neither .safetensors nor .npz"),
        ("map", "ends in neither"),
        ("none/map.npz", "does not exist: create"),
    ],
)
def test_an_invalid_path_of_a_map_is_refused(tmp_path: Path, place: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        check_output(tmp_path / place, MAP_ENDINGS)


def test_a_map_that_cannot_be_written_is_an_error(found: SpaceMap, tmp_path: Path) -> None:
    (tmp_path / "map.npz").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        save_map(found, tmp_path / "map.npz")
