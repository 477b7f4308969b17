"""Definitions of benchmarks, and the data that they declare."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mirror.errors import BenchmarkError
from mirror.evaluation import benchmark
from mirror.evaluation.benchmark import definition_names, read_definition
from mirror.evaluation.datasets import check_benchmarks, definition_digest
from mirror.evaluation.scored_pairs import Pair, load_pairs
from tests.fixtures.benchmarks import declare_files

COUNTS = {
    "sts12": 3108,
    "sts13": 1500,
    "sts14": 3750,
    "sts15": 3000,
    "sts16": 1186,
    "stsb": 1379,
    "stsb-dev": 1500,
    "sick-r": 4927,
    "multisimlex-en": 1888,
    "multisimlex-et": 1887,
    "multisimlex-en-fr": 1776,
    "multisimlex-en-zh": 2919,
    "multisimlex-en-he": 2963,
    "multisimlex-fr-zh": 1795,
    "multisimlex-fr-he": 2390,
    "multisimlex-zh-he": 2682,
    "sts17-es": 250,
    "sts17-ar": 250,
    "qnli": 5463,
}


def write(folder: Path, text: str, name: str = "mine") -> str:
    (folder / f"{name}.toml").write_text(text)
    return str(folder / f"{name}.toml")


def table(folder: Path, text: str) -> str:
    (folder / "mine.tsv").write_bytes(text.encode())
    return write(folder, 'task = "similarity"\nfile = "mine.tsv"\n')


@pytest.mark.parametrize("name", definition_names())
def test_every_shipped_definition_loads(name: str) -> None:
    definition = read_definition(name)
    assert definition.name == name
    assert definition.title
    if definition.task == "similarity":
        assert definition.publisher
        assert definition.licence
        assert definition.pairs


@pytest.mark.parametrize("name", [name for name in definition_names() if "retrieval" not in name])
def test_every_shipped_definition_fits_its_data(name: str, shared: Path) -> None:
    definition = read_definition(name)
    assert len(definition_digest(definition)) == 64
    if definition.task in ("similarity", "classification"):
        pairs = load_pairs(definition)
        assert len(pairs) == COUNTS.get(name, 1888)
        assert all(pair.first and pair.second for pair in pairs)


def test_sick_is_free_of_carriage_returns(shared: Path) -> None:
    first = load_pairs(read_definition("sick-r"))[0]
    assert (first.gold, first.first[-3:], first.second[-10:]) == (3.3, "ing", "background")


def test_quotes_have_no_special_meaning(tmp_path: Path) -> None:
    name = table(tmp_path, 'sentence1\tsentence2\tscore\n"open\tclosed"\t1\nnext\tone\t2\n')
    assert load_pairs(read_definition(name)) == (
        Pair('"open', 'closed"', 1),
        Pair("next", "one", 2),
    )


def test_a_users_own_table_takes_three_lines(tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text("a\tb\tgold\nred\tblue\t0.5\n")
    text = (
        'task = "similarity"\nfile = "mine.tsv"\n'
        'columns = { first = "a", second = "b", score = "gold" }'
    )
    assert load_pairs(read_definition(write(tmp_path, text))) == (Pair("red", "blue", 0.5),)


def test_only_line_feeds_end_lines(tmp_path: Path) -> None:
    name = table(tmp_path, "sentence1\tsentence2\tscore\r\na\u2028b\tc\x0bd\t1\r\n")
    assert load_pairs(read_definition(name)) == (Pair("a\u2028b", "c\x0bd", 1),)


def test_the_digest_follows_a_users_own_file(tmp_path: Path) -> None:
    name = table(tmp_path, "sentence1\tsentence2\tscore\na\tb\t1\n")
    before = definition_digest(read_definition(name))
    table(tmp_path, "sentence1\tsentence2\tscore\na\tb\t2\n")
    assert definition_digest(read_definition(name)) != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sentence1\tsentence2\ngreen\tred\n", "no column 'score'; its first line has sentence1"),
        ("sentence1\tsentence2\tscore\na\tb\tmuch\n", "line 2: the score 'much' is not a number"),
        ("sentence1\tsentence2\tscore\na\tb\tnan\n", "line 2: the score 'nan' is not a number"),
        ("sentence1\tsentence2\tscore\na\tb\tinf\n", "line 2: the score 'inf' is not a number"),
        ("sentence1\tsentence2\tscore\n \tb\t1\n", "line 2 has a pair without a text"),
        ("sentence1\tsentence2\tscore\na\tb\t1\nc\td\t1\n", "all 2 gold scores of mine are 1"),
        ("sentence1\tsentence2\tscore\na b 1\n", "line 2 has 1 fields, separated by tabs"),
        ("sentence1\tsentence2\tscore\n", "holds no scored pair"),
        ("", "first line has no field"),
    ],
)
def test_faults_of_a_table_say_what_and_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        load_pairs(read_definition(table(tmp_path, text)))


def test_a_table_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    name = table(tmp_path, "")
    (tmp_path / "mine.tsv").write_bytes("sentence1\tsentence2\tscore\nä\tb\t1\n".encode("latin-1"))
    with pytest.raises(BenchmarkError, match="not UTF-8"):
        load_pairs(read_definition(name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('task = "similarity"', "needs `file`"),
        ('task = "average"', "needs `members`"),
        ('task = "similarity"\nfile = "a"\nmetrics = "x"', "metrics: unknown key"),
        ('task = "retrieval"\nmetric = "mrr@10"\nfile = "a"', "takes no files"),
        ('task = "guessing"', "task"),
        ('task = "retrieval"\nmetric = "auc"', "metric of retrieval is mrr@10"),
        ('task = "classification"\nmetric = "auc"\nfile = "a"', "needs `labels`"),
        ('task = "lexicon-induction"\nmetric = "acc@1"\nfile = "a"', "needs 2 `files`"),
        ('task = "entity-linking"\nmetric = "acc@1"', "needs 2 `files`"),
        (
            'task = "similarity"\nfile = "a"\nlabels = ["no", "yes"]',
            "only a classification benchmark takes",
        ),
        ('task = "similarity"\nfile = "a"\nsecond_column = "FRA"', "need `scale`"),
        ("task = ", "cannot be read as TOML"),
        (
            f'task = "similarity"\n[[files]]\npath = "../../x"\nsha256 = "{"0" * 64}"',
            "leaves its folder",
        ),
    ],
)
def test_faults_of_a_definition_are_reported(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        read_definition(write(tmp_path, text))


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for that of the shipped definitions."""
    monkeypatch.setattr(benchmark, "DEFINITIONS", tmp_path)
    table(tmp_path, "sentence1\tsentence2\tscore\na\tb\t1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ('"all"', "all is an average of all, whose task is 'average'"),
        ('"mine", "others"', "all is an average of others, whose task is 'average'"),
        ('"search"', "all is an average of search, whose task is 'retrieval'"),
        ('"mine", "absent"', "no benchmark at .*absent"),
        ('"mine", "answers"', "average of spearman, and the metric of answers is auc"),
    ],
)
def test_an_average_is_of_benchmarks_of_one_metric(
    shipped: Path, members: str, message: str
) -> None:
    write(shipped, 'task = "average"\nmembers = ["all"]', "others")
    write(shipped, 'task = "retrieval"\nmetric = "mrr@10"', "search")
    labels = 'labels = ["no", "yes"]'
    write(shipped, f'task = "classification"\nmetric = "auc"\nfile = "x"\n{labels}', "answers")
    write(shipped, f'task = "average"\nmembers = [{members}]', "all")
    with pytest.raises(BenchmarkError, match=message):
        read_definition("all")
    with pytest.raises(BenchmarkError, match=message):
        check_benchmarks(["all"])


