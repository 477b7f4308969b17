import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pyarrow import fs

from mirror import documents
from mirror import paths as mirror_paths
from mirror.corpus import input_files, readers, reasons, text_lines
from mirror.corpus.sources import check_sources, read_documents, source_digests
from mirror.documents import OVERSIZED
from mirror.errors import CorpusError, InputError, MirrorError, RecipeError
from tests.fixtures.recipes import make_recipe

TEXTS = ["the boat is red", "die Brücke bleibt offen", "el puente está abierto"]


def files_recipe(language="en", **corpus):
    return make_recipe(language=language, corpus={"source": "files", **corpus})


def read(*paths, **corpus):
    if paths:
        corpus["paths"] = [str(path) for path in paths]
    recipe = files_recipe(**corpus)
    return list(read_documents(recipe))


def texts_of(*paths, **corpus):
    return [document.text for document in read(*paths, **corpus)]


def write_texts(path, kind, packing=""):
    if kind == "parquet":
        pq.write_table(pa.table({"text": TEXTS}), path)
        return
    match kind:
        case "text":
            content = "".join(f"{text}\n" for text in TEXTS)
        case "jsonl":
            content = "".join(json.dumps({"id": 1, "text": text}) + "\n" for text in TEXTS)
        case _:
            mark = {"csv": ",", "tsv": "\t"}[kind]
            content = f"id{mark}text\r\n" + "".join(f'1{mark}"{text}"\r\n' for text in TEXTS)
    raw = content.encode()
    pack = {"": bytes, "gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress}[packing]
    path.write_bytes(pack(raw))


@pytest.mark.parametrize("packing", ["", "gz", "zst"])
@pytest.mark.parametrize(
    ("kind", "ending"), [("text", "txt"), ("jsonl", "jsonl"), ("csv", "csv"), ("tsv", "tsv")]
)
def test_every_format_is_read_with_any_compression(tmp_path, kind, ending, packing):
    path = tmp_path / ".".join(filter(None, ["corpus", ending, packing]))
    write_texts(path, kind, packing)
    assert texts_of(path) == TEXTS
    check_sources(files_recipe(paths=[str(path)]))


def test_parquet_is_read_with_its_sources(tmp_path):
    table = pa.table({"body": ["one oar", None, "two oars"], "from": ["a", "a", None]})
    pq.write_table(table, tmp_path / "oars.parquet")
    found = read(tmp_path / "oars.parquet", text_column="body", source_column="from")
    assert [(document.text, document.source, document.fault) for document in found] == [
        ("one oar", "a", ""),
        ("row 2", "oars.parquet", "no text"),
        ("two oars", "oars.parquet", ""),
    ]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_title_column_gives_titles_and_begins_the_text(tmp_path, kind):
    rows = [
        {"text": "One oar. Two oars.", "name": " Boats "},
        {"text": "A mast.", "name": "" if kind == "csv" else None},
    ]
    path = tmp_path / f"boats.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "csv":
        lines = [",".join(row.values()) for row in rows]
        path.write_text("\n".join(["text,name", *lines]) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    titled, plain = read(path, title_column="name")
    assert titled.text == "Boats\nOne oar. Two oars."
    assert (titled.title, titled.body) == ("Boats", "One oar. Two oars.")
    assert (plain.text, plain.title) == ("A mast.", "")
    with pytest.raises(CorpusError, match=r"no column 'heading'.*title_column"):
        check_sources(files_recipe(paths=[str(path)], title_column="heading"))


def test_folders_globs_and_uris_give_files_in_order_and_each_once(tmp_path):
    for name in ("b.txt", "a.txt", "inner/c.txt", ".hidden.txt", "notes.log", "_skip/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name}\n")
    everything = ["a.txt", "b.txt", "inner/c.txt"]
    assert texts_of(tmp_path) == everything
    assert [document.source for document in read(tmp_path)] == everything
    assert texts_of(f"{tmp_path}/*.txt") == ["a.txt", "b.txt"]
    assert texts_of(f"{tmp_path}/**/*.txt") == everything
    assert texts_of(f"file://{tmp_path}") == everything
    assert texts_of(f"file://{tmp_path}/*.txt") == ["a.txt", "b.txt"]
    assert texts_of(f"{tmp_path}/b.txt", tmp_path) == ["b.txt", "a.txt", "inner/c.txt"]


def test_relative_paths_start_at_the_checkout_and_then_at_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(mirror_paths, "CHECKOUT", tmp_path / "checkout")
    for name in ("checkout/both.txt", "here/both.txt", "here/own.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name}\n")
    monkeypatch.chdir(tmp_path / "here")
    assert texts_of("both.txt") == ["checkout/both.txt"]
    assert texts_of("own.txt") == ["here/own.txt"]
    assert texts_of("o*.txt") == ["here/own.txt"]
    assert texts_of("b*.txt") == ["checkout/both.txt"]


def test_missing_extra_is_named_with_its_remedy(tmp_path, monkeypatch):
    write_texts(tmp_path / "a.txt", "text")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="extra `dedup`"):
        check_sources(files_recipe(paths=[str(tmp_path / "a.txt")], near_duplicates=0.8))
    with pytest.raises(InputError, match="extra `hub`"):
        check_sources(files_recipe(source="hub", dataset=str(tmp_path)))


def test_object_storage_is_read_through_its_file_system(tmp_path, monkeypatch):
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "a.txt.gz").write_bytes(gzip.compress(b"far away\n"))
    store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())

    class Stores:
        FileType, FileSelector = fs.FileType, fs.FileSelector
        LocalFileSystem = fs.LocalFileSystem

        class FileSystem:
            @staticmethod
            def from_uri(uri):
                return store, uri.removeprefix("s3://")

    monkeypatch.setattr(input_files, "fs", Stores)
    assert texts_of("s3://bucket/a.txt.gz") == ["far away"]
    before = source_digests(files_recipe(paths=["s3://bucket"]))
    (tmp_path / "bucket" / "a.txt.gz").write_bytes(gzip.compress(b"further away\n"))
    assert source_digests(files_recipe(paths=["s3://bucket"])) != before


