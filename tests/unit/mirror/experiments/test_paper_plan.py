"""Which encoders the tables ask for, and on what each is measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mirror.corpus.ingest import ingest_corpus
from mirror.evaluation.benchmark import read_definition
from mirror.experiments.bases import BasePlaces
from mirror.experiments.paper_jobs import find_work
from mirror.experiments.paper_plan import FOLDER, Encoder, cells_of, encoder_of, make_plan
from mirror.experiments.published import Table, read_table, read_tables
from mirror.experiments.trial import with_changes
from mirror.recipe import find_recipe
from mirror.sampling.sample import sample_strings
from mirror.store import Store


@pytest.fixture
def text(invented: Callable[[], Path]) -> Path:
    return invented()


def test_quoted_rows_and_means_are_not_run(table: Table) -> None:
    cells = list(cells_of(table))
    assert {(cell.row, cell.column) for cell in cells} == {
        (row, column)
        for row in ("raw", "full", "no-noise")
        for column in ("own", "strict", "missing")
    }


def test_the_row_has_the_last_word_and_settings_add_up(table: Table) -> None:
    cells = {(cell.row, cell.column): cell for cell in cells_of(table)}
    assert cells["full", "own"].recipe == "en-trades"
    assert cells["full", "strict"].recipe == "fr-trades"
    assert cells["no-noise", "strict"].settings == {"temperature": 0.1, "dropout": 0.0}
    assert cells["raw", "own"].pooling == "cls"


def test_a_column_names_its_recipe(table: Table, tmp_path: Path) -> None:
    path = tmp_path / "01-noise.toml"
    path.write_text(path.read_text().replace('"en-trades"', '"{column}-trades"', 1))
    cells = {(cell.row, cell.column): cell for cell in cells_of(read_table(path))}
    assert cells["full", "own"].recipe == "own-trades"


def test_settings_are_checked_by_the_recipe(table: Table, text: Path) -> None:
    cells = {(cell.row, cell.column): cell for cell in cells_of(table)}
    recipe = encoder_of(cells["no-noise", "strict"]).recipe
    assert (recipe.tuning.temperature, recipe.tuning.dropout) == (0.1, 0.0)


def test_what_is_missing_is_told_for_its_cells_alone(table: Table, text: Path) -> None:
    plan = make_plan([table])
    assert {place[2] for place in plan.reasons} == {"missing"}
    assert all("no benchmark at not-there.toml" in reason for reason in plan.reasons.values())
    assert {place[2] for place in plan.cells} == {"own", "strict"}


def test_a_missing_recipe_is_told(table: Table, text: Path, tmp_path: Path) -> None:
    (tmp_path / "recipes" / "fr-trades.toml").unlink()
    plan = make_plan([table])
    told = plan.reasons[table.name, "full", "strict"]
    assert told == "there is no recipe paper/fr-trades: write it, or update the project"


def test_an_average_is_scored_by_its_members(table: Table, text: Path, tmp_path: Path) -> None:
    content = 'task = "average"\nmembers = ["own"]\n'
    (tmp_path / "definitions" / "not-there.toml").write_text(content)
    plan = make_plan([table])
    assert plan.cells[table.name, "full", "missing"].members == ("own",)
    assert plan.cells[table.name, "full", "own"].members == ("own",)
    assert plan.reasons == {}


def test_a_lexicon_needs_an_encoder_of_each_language(
    table: Table, text: Path, tiny_base: Path, tmp_path: Path, store: Store
) -> None:
    path = tmp_path / "01-noise.toml"
    path.write_text(
        path.read_text().replace('key = "own"', 'key = "own"\npartner = "fr-trades"', 1)
    )
    changed = read_table(path)
    plan, cells = make_plan([changed]), list(cells_of(changed))
    planned = plan.cells[changed.name, "full", "own"]
    assert [encoder.recipe.name for encoder in planned.encoders] == ["en-trades", "fr-trades"]
    # It is no encoder's own, so none is measured on it by itself.
    assert plan.benchmarks[planned.encoders[0].identity] == ()
    english = BasePlaces(stand_ins={"en": tiny_base})
    work = find_work(cells, plan, english, store, stand_in=True)
    assert work.reasons[changed.name, "full", "own"].startswith("no stand-in for fr")
    both = BasePlaces(stand_ins={"en": tiny_base, "fr": tiny_base})
    work = find_work(cells, plan, both, store, stand_in=True)
    assert len(work.keys[changed.name, "full", "own"]) == 2
    assert len(work.keys[changed.name, "full", "strict"]) == 1


def test_one_base_must_know_all_languages_of_a_benchmark(
    table: Table, text: Path, tiny_base: Path, tmp_path: Path, store: Store
) -> None:
    definition = tmp_path / "definitions" / "own.toml"
    definition.write_text('languages = ["en", "fr"]\n' + definition.read_text())
    plan, cells = make_plan([table]), list(cells_of(table))
    other = tmp_path / "another-base"
    other.symlink_to(tiny_base)

    def reason(**stand_ins: Path) -> str:
        work = find_work(cells, plan, BasePlaces(stand_ins=stand_ins), store, stand_in=True)
        return work.reasons.get((table.name, "full", "own"), "")

    assert reason(en=tiny_base) == "no stand-in for fr: --stand-in fr=PATH"
    assert reason(en=tiny_base, fr=other) == "no one stand-in for en and fr: give both the same"
    assert reason(en=tiny_base, fr=tiny_base) == ""


def test_equal_settings_make_one_encoder(text: Path, tmp_path: Path) -> None:
    recipe = find_recipe("en-trades", tmp_path / "recipes")
    same = with_changes(recipe, {"tuning.dropout": 0.1, "base.hub": "another/base"})
    other = with_changes(recipe, {"tuning.dropout": 0.2})

    def identity(of: object, kind: str = "tuned", pooling: str | None = None) -> str:
        return Encoder(of, kind, pooling).identity  # type: ignore[arg-type]

    assert identity(recipe) == identity(same) != identity(other)
    # A raw base knows nothing of dropout, but all of pooling.
    assert identity(recipe, "raw", "cls") == identity(other, "raw", "cls")
    assert identity(recipe, "raw", "cls") != identity(recipe, "raw", "mean")
    longer = with_changes(recipe, {"tuning.inference_max_tokens": 40})
    assert identity(recipe, "raw", "cls") != identity(longer, "raw", "cls")


def test_an_encoder_is_measured_on_all_that_any_table_asks(
    table: Table, text: Path, tmp_path: Path
) -> None:
    definitions = tmp_path / "definitions"
    (definitions / "more.toml").write_text((definitions / "own.toml").read_text())
    second = tmp_path / "02-more.toml"
    content = (tmp_path / "01-noise.toml").read_text()
    second.write_text(content.replace('benchmark = "own"', 'benchmark = "more"', 1))
    plan = make_plan([table, read_table(second)])
    identity = plan.cells[table.name, "full", "own"].encoders[0].identity
    assert plan.benchmarks[identity] == ("own", "more")


def test_jobs_are_one_for_each_encoder_and_base(
    table: Table, text: Path, tiny_base: Path, store: Store
) -> None:
    plan, cells = make_plan([table]), list(cells_of(table))
    places = BasePlaces(stand_ins={"en": tiny_base})
    none = find_work(cells, plan, places, store, stand_in=False)
    assert none.jobs == {}
    told = {none.reasons[table.name, row, "own"] for row in ("raw", "full", "no-noise")}
    assert told == {
        "someone/some-base is not on this machine: --base someone/some-base=PATH, or --download"
    }
    work = find_work(cells, plan, places, store, stand_in=True)
    assert {place[1:] for place in work.keys} == {
        ("raw", "own"),
        ("full", "own"),
        ("no-noise", "own"),
    }
    assert work.reasons[table.name, "full", "strict"] == "no stand-in for fr: --stand-in fr=PATH"
    assert len(work.jobs) == 3


def test_trials_are_one_for_each_seed_and_one_for_a_raw_base(
    table: Table, text: Path, tiny_base: Path, store: Store
) -> None:
    plan, cells = make_plan([table]), list(cells_of(table))
    places = BasePlaces(stand_ins={"en": tiny_base})
    work = find_work(cells, plan, places, store, stand_in=True)
    trials = {
        row: list(work.jobs[work.keys[table.name, row, "own"][0]].trials((42, 33)))
        for row in ("raw", "full")
    }
    assert [trial.seed for trial in trials["full"]] == [42, 33]
    # Which strings are tuned on is not the seed's affair (paper, section 4).
    assert {trial.recipe.sample.seed for trial in trials["full"]} == {42}
    [raw] = trials["raw"]
    assert (raw.kind, raw.pooling, raw.recipe.evaluation.benchmarks) == ("raw", "cls", ("own",))


def test_strings_that_are_missing_leave_their_cells_empty(
    table: Table, text: Path, tiny_base: Path, store: Store
) -> None:
    text.unlink()
    places = BasePlaces(stand_ins={"en": tiny_base})
    work = find_work(list(cells_of(table)), make_plan([table]), places, store, stand_in=True)
    assert work.jobs == {}
    told = work.reasons[table.name, "full", "own"]
    assert "no text at text.txt" in told
    assert str(text.parent) not in told


def test_random_strings_take_the_place_of_the_recipes_own(
    table: Table, text: Path, tiny_base: Path, tmp_path: Path, store: Store
) -> None:
    path = tmp_path / "01-noise.toml"
    path.write_text(
        path.read_text().replace('label = "no noise"', 'label = "x"\nstrings = "random"')
    )
    changed = read_table(path)
    places = BasePlaces(stand_ins={"en": tiny_base})
    plan, cells = make_plan([changed]), list(cells_of(changed))
    work = find_work(cells, plan, places, store, stand_in=True)
    recipe = work.jobs[work.keys[changed.name, "no-noise", "own"][0]].recipe
    [place] = recipe.corpus.paths
    strings = Path(place).read_text().split()
    assert len(strings) == len(set(strings)) == recipe.sample.size == 32
    assert recipe.corpus.split_into == "lines"
    # A text that is missing does not matter where it is not read.
    text.unlink()
    again = find_work(cells, plan, places, store, stand_in=True)
    assert set(again.keys) == {(changed.name, "no-noise", "own")}


def test_all_random_strings_are_tuned_on(
    table: Table, text: Path, tiny_base: Path, tmp_path: Path, store: Store
) -> None:
    words = tmp_path / "recipes" / "en-trades.toml"
    content = words.read_text().replace('"sentence"', '"word"').replace("size = 32", "size = 2_000")
    words.write_text(content)
    path = tmp_path / "01-noise.toml"
    changed = 'label = "x"\nstrings = "random"'
    path.write_text(path.read_text().replace('label = "no noise"', changed))
    cells = [cell for cell in cells_of(read_table(path)) if cell.strings == "random"]
    plan = make_plan([read_table(path)])
    work = find_work(cells, plan, BasePlaces(stand_ins={"en": tiny_base}), store, stand_in=True)
    [job] = work.jobs.values()
    given = Path(job.recipe.corpus.paths[0]).read_text().split()
    assert len(set(given)) == 2_000
    corpus = ingest_corpus(job.recipe, store)
    sample = sample_strings(job.recipe, corpus, store)
    drawn = pq.read_table(sample.path / "strings.parquet")["text"].to_pylist()
    assert sorted(drawn) == sorted(given)


@pytest.mark.parametrize("table", read_tables(), ids=lambda table: table.name)
def test_every_cell_of_the_paper_has_its_recipe_and_benchmark(table: Table) -> None:
    for cell in cells_of(table):
        if cell.reason:
            continue
        recipe = encoder_of(cell).recipe
        assert recipe.base.hub is not None
        assert recipe.tuning.mode == "paper"
        if cell.partner is not None:
            assert find_recipe(cell.partner, FOLDER).level == "word"
        definition = read_definition(cell.benchmark)
        assert not definition.languages or recipe.language in definition.languages
        if cell.kind == "tuned":
            # RoBERTa's class token, BERT's mean; words and names by the class token.
            by_mean = recipe.level == "sentence" and "roberta" not in recipe.name
            assert recipe.tuning.pooling == ("mean-with-padding" if by_mean else "cls")


def test_the_papers_own_settings_are_one_encoder_in_all_tables() -> None:
    tables = {table.id: table for table in read_tables()}
    identities = {
        (name, row, column): encoder_of(cell).identity
        for name, table in tables.items()
        for cell in cells_of(table)
        for row, column in [(cell.row, cell.column)]
        if not cell.reason
    }
    same = [
        ("T3", "bert-mirror", "sts12"),
        ("T7", "bert-full", "stsb"),
        ("T12", "bert", "0.1"),
        ("T13", "bert", "k-5"),
        ("T9", "bert-mirror", "sentence-is"),
        ("Fig. 4", "bert-mirror-sts", "qnli"),
    ]
    assert len({identities[place] for place in same}) == 1
    assert identities["T8", "none", "sts12"] == identities["T7", "roberta-neither", "sts12"]
    assert identities["T10", "words", "en"] == identities["T1", "bert-mirror", "en"]
    assert len({identities["T8", row, "sts12"] for row in ("none", "dropout", "controlled")}) == 3