def test_the_gate_needs_a_gated_benchmark(shipped: Path) -> None:
    write(shipped, 'task = "similarity"\nused_by_gate = false\nfile = "mine.tsv"\n', "shown")
    check_benchmarks(["shown", "mine"])
    with pytest.raises(
        BenchmarkError, match="gate uses none of shown, which all have `used_by_gate = false`"
    ):
        check_benchmarks(["shown"])


def test_a_guard_is_a_general_benchmark(shipped: Path) -> None:
    write(shipped, 'task = "retrieval"\n', "found")
    check_benchmarks(["found"], guard="mine")
    with pytest.raises(BenchmarkError, match=r"evaluation\.guard: found is measured on the run's"):
        check_benchmarks(["mine"], guard="found")
    with pytest.raises(BenchmarkError, match=r"no benchmark at .*absent\.toml"):
        check_benchmarks(["mine"], guard="absent")


def test_the_digest_of_an_average_follows_its_members(shipped: Path) -> None:
    write(shipped, 'task = "average"\nmembers = ["mine"]', "all")
    before = definition_digest(read_definition("all"))
    table(shipped, "sentence1\tsentence2\tscore\na\tb\t2\n")
    assert definition_digest(read_definition("all")) != before


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(tmp_path / "data"))
    contents = {"own/pairs.tsv": "sentence1\tsentence2\tscore\na\tb\t1\n"}
    text = 'task = "similarity"\n' + declare_files(tmp_path / "data", contents)
    name = write(tmp_path, text + 'url = "https://example.org/pairs.tsv"\n')
    return name, tmp_path / "data" / "own" / "pairs.tsv"


