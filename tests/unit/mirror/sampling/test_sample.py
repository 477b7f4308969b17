import hashlib
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirror import duckdb_connection
from mirror.duckdb_connection import connect
from mirror.errors import InputError, SampleError, StoreError
from mirror.recipe import SampleSection
from mirror.sampling import sample as sampling
from mirror.sampling import word_counts
from mirror.sampling.sample import (
    build_candidates,
    draw_sample,
    sample_stage,
    sample_strings,
)
from mirror.sampling.words import word_splitter
from mirror.store import StageRecord, Store
from tests.fixtures.corpora import rows_of, write_corpus
from tests.fixtures.recipes import make_recipe


def recipe_with(level="sentence", language="en", batch_size=2, corpus=None, **sample):
    return make_recipe(
        level=level,
        language=language,
        corpus=corpus or {"source": "files", "paths": ["text"]},
        sample={"size": 5, **sample},
        tuning={"batch_size": batch_size},
    )


def strings_of(record):
    return pq.read_table(record.path / "strings.parquet")


def texts_of(record):
    return strings_of(record)["text"].to_pylist()


def hash_order(texts, seed):
    return sorted(
        texts, key=lambda text: (hashlib.md5(f"{seed}:{text}".encode()).hexdigest(), text.encode())
    )


def drawn(corpus, work, section, split=None, repeats=False, threads=1):
    with connect(work, threads) as connection:
        build_candidates(connection, corpus, section, split, repeats)
        return draw_sample(connection, section, by_count=split is not None)


NUMBERED = [f"the {number}th lantern is lit" for number in range(300)]


def test_strings_are_in_the_order_of_a_documented_hash(store, tmp_path):
    corpus = write_corpus(tmp_path / "corpus", rows_of(NUMBERED))
    record = sample_strings(recipe_with(size=40, seed=7), corpus, store)
    assert texts_of(record) == hash_order(NUMBERED, 7)[:40]
    assert record.counts["strings"] == 40
    assert record.counts["available"] == 300
    assert strings_of(record).schema.names == ["text", "source", "document", "count"]


KEEP_RAW = {"source": "files", "paths": ["text"], "split_into": "lines", "keep_raw": True}


@pytest.mark.parametrize("level", ["word", "name", "sentence"])
def test_raw_lines_are_drawn_as_often_as_they_occur(store, tmp_path, level):
    lines = ["oar", "mast", "oar", "7", "oar", " sail "]
    corpus = write_corpus(tmp_path / "corpus", rows_of(lines))
    record = sample_strings(recipe_with(level, corpus=KEEP_RAW, size=6), corpus, store)
    assert sorted(texts_of(record)) == sorted(lines)
    assert record.counts["available"] == 6
    few = sample_strings(recipe_with(level, corpus=KEEP_RAW, size=5), corpus, store)
    assert not Counter(texts_of(few)) - Counter(lines)
    assert len(texts_of(few)) == 5


def test_raw_lines_without_repeats_are_drawn_like_others(store, tmp_path):
    corpus = write_corpus(tmp_path / "corpus", rows_of(NUMBERED))
    record = sample_strings(recipe_with(corpus=KEEP_RAW, size=40), corpus, store)
    assert texts_of(record) == hash_order(NUMBERED, 42)[:40]


def test_another_seed_gives_another_sample(store, tmp_path):
    corpus = write_corpus(tmp_path / "corpus", rows_of(NUMBERED))
    one, two = (sample_strings(recipe_with(size=40, seed=seed), corpus, store) for seed in (1, 2))
    assert set(texts_of(one)) != set(texts_of(two))


def test_second_run_reuses_the_sample(store, tmp_path):
    corpus = write_corpus(tmp_path / "corpus", rows_of(NUMBERED))
    first, second = (sample_strings(recipe_with(), corpus, store) for _ in range(2))
    assert (first.reused, second.reused) == (False, True)
    assert first.digest == second.digest


def test_a_repeated_string_is_drawn_once_from_its_first_document(store, tmp_path):
    rows = [("an oar", "b", 4, 0, 1), ("an oar", "a", 9, 0, 3), ("a mast", "a", 1, 0, 1)]
    corpus = write_corpus(tmp_path / "corpus", rows)
    table = strings_of(sample_strings(recipe_with(size=2), corpus, store))
    oar = next(row for row in table.to_pylist() if row["text"] == "an oar")
    assert oar == {"text": "an oar", "source": "b", "document": 4, "count": 4}


def test_counts_have_sources_and_lengths(store, tmp_path):
    rows = rows_of(["x" * 5, "y" * 12], "a") + rows_of(["z" * 19], "bb")
    corpus = write_corpus(tmp_path / "corpus", rows)
    counts = sample_strings(recipe_with(size=3), corpus, store).counts
    assert counts["by_source"] == {"a": 2, "bb": 1}
    assert counts["lengths"] == [[0, 1], [10, 2]]


