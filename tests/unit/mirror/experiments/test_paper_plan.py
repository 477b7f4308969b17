"""Plan of the paper's tables: encoders, benchmarks and bases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mirror.corpus.ingest import ingest_corpus
from mirror.encoders.base_model import base_digest
from mirror.encoders.encoder_ref import EncoderRef
from mirror.evaluation.benchmark import read_definition
from mirror.experiments.bases import BaseFolders
from mirror.experiments.paper_plan import EncoderSpec, encoder_of, plan_tables
from mirror.experiments.plan import ExperimentPlan
from mirror.experiments.published import PaperTable, cells_of, read_table, read_tables
from mirror.experiments.trial import Trial, with_changes
from mirror.recipe import PAPER_RECIPES, find_recipe
from mirror.sampling.sample import sample_strings
from mirror.store import Store


@pytest.fixture
def text(invented_paper: Callable[[], Path]) -> Path:
    return invented_paper()


def test_quoted_rows_and_means_are_not_run(table: PaperTable) -> None:
    cells = list(cells_of(table))
    assert {(cell.row, cell.column) for cell in cells} == {
        (row, column)
        for row in ("raw", "full", "no-noise")
        for column in ("own", "strict", "missing")
    }


def test_the_row_has_the_last_word_and_settings_add_up(table: PaperTable) -> None:
    cells = {(cell.row, cell.column): cell for cell in cells_of(table)}
    assert cells["full", "own"].recipe == "en-trades"
    assert cells["full", "strict"].recipe == "fr-trades"
    assert cells["no-noise", "strict"].settings == {"temperature": 0.1, "dropout": 0.0}
    assert cells["raw", "own"].pooling == "cls"


def test_a_column_names_its_recipe(table: PaperTable, tmp_path: Path) -> None:
    path = tmp_path / "01-noise.toml"
    path.write_text(path.read_text().replace('"en-trades"', '"{column}-trades"', 1))
    cells = {(cell.row, cell.column): cell for cell in cells_of(read_table(path))}
    assert cells["full", "own"].recipe == "own-trades"


def test_settings_are_checked_by_the_recipe(table: PaperTable, text: Path) -> None:
    cells = {(cell.row, cell.column): cell for cell in cells_of(table)}
    recipe = encoder_of(cells["no-noise", "strict"]).recipe
    assert (recipe.tuning.temperature, recipe.tuning.dropout) == (0.1, 0.0)


@pytest.fixture
def plan(text: Path, tiny_base: Path, store: Store) -> Callable[..., ExperimentPlan]:
    """Plan tables on the tiny base as stand-in for English, or on other folders."""

    def make(*tables: PaperTable, seeds: tuple[int, ...] = (42, 33), **folders: Any) -> Any:
        folders = folders or {"stand_ins": {"en": tiny_base}}
        return plan_tables(tables, tables, BaseFolders(**folders), seeds, store)

    return make


def reasons(plan: ExperimentPlan, kind: str = "stand-in") -> dict[tuple[str, str], str]:
    return {
        (row, column): cell.reason
        for (_, row, column, base), cell in plan.cells.items()
        if base == kind and cell.reason
    }


def trials_of(plan: ExperimentPlan, row: str, column: str = "own") -> list[Trial]:
    [keys] = [
        cell.encoders[0] for key, cell in plan.cells.items() if key[1:] == (row, column, "stand-in")
    ]
    trials = {trial.key: trial for trial in plan.trials}
    return [trials[key] for key in keys]


def test_a_missing_benchmark_empties_its_own_cells_only(
    table: PaperTable, plan: Callable[..., ExperimentPlan], tiny_base: Path
) -> None:
    found = reasons(plan(table, stand_ins={"en": tiny_base, "fr": tiny_base}))
    assert {column for _, column in found} == {"missing"}
    assert all("no benchmark at not-there.toml" in reason for reason in found.values())


def test_a_missing_recipe_is_named(
    table: PaperTable, plan: Callable[..., ExperimentPlan], tmp_path: Path
) -> None:
    (tmp_path / "recipes" / "fr-trades.toml").unlink()
    message = "there is no recipe paper/fr-trades: write it, or update the project"
    assert reasons(plan(table))["full", "strict"] == message


def test_an_average_is_scored_by_its_members(
    table: PaperTable, plan: Callable[..., ExperimentPlan], tmp_path: Path, tiny_base: Path
) -> None:
    content = 'task = "average"\nmembers = ["own"]\n'
    (tmp_path / "definitions" / "not-there.toml").write_text(content)
    made = plan(table, stand_ins={"en": tiny_base, "fr": tiny_base})
    assert reasons(made) == {}
    for column in ("missing", "own"):
        assert made.cells[table.name, "full", column, "stand-in"].benchmarks == ("own",)


def test_a_lexicon_needs_an_encoder_of_each_language(
    table: PaperTable, plan: Callable[..., ExperimentPlan], tiny_base: Path, tmp_path: Path
) -> None:
    path = tmp_path / "01-noise.toml"
    path.write_text(
        path.read_text().replace('key = "own"', 'key = "own"\npartner = "fr-trades"', 1)
    )
    french = tmp_path / "recipes" / "fr-trades.toml"
    french.write_text(french.read_text().replace("batch_size = 8", "batch_size = 4"))
    for recipe in (french, french.with_name("en-trades.toml")):
        recipe.write_text(recipe.read_text().replace('["own"]', '["of-the-recipe"]'))
    changed = read_table(path)
    english = plan(changed)
    assert reasons(english)["full", "own"].startswith("no stand-in for fr")
    both = plan(changed, stand_ins={"en": tiny_base, "fr": tiny_base})
    encoders = both.cells[changed.name, "full", "own", "stand-in"].encoders
    assert [keys[0][0].split()[0] for keys in encoders] == ["en-trades", "fr-trades"]
    # The lexicon is scored by two encoders, so neither is measured on it by itself.
    trials = {trial.key: trial for trial in both.trials}
    for key in (keys[0] for keys in encoders):
        assert trials[key].recipe.evaluation.benchmarks == ("of-the-recipe",)
    assert len(both.cells[changed.name, "full", "strict", "stand-in"].encoders) == 1


def test_one_base_must_know_all_languages_of_a_benchmark(
    table: PaperTable, plan: Callable[..., ExperimentPlan], tiny_base: Path, tmp_path: Path
) -> None:
    definition = tmp_path / "definitions" / "own.toml"
    definition.write_text('languages = ["en", "fr"]\n' + definition.read_text())
    other = tmp_path / "another-base"
    other.symlink_to(tiny_base)

    def reason(**stand_ins: Path) -> str | None:
        return reasons(plan(table, stand_ins=stand_ins)).get(("full", "own"))

    assert reason(en=tiny_base) == "no stand-in for fr: --stand-in fr=PATH"
    assert reason(en=tiny_base, fr=other) == "no one stand-in for en and fr: give both the same"
    assert reason(en=tiny_base, fr=tiny_base) is None


def test_equal_settings_make_one_encoder(text: Path, tmp_path: Path) -> None:
    recipe = find_recipe("en-trades", tmp_path / "recipes")
    same = with_changes(recipe, {"tuning.dropout": 0.1, "base.hub": "another/base"})
    other = with_changes(recipe, {"tuning.dropout": 0.2})

    def identity(of: object, kind: str = "tuned", pooling: str | None = None) -> str:
        return EncoderSpec(of, kind, pooling).identity  # type: ignore[arg-type]

    assert identity(recipe) == identity(same) != identity(other)
    # A raw base knows nothing of dropout, but all of pooling.
    assert identity(recipe, "raw", "cls") == identity(other, "raw", "cls")
    assert identity(recipe, "raw", "cls") != identity(recipe, "raw", "mean")
    longer = with_changes(recipe, {"tuning.inference_max_tokens": 40})
    assert identity(recipe, "raw", "cls") != identity(longer, "raw", "cls")


def test_an_encoder_is_scored_on_all_that_any_table_needs(
    table: PaperTable, text: Path, tmp_path: Path, tiny_base: Path, store: Store
) -> None:
    definitions = tmp_path / "definitions"
    (definitions / "more.toml").write_text((definitions / "own.toml").read_text())
    second = tmp_path / "02-more.toml"
    content = (tmp_path / "01-noise.toml").read_text()
    second.write_text(content.replace('benchmark = "own"', 'benchmark = "more"', 1))
    folders = BaseFolders(stand_ins={"en": tiny_base})
    made = plan_tables([table], [table, read_table(second)], folders, (42,), store)
    [trial] = trials_of(made, "full")
    assert trial.recipe.evaluation.benchmarks == ("own", "more")


def test_each_encoder_is_planned_once_on_each_base(
    table: PaperTable, plan: Callable[..., ExperimentPlan], tiny_base: Path
) -> None:
    made = plan(table)
    missing = {reasons(made, "ours")[row, "own"] for row in ("raw", "full", "no-noise")}
    assert missing == {
        "someone/some-base is not on this machine: --base someone/some-base=PATH, or --download"
    }
    assert reasons(made)["full", "strict"] == "no stand-in for fr: --stand-in fr=PATH"
    assert len({trial.label for trial in made.trials}) == 3
    base = EncoderRef(str(tiny_base), base_digest(tiny_base), tiny_base.name)
    assert {trial.base for trial in made.trials} == {base}
    # The paper's base and its stand-in may be the same folder.
    both = plan(table, named={"someone/some-base": tiny_base}, stand_ins={"en": tiny_base})
    own = [both.cells[table.name, "full", "own", kind] for kind in ("ours", "stand-in")]
    assert own[0] == own[1]


def test_trials_are_one_for_each_seed_and_one_for_a_raw_base(
    table: PaperTable, plan: Callable[..., ExperimentPlan]
) -> None:
    made = plan(table)
    tuned, [raw] = trials_of(made, "full"), trials_of(made, "raw")
    assert [trial.seed for trial in tuned] == [42, 33]
    # The strings are the same for every seed (paper, section 4).
    assert {trial.recipe.sample.seed for trial in tuned} == {42}
    assert (raw.kind, raw.pooling, raw.recipe.evaluation.benchmarks) == ("raw", "cls", ("own",))


def test_missing_strings_leave_their_cells_empty(
    table: PaperTable, plan: Callable[..., ExperimentPlan], text: Path
) -> None:
    text.unlink()
    made = plan(table)
    assert made.trials == ()
    reason = reasons(made)["full", "own"]
    assert "no text at text.txt" in reason
    assert str(text.parent) not in reason


def test_random_strings_replace_the_recipes(
    table: PaperTable, plan: Callable[..., ExperimentPlan], text: Path, tmp_path: Path
) -> None:
    path = tmp_path / "01-noise.toml"
    path.write_text(
        path.read_text().replace('label = "no noise"', 'label = "x"\nstrings = "random"')
    )
    recipe = trials_of(plan(read_table(path)), "no-noise")[0].recipe
    [file] = recipe.corpus.paths
    strings = Path(file).read_text().split()
    assert len(strings) == len(set(strings)) == recipe.sample.size == 32
    assert recipe.corpus.split_into == "lines"
    # They do not need the text.
    text.unlink()
    assert ("no-noise", "own") not in reasons(plan(read_table(path)))


def test_all_random_strings_are_tuned_on(
    table: PaperTable, plan: Callable[..., ExperimentPlan], tmp_path: Path, store: Store
) -> None:
    words = tmp_path / "recipes" / "en-trades.toml"
    content = words.read_text().replace('"sentence"', '"word"').replace("size = 32", "size = 2_000")
    words.write_text(content)
    path = tmp_path / "01-noise.toml"
    changed = 'label = "x"\nstrings = "random"'
    path.write_text(path.read_text().replace('label = "no noise"', changed))
    recipe = trials_of(plan(read_table(path)), "no-noise")[0].recipe
    given = Path(recipe.corpus.paths[0]).read_text().split()
    assert len(set(given)) == 2_000
    sample = sample_strings(recipe, ingest_corpus(recipe, store), store)
    drawn = pq.read_table(sample.path / "strings.parquet")["text"].to_pylist()
    assert sorted(drawn) == sorted(given)


@pytest.mark.parametrize("table", read_tables(), ids=lambda table: table.name)
def test_every_cell_of_the_paper_has_its_recipe_and_benchmark(table: PaperTable) -> None:
    for cell in cells_of(table):
        if cell.reason:
            continue
        recipe = encoder_of(cell).recipe
        assert recipe.base.hub is not None
        assert recipe.tuning.mode == "paper"
        if cell.partner is not None:
            assert find_recipe(cell.partner, PAPER_RECIPES).level == "word"
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
    assert len({identities[key] for key in same}) == 1
    assert identities["T8", "none", "sts12"] == identities["T7", "roberta-neither", "sts12"]
    assert identities["T10", "words", "en"] == identities["T1", "bert-mirror", "en"]
    assert len({identities["T8", row, "sts12"] for row in ("none", "dropout", "controlled")}) == 3