def test_data_with_its_checksum_passes(declared: tuple[str, Path]) -> None:
    check_benchmarks([declared[0]])


def test_a_wrong_checksum_is_refused_before_any_work(declared: tuple[str, Path]) -> None:
    declared[1].write_text("sentence1\tsentence2\tscore\na\tb\t5\n")
    with pytest.raises(BenchmarkError, match="not the file that was declared"):
        check_benchmarks([declared[0]])


def test_missing_data_says_how_to_get_it(declared: tuple[str, Path]) -> None:
    shutil.rmtree(declared[1].parent)
    with pytest.raises(BenchmarkError, match="--fetch"):
        check_benchmarks([declared[0]])


def test_all_missing_benchmarks_are_reported_together() -> None:
    with pytest.raises(BenchmarkError) as caught:
        check_benchmarks(["nothing-a", "nothing-b"])
    assert "nothing-a" in str(caught.value)
    assert "nothing-b" in str(caught.value)
    assert "stsb" in str(caught.value)


def test_a_benchmark_without_url_shows_its_instructions() -> None:
    for name in definition_names():
        definition = read_definition(name)
        if any(file.url is None for file in definition.files):
            assert "https://" in definition.download_instructions
            assert "SHA-256" in definition.download_instructions


@pytest.mark.parametrize("there", [False, True], ids=["missing", "other bytes"])
def test_fetch_is_not_suggested_for_a_benchmark_without_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    definition = read_definition("multisimlex-en")
    monkeypatch.setattr("mirror.evaluation.datasets.data_roots", lambda: (tmp_path,))
    if there:
        (tmp_path / "multisimlex").mkdir()
        (tmp_path / "multisimlex" / "translation.csv").write_text("ID\n")
    with pytest.raises(BenchmarkError) as caught:
        definition_digest(definition)
    assert "--fetch" not in str(caught.value)
    for expected in (
        "multisimlex.com",
        "Vulic-2020-2244.tsv",
        "ENG 1 and ENG 2",
        "copy this definit",
    ):
        assert expected in str(caught.value)


MULTISIMLEX = {
    "translation.csv": "ID,POS,ENG 1,ENG 2\n1,nouns,arm,leg\n2,verbs,go,walk\n",
    "scores.csv": "ID,ENG\n1,2.5\n2,4\n",
}


def own_multisimlex(folder: Path, contents: dict[str, str], more: str = "") -> str:
    """A user's copy of the definition, as the shipped one says to make it."""
    files = declare_files(folder, {f"multisimlex/{name}": text for name, text in contents.items()})
    head = f'task = "similarity"\nformat = "multisimlex"\ncolumn = "ENG"\n{more}'
    return write(folder, head + files)


def test_a_users_own_copy_of_multisimlex_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(tmp_path))
    definition = read_definition(own_multisimlex(tmp_path, MULTISIMLEX))
    definition_digest(definition)
    assert load_pairs(definition) == (
        Pair("arm", "leg", 2.5, "nouns"),
        Pair("go", "walk", 4, "verbs"),
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("translation.csv", "ID,ENG 1,ENG 2\n1,a,b\n2,c,d\n", "no column 'POS'"),
        ("scores.csv", "number,ENG\n1,2.5\n2,4\n", "no column 'ID'"),
        ("scores.csv", "ID,ENG\n1,2.5\n", "2 pairs and .* 1 scores"),
        ("scores.csv", "ID,ENG\n2,2.5\n1,4\n", "differ at pair 1"),
        ("scores.csv", "ID,ENG\n1,2.5\n2\n", r"scores\.csv, pair 2 has no 'ENG'"),
        ("translation.csv", "ID,POS,ENG 1,ENG 2\n1,nouns,arm\n2,v,a,b\n", "pair 1 has no 'ENG 2'"),
    ],
)
def test_faults_of_a_users_own_multisimlex_say_what_and_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, message: str
) -> None:
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(tmp_path))
    definition = read_definition(own_multisimlex(tmp_path, {**MULTISIMLEX, name: text}))
    with pytest.raises(BenchmarkError, match=message):
        load_pairs(definition)


@pytest.mark.parametrize(
    ("form", "count", "message"),
    [
        ("multisimlex", 1, "two `files`: words, then scores"),
        ("semeval", 1, "`files` two by two"),
        ("semeval", 3, "`files` two by two"),
    ],
)
def test_a_format_says_how_many_files_it_takes(
    tmp_path: Path, form: str, count: int, message: str
) -> None:
    files = f'[[files]]\npath = "own/a"\nsha256 = "{"0" * 64}"\n' * count
    head = f'task = "similarity"\nformat = "{form}"\ncolumn = "ENG"\n'
    with pytest.raises(BenchmarkError, match=message):
        read_definition(write(tmp_path, head + files))