def test_stratified_sources_give_equally_many_strings(store, tmp_path):
    rows = (
        rows_of([f"long {n}" for n in range(90)], "long")
        + rows_of([f"middle {n}" for n in range(20)], "middle")
        + rows_of([f"short {n}" for n in range(3)], "short")
    )
    corpus = write_corpus(tmp_path / "corpus", rows)
    record = sample_strings(recipe_with(size=31, stratify_by_source=True), corpus, store)
    assert record.counts["by_source"] == {"long": 14, "middle": 14, "short": 3}
    assert texts_of(record) == hash_order(texts_of(record), 42)


WORDS = ["oak " * 5, "Elm elm elm", "the elm-tree isn't an oak", "ash ash", "77 -- 77 77 77 77 77"]


def test_the_most_frequent_words_are_drawn(store, tmp_path):
    corpus = write_corpus(tmp_path / "corpus", rows_of(WORDS))
    table = strings_of(sample_strings(recipe_with("word", size=3), corpus, store))
    found = {row["text"]: row["count"] for row in table.to_pylist()}
    assert found == {"oak": 6, "elm": 3, "ash": 2}
    assert table["text"].to_pylist() == hash_order(found, 42)
    assert table["document"].null_count == 3


def test_equally_frequent_words_are_chosen_by_hash(store, tmp_path):
    words = [f"w{chr(97 + n)}x" for n in range(26)]
    corpus = write_corpus(tmp_path / "corpus", rows_of([" ".join(words)]))
    record = sample_strings(recipe_with("word", size=10, seed=3), corpus, store)
    assert texts_of(record) == hash_order(words, 3)[:10]


def test_words_rarer_than_min_count_are_not_drawn(store, tmp_path):
    corpus = write_corpus(tmp_path / "corpus", rows_of(WORDS))
    record = sample_strings(recipe_with("word", size=3, min_count=2), corpus, store)
    assert record.counts["available"] == 3
    with pytest.raises(SampleError, match=r"with at least 2 occurrences, has 3 different words"):
        sample_strings(recipe_with("word", size=4, min_count=2), corpus, store)


def test_words_of_a_frequency_list_are_not_split_and_have_its_counts(store, tmp_path):
    rows = [
        ("New York", "list", 0, 0, 50),
        ("l'eau", "list", 1, 0, 70),
        ("rare", "list", 2, 0, 1),
        ("1984", "list", 3, 0, 900),
    ]
    corpus = write_corpus(tmp_path / "corpus", rows)
    recipe = recipe_with("word", "fr", size=2, corpus={"source": "wordfreq"})
    table = strings_of(sample_strings(recipe, corpus, store))
    found = {row["text"]: row["count"] for row in table.to_pylist()}
    assert found == {"l'eau": 70, "New York": 50}


def test_word_counts_are_weighted_by_the_rows_count(store, tmp_path):
    rows = [("tin tin cup", "a", 0, 0, 10), ("cup", "b", 1, 0, 15), ("jug", "b", 2, 0, 1)]
    corpus = write_corpus(tmp_path / "corpus", rows)
    table = strings_of(sample_strings(recipe_with("word", size=3), corpus, store))
    found = {row["text"]: (row["source"], row["count"]) for row in table.to_pylist()}
    assert found == {"tin": ("a", 20), "cup": ("b", 25), "jug": ("b", 1)}


def test_word_counts_do_not_depend_on_the_batch_size(tmp_path, monkeypatch):
    corpus = write_corpus(tmp_path / "corpus", rows_of(NUMBERED + WORDS), parts=3)
    section, split = SampleSection(size=20), word_splitter("en")
    whole = drawn(corpus.path, tmp_path, section, split)
    monkeypatch.setattr(word_counts, "FLUSH_WORDS", 3)
    monkeypatch.setattr(word_counts, "BATCH_ROWS", 2)
    assert drawn(corpus.path, tmp_path, section, split).equals(whole)
    counted = Counter(word for text in NUMBERED + WORDS for word in split(text))
    assert dict(
        zip(*whole.select(["text", "count"]).to_pydict().values(), strict=True)
    ).items() <= (counted.items())


def test_progress_reaches_its_total(store, tmp_path):
    corpus = write_corpus(tmp_path / "corpus", rows_of(WORDS))
    seen = []
    sample_strings(recipe_with("word", size=3), corpus, store, seen.append)
    assert [(each.done, each.total, each.unit) for each in seen[:1]] == [(5, 5, "strings")]


@pytest.mark.parametrize(
    ("texts", "size", "batch", "message"),
    [
        ([], 5, 2, r"has no strings: add text"),
        (["one bell"] * 9, 5, 2, r"only one string \('one bell'\)"),
        (["a", "b", "c"], 9, 4, r"3 different strings, fewer than one batch of 4.*3 or less"),
        (["a", "b", "c"], 4, 2, r"3 different strings, and sample.size is 4.*to 3 or less"),
    ],
)
def test_too_few_strings_are_refused_with_their_number(
    store, tmp_path, texts, size, batch, message
):
    corpus = write_corpus(tmp_path / "corpus", rows_of(texts))
    recipe = recipe_with(size=size, batch_size=batch)
    with pytest.raises(SampleError, match=message):
        sample_strings(recipe, corpus, store)
    assert store.find(sample_stage(recipe, corpus)) is None
    assert not list((store.root / "work").glob("*.out"))


