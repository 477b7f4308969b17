"""The `mirror` command: imports, help texts, error messages and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest

from flows.cli.errors import Debugging, run_guarded
from flows.cli.main import mirror
from mirror.errors import MirrorError, RecipeError, StoreError
from mirror.evaluation.score_change import ScoreChange
from mirror.paths import CHECKOUT
from mirror.release.run_record import RunRecord, StageSummary, save_record
from tests.fixtures.flows import Command

COMMANDS = (
    "bench",
    "compare",
    "deploy",
    "doctor",
    "down",
    "encode",
    "evaluate",
    "export",
    "gc",
    "history",
    "new",
    "pretrain",
    "promote",
    "recipes",
    "rollback",
    "run",
    "serve",
    "show",
    "study",
    "up",
    "verify",
)
HEAVY = ("torch", "transformers", "prefect", "mlflow", "matplotlib", "scipy", "pyarrow", "duckdb")
RECORD = RunRecord(
    recipe="en-trades",
    started_at="2026-01-02T03:04:05+00:00",
    seconds=75.25,
    stages=(StageSummary("corpus", 12.5, True, "/home/corpus"),),
    scores=(ScoreChange("likeness", "spearman", 120, 0.25, 0.5, 0.25, 0.125, 0.375, {}),),
    promote=True,
    reasons=("Better than its base.",),
    encoder="/home/encoder",
    report="/home/report.html",
    model="models:/mirror-en-trades/3",
)


def imported_by(arguments: list[str], environment: dict[str, str] | None = None) -> list[str]:
    """Return the heavy modules that a command has imported."""
    code = (
        "import json, sys\n"
        "from flows.cli.main import mirror\n"
        "from flows.cli.errors import run_guarded\n"
        f"code = run_guarded(mirror, {arguments!r})\n"
        f"imported = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(json.dumps([code, imported]))\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    code, imported = json.loads(process.stdout.splitlines()[-1])
    assert code == 0, process.stderr
    return list(imported)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an empty workspace."""
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_all_commands_are_listed() -> None:
    assert sorted(mirror.commands) == sorted(COMMANDS)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["evaluate", "--help"]])
def test_help_imports_no_heavy_library(arguments: list[str]) -> None:
    assert imported_by(arguments) == []


def test_show_and_recipes_import_no_heavy_library(tmp_path: Path) -> None:
    save_record(RECORD, tmp_path)
    assert imported_by(["show"], {"MIRROR_HOME": str(tmp_path)}) == []
    assert imported_by(["recipes"]) == []


def test_recipes_lists_those_of_the_paper_separately(command: Command) -> None:
    scheduled, heading, paper = command("recipes").partition("Recipes of the paper")
    assert "en-python-docs" in scheduled and "paper-" not in scheduled
    assert heading
    assert "paper-en-sentence-bert-drophead" in paper and "FacebookAI/roberta-base" in paper


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, command: Command) -> None:
    shown = command(name, "--help")
    assert f"Usage: mirror {name}" in shown
    assert "--debug" in shown


def test_short_help_is_not_cut(monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = command("--help").partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == sorted(COMMANDS)  # one line each
    assert [line for line in listed if not line.endswith(".") or "..." in line] == []


def failing(error: BaseException) -> click.Group:
    """Return a group whose command `fail` raises the error."""
    group = type(mirror)("mirror")

    @group.command()
    def fail() -> None:
        raise error

    return group


def test_an_error_is_one_message_without_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(failing(RecipeError("no recipe at here: name one")), ["fail"]) == 1
    assert capsys.readouterr().err == "error: no recipe at here: name one\n"


def chained() -> MirrorError:
    error = StoreError("no space: free some")
    error.__cause__ = OSError("disk full")
    return error


@pytest.mark.parametrize("arguments", [["--debug", "fail"], ["fail", "--debug"]])
def test_debug_shows_the_traceback(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(failing(chained()), arguments) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "OSError: disk full" in shown
    assert "error: no space: free some" in shown


def test_a_hidden_cause_is_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(failing(chained()), ["fail"]) == 1
    shown = capsys.readouterr().err
    assert shown == "error: no space: free some\n(add --debug for the traceback)\n"


def test_a_faulty_input_is_reported_without_a_hint_at_the_traceback(
    tmp_path: Path, command: Command
) -> None:
    (tmp_path / "broken.toml").write_text('language = "en')
    shown = command("run", str(tmp_path / "broken.toml"), code=1)
    assert "broken.toml cannot be read as TOML" in shown
    assert "--debug" not in shown


def test_an_unexpected_exception_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        run_guarded(failing(ZeroDivisionError()), ["fail"])


def test_ctrl_c_gives_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(failing(KeyboardInterrupt()), ["fail"]) == 130
    assert capsys.readouterr().err.strip().startswith("stopped;")


def test_terminal_escape_codes_in_a_message_are_replaced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_guarded(failing(RecipeError("bad key '\x1b[31mred' – schön")), ["fail"]) == 1
    assert capsys.readouterr().err == "error: bad key '\N{REPLACEMENT CHARACTER}[31mred' – schön\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run"],
        ["run", "a", "--all"],
        ["run", "--nonsense", "a"],
        ["run", "a", "--base", ""],
        ["evaluate", "folder"],
        ["encode", "folder"],
        ["encode", "folder", "--out", "a.npy", "--pooling", "max"],
    ],
)
def test_wrong_usage_gives_2(arguments: list[str], command: Command) -> None:
    assert "Error:" in command(*arguments, code=2)


def test_an_unknown_recipe_is_an_error_that_lists_recipes(home: Path, command: Command) -> None:
    shown = command("run", "no-such-recipe", code=1)
    assert "error: no recipe is called 'no-such-recipe'" in shown
    assert "en-python-docs" in shown and "; `mirror recipes` lists all" in shown
    assert "--debug" not in shown
    assert "Traceback" not in shown


def test_a_missing_base_is_an_error_that_names_its_option(home: Path, command: Command) -> None:
    shown = command("run", "en-python-docs", "--base", "/no/base", code=1)
    assert "error: no base model at /no/base: name a model's folder with --base" in shown
    assert not home.exists()


def test_show_prints_the_newest_run(home: Path, command: Command) -> None:
    save_record(RECORD, home)
    shown = command("show", "en-trades")
    assert "+.250" in shown
    assert "/home/report.html" in shown


def test_show_without_a_run_is_an_error_with_a_remedy(home: Path, command: Command) -> None:
    save_record(replace(RECORD, recipe="en-others"), home)
    assert "`mirror run en-trades`" in command("show", "en-trades", code=1)


def test_workspace_replaces_mirror_home(home: Path, tmp_path: Path, command: Command) -> None:
    save_record(RECORD, tmp_path / "other")
    assert "en-trades" in command("show", "--workspace", str(tmp_path / "other"))


def test_debugging_is_off_by_default() -> None:
    assert Debugging().on is False
