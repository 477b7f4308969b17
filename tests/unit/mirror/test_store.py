"""Stages in the store: complete or absent, made once, made again when damaged."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirror import hashing
from mirror.errors import CorpusError, StoreError
from mirror.hashing import file_digests, folder_digest
from mirror.store import TRUSTED_SECONDS, Stage, StageRecord, Store

STAGE = Stage("corpus", "errors", {"text": "abc"}, {"size": 3})


def write(out: Path, work: Path) -> Mapping[str, Any]:
    (out / "part").mkdir()
    (out / "part" / "a.txt").write_text("hello")
    return {"rows": 1}


def test_a_stage_is_made_once_and_then_reused(store: Store) -> None:
    calls = []

    def counted(out: Path, work: Path) -> Mapping[str, Any]:
        calls.append(out)
        return write(out, work)

    first, second = store.make(STAGE, counted), store.make(STAGE, counted)
    assert len(calls) == 1
    assert not first.reused
    assert second == replace(first, reused=True)
    assert second.counts == {"rows": 1}


def test_a_manifest_lists_inputs_settings_files_and_versions(store: Store) -> None:
    made = store.make(STAGE, write)
    manifest = json.loads((made.path / "manifest.json").read_text())
    assert manifest["inputs"] == {"text": "abc"}
    assert manifest["section"] == {"size": 3}
    assert manifest["files"] == file_digests(made.path)
    assert manifest["key"] == STAGE.key
    assert {"code", "commit", "python", "versions", "seconds", "made_at"} <= manifest.keys()


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": {"text": "abd"}},
        {"section": {"size": 4}},
        {"module": "progress"},
        {"name": "sample"},
        {"libraries": ("numpy",)},
    ],
)
def test_the_key_depends_on_name_inputs_settings_code_and_libraries(change: dict[str, Any]) -> None:
    assert replace(STAGE, **change).key != STAGE.key


@pytest.mark.parametrize(
    "damage",
    [
        {"part/a.txt": "hellO"},
        {"part/a.txt": ""},
        {"part/a.txt": None},
        {"b.txt": "stray"},
        *({"manifest.json": text} for text in ("{", "[]", "null", "3", '"text"', '{"files": []}')),
    ],
    ids=str,
)
def test_a_damaged_stage_is_made_again(store: Store, damage: dict[str, str | None]) -> None:
    made = store.make(STAGE, write)
    for name, text in damage.items():
        if text is None:
            (made.path / name).unlink()
        else:
            (made.path / name).write_text(text)
    assert_made_again(store, made)


@pytest.mark.parametrize("missing", ["key", "digest", "files", "counts", "seconds"])
def test_a_stage_with_an_incomplete_manifest_is_made_again(store: Store, missing: str) -> None:
    made = store.make(STAGE, write)
    path = made.path / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest[missing]
    path.write_text(json.dumps(manifest))
    assert_made_again(store, made)


def assert_made_again(store: Store, made: StageRecord) -> None:
    assert store.find(STAGE) is None
    again = store.make(STAGE, write)
    assert not again.reused
    assert again.digest == made.digest
    assert (again.path / "part" / "a.txt").read_text() == "hello"


def test_a_failed_stage_leaves_no_file_and_raises_its_own_error(store: Store) -> None:
    def fail(out: Path, work: Path) -> Mapping[str, Any]:
        (out / "half.txt").write_text("half")
        raise CorpusError("no text in it")

    with pytest.raises(CorpusError, match="no text"):
        store.make(STAGE, fail)
    assert store.find(STAGE) is None
    assert not list(store.root.rglob("half.txt"))


@pytest.mark.parametrize(
    ("error", "space"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError("I/O error: No space left on device (os error 28)"), True),
        (PermissionError(errno.EACCES, "Permission denied", "/texts/a.txt"), False),
        (OSError(errno.EIO, "Input/output error"), False),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/texts/b.txt"), False),
    ],
)
def test_the_remedy_is_space_only_for_errors_about_space(
    store: Store, error: OSError, space: bool
) -> None:
    def fail(out: Path, work: Path) -> Mapping[str, Any]:
        raise error

    with pytest.raises(StoreError) as caught:
        store.make(STAGE, fail)
    assert str(error) in str(caught.value)
    assert ("free some space" in str(caught.value)) == space
    assert "run again" in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_an_error(store: Store) -> None:
    def full(out: Path, work: Path) -> Mapping[str, Any]:
        (out / "a.txt").symlink_to("/dev/full")
        (out / "a.txt").write_text("x" * 100_000)
        return {}

    with pytest.raises(StoreError, match="No space left"):
        store.make(STAGE, full)


def test_a_file_with_the_workspaces_path_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match="MIRROR_HOME"):
        Store(tmp_path / "taken")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_workspace_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "workspace")


def test_checkpoints_of_an_interrupted_stage_are_kept_for_the_next_run(store: Store) -> None:
    def interrupted(out: Path, work: Path) -> Mapping[str, Any]:
        (work / "checkpoint").write_text("step 7")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.make(STAGE, interrupted)

    def resumed(out: Path, work: Path) -> Mapping[str, Any]:
        (out / "result").write_text((work / "checkpoint").read_text())
        return {}

    made = store.make(STAGE, resumed)
    assert (made.path / "result").read_text() == "step 7"
    assert not (store.root / "work" / STAGE.key).exists()


def test_two_runs_at_once_make_a_stage_once(store: Store) -> None:
    calls, gate = [], threading.Barrier(2)

    def slow(out: Path, work: Path) -> Mapping[str, Any]:
        calls.append(1)
        return write(out, work)

    def run() -> None:
        gate.wait()
        Store(store.root).make(STAGE, slow)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_a_stage_after_a_killed_process_has_only_its_own_files(store: Store) -> None:
    script = f"""
        import sys
        from pathlib import Path
        from mirror.store import Stage, Store
        def write(out, work):
            (out / "part").mkdir()
            (out / "part" / "a.txt").write_text("hel")
            print("half", flush=True)
            sys.stdin.read()
        stage = Stage("corpus", "errors", {{"text": "abc"}}, {{"size": 3}})
        Store(Path({str(store.root)!r})).make(stage, write)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"half\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert store.find(STAGE) is None
    made = store.make(STAGE, write)
    assert file_digests(made.path).keys() == {"part/a.txt"}
    assert (made.path / "part" / "a.txt").read_text() == "hello"


