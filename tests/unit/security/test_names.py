"""Names reach neither SQL, nor a glob, nor a path, nor the terminal other than as names.

Names of recipes and models that lead out of a folder or into a query are in
`test_recipe.py`, `test_promotion.py` and `test_registered_encoders.py`;
those of runs in `test_run_record.py`.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from mirror.corpus.ingest import ingest_corpus
from mirror.corpus.sources import read_documents
from mirror.duckdb_connection import exact_names
from mirror.errors import InputError, MirrorError
from mirror.evaluation.kinds.retrieval import RetrievalBenchmark
from mirror.experiments.study import find_study
from mirror.recipe import Recipe, find_recipe, read_recipe
from mirror.sampling.sample import sample_strings
from mirror.store import Store
from tests.fixtures.recipes import make_recipe
from tests.fixtures.security import ODD_NAME

BAD = (
    *("", ".", "..", "../up", "/etc/passwd", "a/b", "a\\b", "a\0b", "a\nb", "a\n", " a", "a "),
    *("a'b", 'a"b', "a`b", "a;b", "a$b", "a%b", "a{b", "a|b", "a*", "a?", "[a]", "a=b", "~", "-rf"),
    *("'; DROP TABLE strings; --", "<script>", "{{ 7*7 }}", "%(x)s", "a\u202eb", "а", "a" * 101),
)
COLUMNS = (
    "text'; DROP TABLE strings; --",
    'te"xt',
    "text) FROM read_csv('/etc/passwd') --",
    "$parts",
    "%(text)s {text} {{ text }}",
    "<script>alert(1)</script>",
    "te\u202ext\u0000"[:-1],
    "../../text",
    "*",
    "t" * 5_000,
)
FILES = (
    "it's.jsonl",
    'a "quoted" one.jsonl',
    "'; DROP TABLE strings; --.jsonl",
    "[a-z]*?.jsonl",
    "text=evil.jsonl",
    "$(touch swallowed).jsonl",
    "a\nsecond line.jsonl",
    "%s {} %2e%2e%2f.jsonl",
    "-rf.jsonl",
    "\u202eevil.jsonl",
)


def made(**changes: Any) -> Recipe:
    return make_recipe(**{"corpus": {"source": "docstrings"}, "name": "x", **changes})


@pytest.mark.parametrize("name", BAD)
def test_a_bad_name_is_refused_wherever_a_recipe_takes_one(name: str) -> None:
    for changes in (
        {"name": name},
        {"domain": name},
        {"language": name},
        {"registry": {"model": name}},
        {"evaluation": {"benchmarks": [name]}},
    ):
        with pytest.raises(InputError):
            made(**changes)
    with pytest.raises(ValueError, match="name"):
        RetrievalBenchmark(name=name, task="retrieval")
    for find in (find_recipe, find_study):
        with pytest.raises(InputError):
            find(name)


@pytest.mark.parametrize("name", [name for name in BAD if name][::5])
@pytest.mark.parametrize("command", ["promote", "rollback", "history", "serve"])
def test_a_bad_name_of_a_model_asks_the_registry_nothing(
    command: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'none' / 'mlflow.db'}")
    arguments = [command, "--", name]
    if command in ("promote", "rollback"):
        arguments[1:1] = ["--reason", "why"]
    done = CliRunner().invoke(mirror, arguments)
    assert done.exit_code != 0
    assert not (tmp_path / "none").exists()
    if done.exception and not isinstance(done.exception, SystemExit):
        assert isinstance(done.exception, MirrorError)


def write_column(path: Path, column: str) -> None:
    match path.suffix:
        case ".parquet":
            pq.write_table(pa.table({column: ["the baker sells"], "other": ["no"]}), path)
        case ".jsonl":
            path.write_text(json.dumps({"other": "no", column: "the baker sells"}) + "\n")
        case _:
            written = io.StringIO()
            csv.writer(written).writerows([["other", column], ["no", "the baker sells"]])
            path.write_text(written.getvalue())


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("column", COLUMNS, ids=range(len(COLUMNS)))
def test_a_column_is_found_by_its_name_whatever_it_is(
    column: str, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"words.{ending}"
    write_column(path, column)
    corpus = {"source": "files", "paths": [str(path)], "text_column": column}
    assert [document.text for document in read_documents(made(corpus=corpus))] == [
        "the baker sells"
    ]


def test_files_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    for number, name in enumerate(FILES):
        (tmp_path / name).write_text(json.dumps({"text": f"text {number}"}) + "\n")
    alone = [str(tmp_path / name) for name in FILES]
    for paths in (alone, [str(tmp_path)]):
        found = list(read_documents(made(corpus={"source": "files", "paths": paths})))
        assert {document.text for document in found} == {f"text {n}" for n in range(len(FILES))}
        assert {document.source for document in found} == set(FILES)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


def test_a_workspace_is_never_read_together_with_another(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """`*` in a folder's name fits other folders; `text=x` would stand for a column."""
    recipe = read_recipe(write_recipe(tmp_path / "recipe"))
    texts = {}
    for name in ("plain", "team*", "team?", "[t]eam", "text=evil", ODD_NAME, "team-b"):
        if name == "team-b":  # another team's words, where the patterns above would find them
            text = tmp_path / "recipe" / "text.jsonl"
            text.write_text(text.read_text().replace("baker", "spy").replace("judge", "spy"))
        store = Store(tmp_path / name)
        corpus = ingest_corpus(recipe, store)
        texts[name] = (corpus, store)
    for name in ("team*", "team?", "[t]eam", "text=evil", ODD_NAME):
        theirs = Path(texts["team-b"][0].folder)
        mine = Path(texts[name][0].folder)
        shutil.copytree(theirs, theirs.parent / mine.name, dirs_exist_ok=True)
    drawn = {}
    for name in set(texts) - {"team-b"}:
        corpus, store = texts[name]
        sample = sample_strings(recipe, corpus, store)
        drawn[name] = pq.read_table(sample.path / "strings.parquet").to_pydict()
        # Half of the documents of so small a corpus are held out.
        assert 0 < sample.counts["available"] < corpus.counts["kept"]
    assert {json.dumps(sample) for sample in drawn.values()} == {json.dumps(drawn["plain"])}
    assert "evil" not in drawn["text=evil"]["text"]


def test_without_exact_names_it_would_be(tmp_path: Path) -> None:
    """So that the attack above is one: what DuckDB makes of such names by itself."""
    for name in ("team*", "team-b"):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"text": [name]}), tmp_path / name / "part.parquet")
    query = "SELECT text FROM read_parquet($names)"
    mine = tmp_path / "team*" / "part.parquet"
    assert len(duckdb.execute(query, {"names": [str(mine)]}).fetchall()) == 2
    assert duckdb.execute(query, {"names": exact_names([mine])}).fetchall() == [("team*",)]


def test_a_column_in_a_message_commands_no_terminal(
    tmp_path: Path,
    write_recipe: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / "home"))
    path = tmp_path / "words.csv"
    path.write_text("\x1b]0;owned\x07,\x1b[2J[red]evil[/red]\u202e\n" + "a word,another\n" * 40)
    assert run_guarded(mirror, ["run", str(write_recipe(tmp_path / "recipe", text=str(path)))]) == 1
    shown = "".join(capsys.readouterr())
    assert "has no column 'text'" in shown and "[red]evil[/red]" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
