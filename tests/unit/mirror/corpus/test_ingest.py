import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.corpus import dedup, parquet_writer
from mirror.corpus import ingest as corpus_module
from mirror.corpus.ingest import corpus_stage, ingest_corpus
from mirror.documents import MAX_BYTES, OVERSIZED
from mirror.errors import StoreError
from mirror.paths import CHECKOUT
from mirror.recipe import find_recipe
from mirror.store import Store
from tests.fixtures.recipes import make_recipe

FRENCH = (
    "Le bateau traverse la rivière chaque matin, et le passeur regarde les enfants qui attendent "
    "sur la rive avec leurs paniers pleins de pommes et de pain frais pour le marché."
)


def files_recipe(language="en", **corpus):
    return make_recipe(language=language, corpus={"source": "files", **corpus})


@pytest.fixture
def ingest(tmp_path, store):
    def run(lines, **corpus):
        path = tmp_path / "text.jsonl"
        rows = [line if isinstance(line, dict) else {"text": line} for line in lines]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return ingest_corpus(files_recipe(paths=[str(path)], **corpus), store)

    return run


def table(record, name):
    return pq.read_table(record.path / name).to_pylist()


def texts(record):
    return [row["text"] for row in table(record, "sentences")]


def test_sentences_are_in_order_with_their_positions(ingest):
    record = ingest(["The boat is red. The oar is long.", "Nobody rows."])
    assert table(record, "sentences") == [
        {
            "text": text,
            "source": "text.jsonl",
            "document": document,
            "position": position,
            "count": 1,
        }
        for text, document, position in [
            ("The boat is red.", 0, 0),
            ("The oar is long.", 0, 1),
            ("Nobody rows.", 1, 0),
        ]
    ]
    assert {key: n for key, n in record.counts.items() if key != "input_files"} == {
        "rows_in": 3,
        "kept": 3,
        "rejected": {},
        "documents": 2,
        "titles": 0,
        "characters": 44,
        "near_copies": 0.0,
        "files_left_out": {},
    }


def test_every_rejected_row_has_a_reason(ingest):
    lines = [
        "The boat is red. No.",
        "The boat is red.",
        {"text": "   "},
        {"other": 1},
        {"text": "It costs 5 \ufffd a day here."},
        {"text": FRENCH},
        {"text": "word " * 300},
        {"text": "It is not wanted.", "source": "the bad list"},
    ]
    rows = [
        {"source": "good", **(row if isinstance(row, dict) else {"text": row})} for row in lines
    ]
    record = ingest(rows, source_column="source", exclude_sources=["bad"], min_characters=5)
    assert texts(record) == ["The boat is red."]
    assert record.counts["rejected"] == {
        "broken characters": 1,
        "duplicate": 1,
        "empty": 1,
        "left out": 1,
        "no text": 1,
        "other language": 1,
        "too long": 1,
        "too short": 1,
    }
    assert record.counts["rows_in"] == 9
    rejects = table(record, "rejects")
    assert {(row["reason"], row["document"]) for row in rejects} >= {
        ("too short", 0),
        ("duplicate", 1),
        ("other language", 5),
        ("left out", 7),
    }
    assert max(len(row["text"]) for row in rejects) == 200


def test_only_the_first_of_equal_strings_in_the_whole_corpus_is_accepted(ingest, monkeypatch):
    monkeypatch.setattr(dedup, "BUFFER_ROWS", 7)
    monkeypatch.setattr(parquet_writer, "BUFFER_ROWS", 5)
    monkeypatch.setattr(parquet_writer, "ROW_GROUP", 10)
    monkeypatch.setattr(parquet_writer, "PART_ROWS", 30)
    lines = [f"The {number % 61}th boat has left." for number in range(500)]
    record = ingest(lines)
    assert texts(record) == lines[:61]
    assert record.counts["rejected"] == {"duplicate": 439}
    assert len(list((record.path / "sentences").glob("part-*"))) > 1
    assert record.counts["rows_in"] == 500


def test_near_duplicates_are_an_option(ingest):
    lines = [
        "The red boat crossed the wide lake before the storm had come.",
        "The red boat crossed the wide lake before the storms had come.",
        "Nobody in the village has ever owned a pair of glasses.",
    ]
    assert texts(ingest(lines)) == lines
    record = ingest(lines, near_duplicates=0.7)
    assert texts(record) == [lines[0], lines[2]]
    assert record.counts["rejected"] == {"near duplicate": 1}


def test_lines_are_not_split_with_split_into_lines(ingest):
    record = ingest(["Heart attack. Acute!", "Le bateau", "a. b. c. d. e. f."], split_into="lines")
    assert texts(record) == ["Heart attack. Acute!", "Le bateau", "a. b. c. d. e. f."]
    assert table(record, "titles") == []


def test_code_names_and_short_strings_are_not_taken_for_another_language(ingest):
    lines = [
        "numpy.ndarray.__array_interface__ np.einsum('ij,jk->ik', a, b) DataFrame.iloc[0]",
        "Schadenfreude",
        "Rio de Janeiro",
        "fillna, ffill, bfill, dropna, isna, notna, astype",
        "dtype=float64 ndim=2 shape=(3, 4) order='C' copy=False subok=True like=None out=None",
    ]
    assert ingest(lines).counts["rejected"] == {}


def test_language_check_can_be_left_off(ingest):
    assert texts(ingest([FRENCH], check_language=False)) == [FRENCH]


