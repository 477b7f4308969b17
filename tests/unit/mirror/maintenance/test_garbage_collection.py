"""Garbage collection removes folders that are unreferenced, unused and unlocked."""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.errors import StoreError
from mirror.maintenance.garbage_collection import (
    References,
    Removable,
    find_removable,
    referred_by_runs,
    remove,
)
from mirror.release.run_record import RunRecord, StageSummary, save_record
from mirror.store import Stage, Store

DAYS = 30
NAMES = ("corpus", "tune", "package", "pretrained", "pieces")
KEYS = ("a", "b", "c")
AGES = st.sampled_from([0, 5, 29, 31, 400])
STAGES = [(name, key) for name in NAMES for key in KEYS]


@dataclass(frozen=True)
class World:
    """A workspace: ages in days, by what they are of."""

    stages: dict[tuple[str, str], int]
    records: list[tuple[str, int, list[tuple[str, str]], bool]]
    """Recipe, age, stages, whether it found nothing to do."""
    aliased: frozenset[tuple[str, str]]
    works: dict[str, int]
    copies: dict[str, int]
    locked: frozenset[str]


worlds = st.builds(
    World,
    st.dictionaries(st.sampled_from(STAGES), AGES),
    st.lists(
        st.tuples(
            st.sampled_from(["one", "two"]),
            AGES,
            st.lists(st.sampled_from(STAGES), max_size=4),
            st.booleans(),
        ),
        max_size=5,
    ),
    st.frozensets(st.sampled_from(STAGES), max_size=3),
    st.dictionaries(st.sampled_from(["a", "b.out", "c"]), AGES),
    st.dictionaries(st.sampled_from(["1-aa", "2-bb", "21-cc"]), AGES),
    st.frozensets(st.sampled_from([*KEYS, "fetch-m-1-aa"]), max_size=2),
)


def aged(folder: Path, days: int, name: str = "file") -> Path:
    """A folder with a file, last used so many days ago."""
    folder.mkdir(parents=True)
    (folder / name).write_text("12345")
    used = time.time() - days * 86_400
    for path in (folder / name, folder):
        os.utime(path, (used, used))
    return folder


def record(recipe: str, days: float, stages: list[tuple[str, str]], unchanged: bool) -> RunRecord:
    # Elsewhere: a workspace may have been moved since.
    lines = tuple(
        StageSummary(name, 1.0, False, f"/moved/stages/{name}/{key}") for name, key in stages
    )
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="microseconds")
    return RunRecord(
        recipe, at, 1.0, lines, (), False, (), "", "", "models:/m/1", unchanged=unchanged
    )


def build(root: Path, world: World) -> dict[str, Path]:
    """Make the workspace; gives its folders by what they are."""
    Store(root)
    made = {}
    for (name, key), days in world.stages.items():
        made[f"{name}/{key}"] = aged(root / "stages" / name / key, days, "manifest.json")
    for name, days in world.works.items():
        made[f"work {name}"] = aged(root / "work" / name, days)
    for name, days in world.copies.items():
        made[f"copy {name}"] = aged(root / "registered" / "m" / name, days)
    for number, (recipe, days, stages, unchanged) in enumerate(world.records):
        save_record(record(recipe, days + number / 1_000, stages, unchanged), root)
    return made


def must_stay(world: World) -> set[str]:
    """Return what is referred to, used or locked, computed from the example alone."""
    stay = {f"{name}/{key}" for name, key in world.stages if name in ("pretrained", "pieces")}
    stay |= {f"{name}/{key}" for name, key in world.aliased}
    stay |= {f"{name}/{key}" for (name, key), days in world.stages.items() if days < DAYS}
    stay |= {f"{name}/{key}" for name, key in world.stages if key in world.locked}
    ages = [(days + n / 1_000, r, s, u) for n, (r, days, s, u) in enumerate(world.records)]
    for recipe in ("one", "two"):
        own = sorted(line for line in ages if line[1] == recipe)
        newest = [own[:1], [line for line in own if not line[3]][:1]]
        for _, _, stages, _ in (*newest[0], *newest[1], *(line for line in own if line[0] < DAYS)):
            stay |= {f"{name}/{key}" for name, key in stages}
    for name, days in world.works.items():
        if days < DAYS or name.removesuffix(".out") in world.locked:
            stay.add(f"work {name}")
    for name, days in world.copies.items():
        if days < DAYS or name == "2-bb" or f"fetch-m-{name}" in world.locked:
            stay.add(f"copy {name}")
    return stay