def test_a_folder_digest_depends_on_names_and_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, name, text in ((one, "a", "x"), (two, "b", "x")):
        folder.mkdir()
        (folder / name).write_text(text)
    assert folder_digest(one) != folder_digest(two)
    (two / "b").rename(two / "a")
    assert folder_digest(one) == folder_digest(two)


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the name of each file that is hashed from now on is added."""
    names: list[str] = []
    read = hashing.read_digest

    def count(path: Path) -> str:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr("mirror.hashing.read_digest", count)
    monkeypatch.setattr("mirror.store.read_digest", count)
    return names


def write_one(out: Path, _work: Path) -> dict[str, int]:
    (out / "weights").write_bytes(b"weights")
    return {}


def test_files_are_hashed_once_when_a_stage_is_made_and_not_when_it_is_reused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = count_reads(monkeypatch)
    stage = Stage("tune", "errors", {}, {})
    store.make(stage, write_one)
    assert names == ["weights"]
    assert store.make(stage, write_one).reused
    assert names == ["weights"]


def test_files_are_hashed_again_after_a_day(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("tune", "errors", {}, {})
    weights = store.make(stage, write_one).path / "weights"
    times = weights.stat()
    weights.write_bytes(b"Weights")
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert store.find(stage) is not None  # a damage that neither size nor time shows
    day = time.time() + TRUSTED_SECONDS
    monkeypatch.setattr("mirror.store.time.time", lambda: day)
    assert store.find(stage) is None


def test_a_touched_file_is_hashed_once_and_then_trusted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage("tune", "errors", {}, {})
    os.utime(store.make(stage, write_one).path / "weights", ns=(1, 1))
    names = count_reads(monkeypatch)
    assert store.find(stage) is not None
    assert store.find(stage) is not None
    assert names == ["weights"]
    assert not [*(store.root / "work").iterdir()]