def test_word_list_keeps_its_counts(store):
    recipe = files_recipe("fr", source="wordfreq", words=200)
    record = ingest_corpus(recipe, store)
    rows = table(record, "sentences")
    assert {"de", "la"} < {row["text"] for row in rows}
    assert rows[0]["count"] > rows[-1]["count"] > 1
    assert table(record, "titles") == []


def test_same_sources_give_the_same_bytes(tmp_path, ingest):
    lines = [f"The {number}th boat has left. It came back." for number in range(200)]
    first = ingest(lines)
    again = ingest_corpus(
        files_recipe(paths=[str(tmp_path / "text.jsonl")]), Store(tmp_path / "another")
    )
    assert (first.digest, first.key) == (again.digest, again.key)
    assert not again.reused


def test_unchanged_corpus_is_reused_and_a_changed_one_is_not(ingest):
    first, second = ingest(["One boat."]), ingest(["One boat."])
    assert (first.reused, second.reused) == (False, True)
    assert ingest(["Two boats."]).key != first.key


def ingested_key(folder):
    return corpus_stage(files_recipe(paths=[str(folder / "text.jsonl")])).key


def test_files_of_a_killed_run_are_not_reused(ingest, store, tmp_path, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    lines = ["One boat left. Two boats stayed."]
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(corpus_module, "_write_tables", die)
        ingest(lines)
    assert not list((store.root / "stages").rglob("*.parquet"))
    assert not list((store.root / "work").iterdir())
    stale = store.root / "work" / ingested_key(tmp_path) / "candidates"
    stale.mkdir(parents=True)
    (stale / "part-00000.parquet").write_bytes(b"part of a killed run")
    assert texts(ingest(lines)) == ["One boat left.", "Two boats stayed."]
    assert not list((store.root / "work").iterdir())


def test_lost_rows_stop_the_run(ingest, monkeypatch):
    whole = corpus_module._mark_duplicates
    monkeypatch.setattr(
        corpus_module, "_mark_duplicates", lambda *given: (rows[1:] for rows in whole(*given))
    )
    with pytest.raises(StoreError, match="2 rows read, 1 kept"):
        ingest(["One boat left. Two boats stayed."])


def test_line_of_200_megabytes_is_refused_in_bounded_memory(tmp_path):
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(b"boat oar mast " * (MAX_BYTES // 8 // 14))
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from mirror.corpus.ingest import ingest_corpus\n"
        "from mirror.errors import CorpusError\n"
        "from mirror.recipe import parse_recipe\n"
        "from mirror.store import Store\n"
        "import json\n"
        "content = json.loads(sys.argv[1])\n"
        "recipe = parse_recipe(content, name='test', source='test')\n"
        "try:\n"
        "    ingest_corpus(recipe, Store(Path(sys.argv[2])))\n"
        "except CorpusError as error:\n"
        "    print(error)\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(int(re.search(r'VmHWM:\\s*(\\d+)', status)[1]) // 1024)\n"
    )
    content = files_recipe(paths=[str(path)]).model_dump(mode="json")
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps(content), str(tmp_path / "workspace")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=CHECKOUT,
    )
    message, megabytes = run.stdout.strip().split("\n")
    assert f"1 {OVERSIZED}" in message
    assert int(megabytes) < 500


def test_stage_needs_neither_torch_nor_the_language_models(tmp_path):
    code = (
        "import sys; from mirror.corpus.ingest import corpus_stage\n"
        "from mirror.recipe import find_recipe\n"
        "print(corpus_stage(find_recipe('en-python-docs')).key)\n"
        "print(sorted({'torch', 'transformers', 'prefect', 'mlflow'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=CHECKOUT,
    )
    key, loaded = run.stdout.split()
    assert (len(key), loaded) == (20, "[]")


def test_shipped_recipe_names_packages_that_are_installed():
    stage = corpus_stage(find_recipe("en-python-docs"))
    assert {"numpy", "scipy", "pandas", "scikit-learn"} < set(stage.inputs)


def test_docstrings_of_one_package_make_sentences_and_titles(store):
    record = ingest_corpus(files_recipe(source="docstrings", packages=["pydantic"]), store)
    assert record.counts["kept"] > 1_000
    assert record.counts["titles"] > 200
    rows = table(record, "titles")
    assert min(len(row["body"]) for row in rows) >= 40
    assert not [row for row in table(record, "sentences") if ">>>" in row["text"]]


@pytest.mark.parametrize(
    ("name", "language"), [("biomedical", "en"), ("german", "de"), ("spanish", "es")]
)
def test_real_paragraphs_are_mostly_accepted(shared, tmp_path, store, name, language):
    with pq.ParquetFile(shared / "corpora" / f"{name}.parquet") as file:
        batch = next(file.iter_batches(2_000))
    path = tmp_path / f"{name}.parquet"
    pq.write_table(pa.Table.from_batches([batch]), path)
    recipe = files_recipe(language, paths=[str(path)], source_column="source")
    counts = ingest_corpus(recipe, store).counts
    rejected = {reason: n for reason, n in counts["rejected"].items() if reason != "duplicate"}
    assert counts["documents"] == 2_000
    assert counts["kept"] > 0.9 * (counts["rows_in"] - counts["rejected"].get("duplicate", 0))
    assert rejected.get("other language", 0) < 40