def test_corpus_without_files_is_refused(store, tmp_path):
    corpus = StageRecord("corpus", "0" * 20, str(tmp_path / "gone"), "digest")
    with pytest.raises(SampleError, match=r"no strings in .*gone"):
        sample_strings(recipe_with(), corpus, store)


def test_a_missing_tokenizer_is_refused_before_reading(store, tmp_path, monkeypatch):
    monkeypatch.setattr("mirror.sampling.words.missing_modules", lambda extra: ["jieba"])
    corpus = StageRecord("corpus", "0" * 20, str(tmp_path / "gone"), "digest")
    with pytest.raises(InputError, match=r"pip install -e \.\[zh\]"):
        sample_strings(recipe_with("word", "zh"), corpus, store)


def test_lack_of_memory_and_disk_space_is_a_clear_error(store, tmp_path, monkeypatch):
    corpus = write_corpus(
        tmp_path / "corpus", rows_of([f"{n} " + "x" * 200 for n in range(40_000)])
    )
    for module in (duckdb_connection, sampling):
        monkeypatch.setattr(module, "MEMORY_LIMIT", "4MB")
    with pytest.raises(StoreError, match=r"cannot be sampled with 4MB"):
        sample_strings(recipe_with(), corpus, store)
    assert not list((store.root / "work").glob("*.out"))


def test_the_stage_key_depends_only_on_settings_that_change_the_sample(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", rows_of(WORDS))
    key = sample_stage(recipe_with(), corpus).key
    assert sample_stage(recipe_with(min_count=3, batch_size=4, language="de"), corpus).key == key
    others = [
        recipe_with(size=6),
        recipe_with(seed=1),
        recipe_with(stratify_by_source=True),
        recipe_with("word"),
        recipe_with("word", "de"),
        recipe_with("word", min_count=3),
    ]
    assert len({key, *(sample_stage(other, corpus).key for other in others)}) == 7


def test_many_strings_give_the_same_bytes_on_1_2_and_4_threads(tmp_path, monkeypatch):
    rows = [(f"{n % 150_000} barrels", f"s{n % 7}", n, 0, 1) for n in range(200_000)]
    corpus = write_corpus(tmp_path / "corpus", rows, parts=4)
    digests = set()
    for threads in ("1", "2", "4"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        store = Store(tmp_path / threads)
        digests.add(sample_strings(recipe_with(size=20_000), corpus, store).digest)
    assert len(digests) == 1


ROWS = st.lists(
    st.tuples(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 99),
        st.integers(0, 3),
        st.integers(1, 5),
    ),
    min_size=1,
    max_size=60,
)
LEVELS = st.sampled_from([None, word_splitter("en")])
DRAWN = st.sampled_from([(None, False), (None, True), (word_splitter("en"), False)])
slowly = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@slowly
@given(ROWS, DRAWN, st.booleans(), st.integers(1, 4), st.integers(1, 4))
def test_the_sample_does_not_depend_on_threads_and_layout(
    tmp_path_factory, rows, how, by_source, threads, parts
):
    folder = tmp_path_factory.mktemp("any")
    section = SampleSection(size=7, stratify_by_source=by_source)
    write_corpus(folder / "one", rows)
    write_corpus(folder / "many", list(reversed(rows)), parts)
    expected = drawn(folder / "one", folder, section, *how)
    assert drawn(folder / "many", folder, section, *how, threads).equals(expected)


@slowly
@given(ROWS, LEVELS, st.booleans(), st.integers(1, 30), st.integers(0, 30), st.integers(0, 9))
def test_smaller_samples_are_part_of_larger_ones(
    tmp_path_factory, rows, split, by_source, small, more, seed
):
    folder = tmp_path_factory.mktemp("any")
    write_corpus(folder / "corpus", rows)
    little, much = (
        drawn(
            folder / "corpus",
            folder,
            SampleSection(size=size, seed=seed, stratify_by_source=by_source),
            split,
        ).to_pylist()
        for size in (small, small + more)
    )
    assert all(row in much for row in little)
    texts = [row["text"] for row in much]
    assert texts == hash_order(set(texts), seed)


def test_real_text_is_sampled(shared, store, tmp_path):
    path = Path(shared) / "corpora" / "german.parquet"
    texts = pq.read_table(path, columns=["text"])["text"].to_pylist()[:20_000]
    corpus = write_corpus(tmp_path / "corpus", rows_of(texts), parts=2)
    record = sample_strings(recipe_with(size=1_000), corpus, store)
    assert texts_of(record) == hash_order(set(texts), 42)[:1_000]
    words = sample_strings(recipe_with("word", "de", size=1_000), corpus, store)
    assert {"und", "die", "nicht", "über"} <= set(texts_of(words))
