"""A whole run full of secrets and of hostile names and texts."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from tests.fixtures.security import CANARY, ODD_NAME, SOURCE, TAG, HostileRun


def holders(folder: Path) -> list[str]:
    """Files that have a canary in their name or content."""
    marks = (CANARY.encode(), CANARY.encode("utf-16-le"))
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if CANARY in path.name
        or (path.is_file() and any(mark in path.read_bytes() for mark in marks))
    ]


def test_a_run_whose_environment_is_full_of_secrets_writes_down_none(
    hostile_run: HostileRun,
) -> None:
    assert hostile_run.done.returncode == 0, hostile_run.done.stderr
    assert (hostile_run.home / "mlflow.db").exists(), "the registry is next to the stages"
    assert (hostile_run.home / "prefect" / "prefect.db").exists(), "and so is Prefect's database"
    assert holders(hostile_run.folder) == []


def test_no_secret_is_printed(hostile_run: HostileRun) -> None:
    assert CANARY not in hostile_run.done.stdout + hostile_run.done.stderr


def test_a_whole_run_in_a_folder_with_such_a_name_ends_well(hostile_run: HostileRun) -> None:
    assert hostile_run.done.returncode == 0, hostile_run.done.stderr
    assert ODD_NAME in str(hostile_run.home)
    [strings] = hostile_run.home.glob("stages/sample/*/strings.parquet")
    texts = pq.read_table(strings).to_pydict()
    assert len(texts["text"]) == 32
    assert not any(text == "evil" for text in texts["text"])
    assert any(TAG in text for text in texts["text"])
    assert len(set(texts["source"])) == 1
    assert TAG in texts["source"][0]


def test_nothing_that_was_read_commands_the_terminal(hostile_run: HostileRun) -> None:
    assert SOURCE[-6] == "\x1b"
    for shown in (hostile_run.done.stdout, hostile_run.done.stderr):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