def test_a_semeval_line_without_a_tab_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(tmp_path))
    contents = {"STS.input.x.txt": "a\tb\nno tab here\n", "STS.gs.x.txt": "1\n2\n"}
    files = declare_files(tmp_path, contents)
    definition = read_definition(
        write(tmp_path, f'task = "similarity"\nformat = "semeval"\n{files}')
    )
    with pytest.raises(BenchmarkError, match=r"STS\.input\.x\.txt, line 2 has no tab"):
        load_pairs(definition)


ACROSS = {
    "translation.csv": (
        "ID,POS,ENG 1,ENG 2,FRA 1,FRA 2\n"
        "1,nouns,arm,leg,bras,jambe\n"
        "2,verbs,go,walk,aller,marcher\n"
        "3,nouns,leg,arm,jambe,bras\n"
        "4,nouns,sun,moon,soleil,\n"
    ),
    "scores.csv": "ID,ENG,FRA\n1,2.5,3\n2,4,2.8\n3,1,1.5\n4,0,1\n",
}


def test_pairs_across_languages_cross_both_ways_and_have_the_mean_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(tmp_path))
    name = own_multisimlex(tmp_path, ACROSS, 'second_column = "FRA"\nscale = [0, 6]\n')
    # Pair 2 differs by 1.2, a fifth of the scale; pair 3 repeats 1; the last has an empty word.
    assert load_pairs(read_definition(name)) == (
        Pair("arm", "jambe", 2.75, "nouns"),
        Pair("leg", "bras", 2.75, "nouns"),
        Pair("moon", "soleil", 0.5, "nouns"),
    )


def test_labels_become_ones_and_zeros(tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text("sentence1\tsentence2\tscore\na\tb\tyes\nc\td\tno\n")
    text = 'task = "classification"\nmetric = "auc"\nfile = "mine.tsv"\nlabels = ["no", "yes"]'
    assert [pair.gold for pair in load_pairs(read_definition(write(tmp_path, text)))] == [1, 0]
    (tmp_path / "mine.tsv").write_text("sentence1\tsentence2\tscore\na\tb\tmaybe\n")
    with pytest.raises(BenchmarkError, match="line 2: the label 'maybe' is not one of no and yes"):
        load_pairs(read_definition(write(tmp_path, text)))


def test_qnli_has_as_many_answers_as_its_publisher_says(shared: Path) -> None:
    pairs = load_pairs(read_definition("qnli"))
    assert sum(pair.gold for pair in pairs) == 2702


@pytest.mark.parametrize("file", ["/etc/hostname", "../secret.tsv", "in/../../secret.tsv", "", "."])
def test_a_local_table_cannot_be_outside_the_definitions_folder(tmp_path: Path, file: str) -> None:
    (tmp_path / "secret.tsv").write_text("sentence1\tsentence2\tscore\na\tb\t1\n")
    folder = tmp_path / "mine"
    folder.mkdir()
    name = write(folder, f'task = "similarity"\nfile = "{file}"\n')
    with pytest.raises(BenchmarkError, match=r"mine\.toml has 1 fault.*\n.*(leaves|names no file)"):
        read_definition(name)


@pytest.mark.parametrize("path", ["/etc/hostname", "../secret.tsv"])
def test_a_published_file_cannot_be_outside_the_data_folder(tmp_path: Path, path: str) -> None:
    name = write(
        tmp_path, f'task = "similarity"\nfiles = [{{ path = "{path}", sha256 = "{"0" * 64}" }}]\n'
    )
    with pytest.raises(BenchmarkError, match="leaves its folder"):
        read_definition(name)


def test_a_link_out_of_the_definitions_folder_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.tsv"
    secret.write_text("sentence1\tsentence2\tscore\na\tb\t1\n")
    folder = tmp_path / "mine"
    (folder / "data").mkdir(parents=True)
    (folder / "linked.tsv").symlink_to(secret)
    for file in ("linked.tsv", "up/secret.tsv"):
        if file.startswith("up"):
            (folder / "up").symlink_to(tmp_path)
        definition = read_definition(write(folder, f'task = "similarity"\nfile = "{file}"\n'))
        for reads in (definition_digest, load_pairs):
            with pytest.raises(BenchmarkError, match="is a link that leaves"):
                reads(definition)
    shutil.copy(secret, folder / "data" / "own.tsv")
    (folder / "near.tsv").symlink_to(folder / "data" / "own.tsv")
    near = read_definition(write(folder, 'task = "similarity"\nfile = "near.tsv"\n'))
    assert load_pairs(near) == (Pair("a", "b", 1),)
