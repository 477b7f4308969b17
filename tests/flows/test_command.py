"""The command line: quick to answer, clear when something is wrong."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest

from flows.command import mirror
from flows.faults import Debugging, run_guarded
from mirror.errors import MirrorError, RecipeError, StoreError
from mirror.run_record import RunRecord, ScoreLine, StageLine, save_record

CHECKOUT = Path(__file__).resolve().parents[2]
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
    "paper",
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
    stages=(StageLine("corpus", 12.5, True, "/made/corpus"),),
    scores=(ScoreLine("likeness", "spearman", 120, 0.25, 0.5, 0.25, 0.125, 0.375, {}),),
    promote=True,
    reasons=("Better than its base.",),
    encoder="/made/encoder",
    report="/made/report.html",
    model="models:/mirror-en-trades/3",
)


def imported_by(arguments: list[str], environment: dict[str, str] | None = None) -> list[str]:
    """The heavy modules that a command has imported when it is done."""
    code = (
        "import json, sys\n"
        "from flows.command import mirror\n"
        "from flows.faults import run_guarded\n"
        f"code = run_guarded(mirror, {arguments!r})\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(json.dumps([code, found]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    code, found = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return list(found)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of this test's own."""
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_these_are_the_commands() -> None:
    assert sorted(mirror.commands) == sorted(COMMANDS)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["evaluate", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert imported_by(arguments) == []


def test_show_and_recipes_import_no_engine(tmp_path: Path) -> None:
    save_record(RECORD, tmp_path)
    assert imported_by(["show"], {"MIRROR_HOME": str(tmp_path)}) == []
    assert imported_by(["recipes"]) == []


def test_recipes_shows_the_papers_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(mirror, ["recipes"]) == 0
    scheduled, heading, paper = capsys.readouterr().out.partition("The paper's rows")
    assert "en-python-docs" in scheduled and "paper-" not in scheduled
    assert heading
    assert "paper-en-sentence-bert-drophead" in paper and "FacebookAI/roberta-base" in paper


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(mirror, [name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: mirror {name}" in shown
    assert "--debug" in shown


def test_the_list_of_commands_cuts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run_guarded(mirror, ["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == sorted(COMMANDS)  # one line each
    assert [line for line in listed if not line.endswith(".") or "..." in line] == []


def failing(error: BaseException) -> click.Group:
    """A command line whose only command fails."""
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


def test_a_hidden_cause_is_hinted_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(failing(chained()), ["fail"]) == 1
    shown = capsys.readouterr().err
    assert shown == "error: no space: free some\n(add --debug for the traceback)\n"


def test_what_the_user_gave_is_no_reason_for_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.toml").write_text('language = "en')
    assert run_guarded(mirror, ["run", str(tmp_path / "broken.toml")]) == 1
    shown = capsys.readouterr().err
    assert "broken.toml cannot be read as TOML" in shown
    assert "--debug" not in shown


def test_a_fault_of_our_own_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_guarded(failing(ZeroDivisionError()), ["fail"])


def test_ctrl_c_ends_cleanly(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(failing(KeyboardInterrupt()), ["fail"]) == 130
    assert capsys.readouterr().err.strip().startswith("stopped;")


def test_terminal_codes_in_a_message_are_not_sent(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(failing(RecipeError("bad key '\x1b[31mred' – schön")), ["fail"]) == 1
    assert capsys.readouterr().err == "error: bad key '\N{REPLACEMENT CHARACTER}[31mred' – schön\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run"],
        ["run", "a", "--all"],
        ["run", "--nonsense", "a"],
        ["evaluate", "folder"],
        ["encode", "folder"],
        ["encode", "folder", "--out", "a.npy", "--pooling", "max"],
    ],
)
def test_misuse_gives_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(mirror, arguments) == 2
    assert "Error:" in capsys.readouterr().err


def test_an_unknown_recipe_is_refused_with_those_there_are(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(mirror, ["run", "no-such-recipe"]) == 1
    shown = capfd.readouterr().err
    assert "error: no recipe is called 'no-such-recipe'" in shown
    assert "there is en-python-docs; `mirror recipes` lists all" in shown
    assert "--debug" not in shown
    assert "Traceback" not in shown


def test_a_base_that_is_not_there_is_told_as_it_was_given(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(mirror, ["run", "en-python-docs", "--base", "/no/base"]) == 1
    shown = capfd.readouterr().err
    assert "error: no base model at /no/base: name a model's folder with --base" in shown
    assert not home.exists()


def test_show_prints_the_newest_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_record(RECORD, home)
    assert run_guarded(mirror, ["show", "en-trades"]) == 0
    shown = capsys.readouterr().out
    assert "+.250" in shown
    assert "/made/report.html" in shown


def test_show_without_a_run_says_how_to_make_one(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_record(replace(RECORD, recipe="en-others"), home)
    assert run_guarded(mirror, ["show", "en-trades"]) == 1
    assert "`mirror run en-trades`" in capsys.readouterr().err


def test_workspace_stands_for_mirror_home(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_record(RECORD, tmp_path / "other")
    assert run_guarded(mirror, ["show", "--workspace", str(tmp_path / "other")]) == 0
    assert "en-trades" in capsys.readouterr().out


READING = (
    ["gc"],
    ["gc", "--dry-run"],
    ["show"],
    ["verify", "some-recipe"],
    ["down"],
    ["history", "some-model"],
    ["promote", "some-model"],
    ["rollback", "some-model"],
    ["serve", "some-model"],
    ["compare", "models:/some-model/1", "models:/some-model/2"],
    ["export", "models:/some-model/1", "--to", "onnx", "--out", "never-made"],
)


def run_alone(arguments: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process that has imported nothing yet."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("MIRROR_HOME", "MLFLOW_", "PREFECT_"))
    }
    return subprocess.run(
        [sys.executable, "-c", "from flows.command import main; main()", *arguments],
        cwd=CHECKOUT,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_mistyped_workspace_is_told_and_not_made(arguments: list[str], tmp_path: Path) -> None:
    typo = tmp_path / "typo"
    done = run_alone([*arguments, "--workspace", str(typo)])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: no workspace at {typo}: check --workspace or MIRROR_HOME\n"
    assert not typo.exists()


@pytest.mark.parametrize("command", [["history", "some-model"], ["gc"], ["up"], ["run", "RECIPE"]])
def test_a_workspace_that_is_a_file_is_told_before_prefect_is_imported(
    command: list[str], tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not a folder")
    arguments = [part.replace("RECIPE", "en-python-docs") for part in command]
    done = run_alone([*arguments, "--workspace", str(notes)])
    assert done.returncode == 1
    [line] = done.stderr.splitlines()  # and so nothing of Prefect's
    assert line.startswith(f"error: the workspace {notes} cannot be written (it is a file)")
    assert "free or allow the folder, or set MIRROR_HOME" in line


@pytest.fixture
def run_encode(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Runs `mirror encode` on the tiny base with some standard input."""

    def run(*arguments: str, text: str = "") -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return run_guarded(mirror, ["encode", str(tiny_base), *arguments])

    return run


def test_encode_gives_the_encoders_vectors(
    run_encode: Callable[..., int], tiny_base: Path, tmp_path: Path
) -> None:
    from mirror.encoders.encoder import Encoder

    place, texts = tmp_path / "vectors.npy", ["the baker sells one mirror", "a wet letter"]
    assert run_encode("--out", str(place), "--pooling", "cls", text="\n".join(texts)) == 0
    expected = Encoder.load(tiny_base, "cls").encode(texts)
    np.testing.assert_array_equal(np.load(place), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "vectors.csv", "--pooling", "cls"], "ends in neither .npy nor .parquet"),
        (["--out", "vectors.npy", "--pooling", "cls"], "standard input is empty"),
        (["missing.txt", "--out", "vectors.npy", "--pooling", "cls"], "missing.txt cannot be read"),
    ],
)
def test_encode_refuses_what_it_cannot_do(
    run_encode: Callable[..., int],
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_encode(*arguments) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.glob("*.npy")) == []


def test_encode_wants_a_pooling_for_a_plain_model(
    run_encode: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_encode("--out", str(tmp_path / "vectors.npy"), text="one") == 1
    assert "choose cls or mean" in capsys.readouterr().err


def test_encode_refuses_a_folder_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "texts"
    texts.write_text("one\n")
    place = str(tmp_path / "vectors.npy")
    assert run_guarded(mirror, ["encode", "no/folder", str(texts), "--out", place]) == 1
    assert "no encoder at no/folder" in capsys.readouterr().err


def test_debugging_is_off_unless_asked_for() -> None:
    assert Debugging().on is False


def own_benchmark(folder: Path) -> Path:
    """A table of a user's own and its definition."""
    rows = [
        ("the baker sells a mirror", "the baker sells a mirror", 5),
        ("a wet letter", "a wet ladder", 3),
        ("the pilot hides", "two red kettles and a wagon", 1),
        ("a quiet garden", "the miner counts lanterns", 0),
    ] * 4  # fewer and a resample may hold one pair alone, which has no rank
    lines = ["sentence1\tsentence2\tscore", *("\t".join(map(str, row)) for row in rows)]
    (folder / "own.tsv").write_text("\n".join(lines) + "\n")
    path = folder / "own.toml"
    path.write_text('task = "similarity"\nfile = "own.tsv"\n')
    return path


def test_evaluate_scores_a_table_of_ones_own(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(tiny_base), "--pooling", "mean", "--benchmark", str(own_benchmark(tmp_path))]
    assert run_guarded(mirror, ["evaluate", *arguments]) == 0
    shown = capsys.readouterr().out
    assert "own" in shown
    assert "spearman" in shown


def test_evaluate_against_itself_finds_no_difference(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(tiny_base), "--pooling", "mean", "--benchmark", str(own_benchmark(tmp_path))]
    assert run_guarded(mirror, ["evaluate", *arguments, "--against", str(tiny_base)]) == 0
    shown = capsys.readouterr().out
    assert "+.000 to +.000" in shown
    assert "95% interval" in shown


def test_evaluate_refuses_an_unknown_benchmark_before_loading(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_guarded(mirror, ["evaluate", "no/folder", "--benchmarks", "nonsense"]) == 1
    assert "no benchmark at" in capsys.readouterr().err


def test_a_second_encoder_wants_a_lexicon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "no/folder", "--with", "other", "--benchmark"]
    assert run_guarded(mirror, [*arguments, str(own_benchmark(tmp_path))]) == 1
    assert "for the second language of a lexicon" in capsys.readouterr().err


def own_lexicon(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dictionary that says each word again, to learn from and to be tried on."""
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(folder))
    files = ""
    for name, words in (("train", ("baker", "farmer", "pilot")), ("test", ("judge", "miner"))):
        text = "".join(f"{word}\t{word}\n" for word in words)
        (folder / f"{name}.tsv").write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        files += f'[[files]]\npath = "{name}.tsv"\nsha256 = "{digest}"\n'
    path = folder / "words.toml"
    path.write_text(f'task = "lexicon"\nmetric = "acc@1"\n{files}')
    return path


def test_evaluate_takes_an_encoder_for_each_language(
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from flows import scoring_encoders

    loaded = []
    load = scoring_encoders.load_rival
    monkeypatch.setattr(
        scoring_encoders, "load_rival", lambda name, *rest: loaded.append(name) or load(name, *rest)
    )
    arguments = [str(tiny_base), "--pooling", "mean", "--with", str(tiny_base)]
    lexicon = str(own_lexicon(tmp_path, monkeypatch))
    assert run_guarded(mirror, ["evaluate", *arguments, "--benchmark", lexicon]) == 0
    assert loaded == [str(tiny_base)]
    assert "acc@1" in capsys.readouterr().out


def test_retrieval_wants_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "no/folder", "--benchmarks", "docstrings-retrieval,sample-space"]
    assert run_guarded(mirror, arguments) == 1
    assert "--recipe" in capsys.readouterr().err


@pytest.mark.parametrize(("states", "code"), [(["ok", "warn"], 0), (["ok", "bad"], 1)])
def test_doctor_fails_only_if_something_is_bad(
    home: Path,
    states: list[str],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from mirror import doctor
    from mirror.finding import Finding

    found = [Finding(f"thing {n}", state, "as it is", "mend it") for n, state in enumerate(states)]  # type: ignore[arg-type]
    monkeypatch.setattr(doctor, "examine", lambda *_: tuple(found))
    assert run_guarded(mirror, ["doctor"]) == code
    shown = capsys.readouterr().out
    assert shown.count("mend it") == 1
    assert "thing 0" in shown


def test_doctor_tells_of_a_setting_that_cannot_be_read(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mirror import doctor

    monkeypatch.setattr(doctor, "examine", lambda *_: ())
    monkeypatch.setenv("MIRROR_RUNS_PER_DEVICE", "abc")
    assert run_guarded(mirror, ["doctor"]) == 1
    assert "MIRROR_RUNS_PER_DEVICE is 'abc'" in " ".join(capsys.readouterr().out.split())