@settings(deadline=None, max_examples=150)
@given(worlds)
def test_only_unreferenced_folders_are_removed(world: World) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "home"
        made = build(root, world)
        (root / "mlflow.db").write_text("registry")
        locks = [FileLock(root / "locks" / f"{name}.lock", timeout=0) for name in world.locked]
        for lock in locks:
            lock.acquire()
        try:
            kept = References(world.aliased, versions=frozenset({("m", "2")}))
            kept |= referred_by_runs(root, DAYS)
            found = find_removable(root, kept, DAYS)
            gone = remove(root, found, DAYS)
        finally:
            for lock in locks:
                lock.release()
        left = {name for name, path in made.items() if path.is_dir()}
        assert left == must_stay(world) & made.keys()
        assert {path.path for path in gone} == {made[name] for name in made.keys() - left}
        assert all(removable.bytes == 5 for removable in gone)
        assert (root / "mlflow.db").read_text() == "registry"
        assert len(list((root / "runs").glob("*/*.json"))) == len(world.records)
        assert not list((root / "work").glob(".gone-*"))


def test_a_package_of_a_champion_stays(tmp_path: Path) -> None:
    for key in ("a", "b"):
        folder = aged(tmp_path / "stages" / "package" / key, 90, "manifest.json")
        (folder / "lineage.json").write_text(json.dumps({"encoder_digest": key}))
    found = find_removable(tmp_path, References(encoders=frozenset({"a"})), DAYS)
    assert [removable.path.name for removable in found] == ["b"]


def test_using_a_stage_keeps_it(store: Store) -> None:
    def write(out: Path, work: Path) -> dict[str, int]:
        (out / "a").write_text("1")
        return {}

    stage = Stage("corpus", "errors", {}, {})
    folder = store.make(stage, write).path
    old = time.time() - 90 * 86_400
    os.utime(folder / "manifest.json", (old, old))
    found = find_removable(store.root, References(), DAYS)
    assert [removable.path for removable in found] == [folder]
    assert store.make(stage, write).reused  # a run begins between the look and the removal
    assert remove(store.root, found, DAYS) == []
    assert folder.is_dir()


def test_using_a_stage_while_the_clock_is_set_back_does_not_make_it_old(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(out: Path, work: Path) -> dict[str, int]:
        return {}

    stage, now = Stage("corpus", "errors", {}, {}), time.time_ns()
    folder = store.make(stage, write).path
    with monkeypatch.context() as back:
        back.setattr(time, "time_ns", lambda: now - 90 * 86_400 * 10**9)
        assert store.make(stage, write).reused
    assert find_removable(store.root, References(), DAYS) == []
    assert folder.is_dir()


def test_a_locked_stage_is_not_removed(store: Store) -> None:
    work = aged(store.root / "work" / "k", 90)
    found = find_removable(store.root, References(), DAYS)
    with FileLock(store.root / "locks" / "k.lock"):
        assert remove(store.root, found, DAYS) == []
    assert work.is_dir()
    assert remove(store.root, found, DAYS) == found


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "20260101.json").write_text("{}")
    with pytest.raises(StoreError, match="is not a run record"):
        referred_by_runs(tmp_path, DAYS)


def test_less_than_one_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="a run may still use"):
        find_removable(tmp_path, References(), 0)


def test_a_folder_that_cannot_be_removed_is_an_error(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Removable("work", aged(store.root / "work" / "k", 90), 5, "k.lock")

    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StoreError, match=r"k cannot be removed \(Operation not permitted\)"):
        remove(store.root, [found], DAYS)