def test_digest_follows_content(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    before = source_digests(files_recipe(paths=[str(path)]))
    assert source_digests(files_recipe(paths=[str(path)])) == before
    path.write_text("two\n")
    assert source_digests(files_recipe(paths=[str(path)])) != before


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_other_encodings_are_read_when_named(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes("\r\n".join(["über den Fluß", "", "ça va", "end"]).encode(encoding))
    assert texts_of(path, encoding=encoding) == ["über den Fluß", "ça va", "end"]
    check_sources(files_recipe(paths=[str(path)], encoding=encoding))


def test_a_few_broken_lines_do_not_stop_a_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"good line\n" * 30 + "Fluß\n".encode("latin-1") + b"last line\n")
    assert texts_of(path)[-2:] == ["Flu\ufffd", "last line"]


def test_line_ends_may_fall_anywhere_in_a_chunk(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("one\n\nthree äöü\n四\nfive")
    for size in range(1, 8):
        monkeypatch.setattr(text_lines, "CHUNK", size)
        monkeypatch.setattr(text_lines, "HEAD", size)
        assert texts_of(path) == ["one", "three äöü", "四", "five"]


@pytest.mark.parametrize("kind", ["text", "jsonl", "parquet"])
def test_oversized_row_is_a_fault_and_the_rest_is_read(tmp_path, monkeypatch, kind):
    for module in (documents, text_lines, readers):
        monkeypatch.setattr(module, "MAX_BYTES", 100)
    monkeypatch.setattr(text_lines, "CHUNK", 64)
    rows = ["before", "x" * 500, "after"]
    path = tmp_path / {"text": "a.txt", "jsonl": "a.jsonl", "parquet": "a.parquet"}[kind]
    if kind == "parquet":
        pq.write_table(pa.table({"text": rows}), path)
    else:
        path.write_text(
            "".join((row if kind == "text" else json.dumps({"text": row})) + "\n" for row in rows)
        )
    found = read(path)
    assert [document.fault for document in found] == ["", OVERSIZED, ""]
    assert [found[0].text, found[2].text] == ["before", "after"]


def test_json_lines_without_text_are_faults(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\nnot json\n{"text": 3}\n[1]\n{"text": "\\ud800"}\n')
    assert [document.fault for document in read(path)] == [
        "",
        "not JSON",
        "no text",
        "no text",
        "",
    ]


def test_csv_rows_of_another_width_are_faults_and_quoted_line_ends_are_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,"two\nlines"\n2\n3,fine\n')
    found = read(path)
    assert [(document.text, document.fault) for document in found if not document.fault] == [
        ("two\nlines", ""),
        ("fine", ""),
    ]
    assert [document.fault for document in found if document.fault] == [reasons.MISFIT]


def refusal(path, **corpus):
    """Return the error about a file, which is the same in the check and in reading."""
    recipe = files_recipe(paths=[str(path)], **corpus)
    with pytest.raises(MirrorError) as early:
        check_sources(recipe)
    with pytest.raises(CorpusError):
        list(read_documents(recipe))
    assert isinstance(early.value, CorpusError)
    return str(early.value)


def test_missing_path_is_refused(tmp_path):
    message = refusal(tmp_path / "none.txt")
    assert str(tmp_path / "none.txt") in message
    assert "corpus.paths" in message


def test_unknown_format_is_refused_and_the_known_ones_are_named():
    with pytest.raises(RecipeError, match=r"format.*unknown format.*auto.*markdown"):
        files_recipe(paths=["a.txt"], format="word")


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_missing_column_is_refused_and_the_others_are_named(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    write_texts(path, kind)
    message = refusal(path, text_column="body")
    assert "'body'" in message
    assert "text" in message.split("(")[-1]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_missing_source_column_is_refused_at_once(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    write_texts(path, kind)
    with pytest.raises(CorpusError, match="'origin'"):
        check_sources(files_recipe(paths=[str(path)], source_column="origin"))


def test_column_without_text_is_refused(tmp_path):
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    assert "int64" in refusal(tmp_path / "a.parquet")


@pytest.mark.parametrize("ending", ["txt", "jsonl", "csv", "parquet"])
def test_binary_file_is_refused(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(bytes(range(256)) * 300)
    assert str(path) in refusal(path)


@pytest.mark.parametrize(("encoding", "hint"), [("latin-1", "latin-1"), ("utf-16", "utf-16")])
def test_wrong_encoding_is_refused(tmp_path, encoding, hint):
    path = tmp_path / "a.txt"
    path.write_bytes("über Brücken\nund Flüsse\n".encode(encoding))
    message = refusal(path)
    assert hint in message
    assert "corpus.encoding" in message


def test_unknown_encoding_is_refused(tmp_path):
    write_texts(tmp_path / "a.txt", "text")
    assert "no-such" in refusal(tmp_path / "a.txt", encoding="no-such")
    assert "hex" in refusal(tmp_path / "a.txt", encoding="hex")


@pytest.mark.parametrize("ending", ["txt.gz", "txt.zst"])
def test_damaged_compression_is_refused(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"this is not packed at all, whatever its ending says")
    assert ending[4:] in refusal(path)


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_cut_off_file_is_refused(tmp_path, ending):
    path = tmp_path / f"a.txt.{ending}"
    text = "".join(f"line {number * 7919} of the log\n" for number in range(50_000)).encode()
    pack = gzip.compress if ending == "gz" else zstandard.ZstdCompressor().compress
    path.write_bytes(pack(text)[:-2_000])
    with pytest.raises(CorpusError, match="cannot be read"):
        read(path)


def test_quote_that_never_closes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "MAX_BYTES", 1_000)
    path = tmp_path / "a.csv"
    path.write_text('text\n"open\n' + "more and more\n" * 500)
    with pytest.raises(CorpusError, match="quote"):
        read(path)


@pytest.mark.parametrize("language", ["xx", "zz", "qqx", "und"])
def test_unknown_language_is_refused(tmp_path, language):
    write_texts(tmp_path / "a.txt", "text")
    with pytest.raises(CorpusError, match=f"'{language}'"):
        check_sources(files_recipe(language, paths=[str(tmp_path / "a.txt")]))


def test_word_list_gives_the_most_frequent_words_with_counts():
    recipe = files_recipe("de", source="wordfreq", words=50)
    found = list(read_documents(recipe))
    assert len(found) == 50
    assert "und" in [document.text for document in found]
    counts = [document.occurrences for document in found]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] > 1_000


def test_language_without_word_list_is_refused():
    with pytest.raises(CorpusError, match=r"'sw'.*de, "):
        check_sources(files_recipe("sw", source="wordfreq"))


def test_hub_data_set_is_read_from_a_local_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "set").mkdir()
    rows = [{"text": "one oar", "kind": "a"}, {"text": None, "kind": "b"}]
    (tmp_path / "set" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read(source="hub", dataset=str(tmp_path / "set"), source_column="kind")
    assert [(document.text, document.source, document.fault) for document in found] == [
        ("one oar", "a", ""),
        ("row 2", "b", "no text"),
    ]
    assert len(list(read(source="hub", dataset=str(tmp_path / "set"), documents=1))) == 1
    with pytest.raises(CorpusError, match=r"'body'.*kind, text"):
        read(source="hub", dataset=str(tmp_path / "set"), text_column="body")
    with pytest.raises(CorpusError, match="'none'"):
        read(source="hub", dataset=str(tmp_path / "set"), split="none")
