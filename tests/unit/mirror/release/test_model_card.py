"""Model card: front matter for the hub, and text for users."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mirror.recipe import parse_recipe
from mirror.release.gate import Verdict
from mirror.release.model_card import base_licence, render_card
from mirror.release.package import CARD, ENCODER, package_encoder
from mirror.release.report import render_report
from mirror.release.run_results import RunResults, score_changes
from mirror.store import Store


def front_matter(card: str) -> dict[str, Any]:
    _, matter, _ = card.split("---\n", 2)
    content: dict[str, Any] = yaml.safe_load(matter)
    return content


def test_front_matter_is_what_the_hub_reads(results: RunResults) -> None:
    matter = front_matter(render_card(results))
    assert matter["language"] == "en"
    assert matter["license"] == "cc-by-4.0"
    assert matter["library_name"] == "sentence-transformers"
    assert matter["pipeline_tag"] == "sentence-similarity"
    assert {"mirror-bert", "sentence", "trades"} <= set(matter["tags"])
    index = matter["model-index"][0]
    assert index["name"] == "mirror-en-trades"
    values = {found["dataset"]["name"]: found["metrics"][0]["value"] for found in index["results"]}
    assert values["search"] == 0.4
    types = {found["dataset"]["name"]: found["task"]["type"] for found in index["results"]}
    assert types == {"likeness": "sentence-similarity", "search": "information-retrieval"}
    assert values["likeness"] == pytest.approx(score_changes(results)[0].after, abs=1e-4)


def test_hugging_face_accepts_the_card(results: RunResults) -> None:
    from huggingface_hub import ModelCard

    data = ModelCard(render_card(results)).data
    assert data.model_name == "mirror-en-trades"
    assert len(data.eval_results) == 2


def test_norwegian_stays_a_language(results: RunResults) -> None:
    recipe = results.recipe.model_copy(update={"language": "no"})
    assert front_matter(render_card(replace(results, recipe=recipe)))["language"] == "no"


def test_only_a_base_of_the_hub_is_linked(results: RunResults) -> None:
    assert "base_model" not in front_matter(render_card(results))
    content = results.recipe.model_dump(mode="json")
    content["base"] = {"hub": "some/base", "revision": "0" * 40}
    recipe = parse_recipe(content, name="en-trades", source="a test")
    assert front_matter(render_card(replace(results, recipe=recipe)))["base_model"] == "some/base"


@pytest.mark.parametrize(("pooling", "words"), [("cls", "first token"), ("mean", "the mean of")])
def test_pooling_is_stated_loudly(results: RunResults, pooling: str, words: str) -> None:
    tuning = results.recipe.tuning.model_copy(update={"pooling": pooling})
    recipe = results.recipe.model_copy(update={"tuning": tuning})
    card = render_card(replace(results, recipe=recipe))
    assert f"**Pooling: {pooling.upper()}.** A text's vector is" in card
    assert words in card


def test_a_prompt_is_explained(results: RunResults) -> None:
    assert "adds a prompt to" not in render_card(results)
    tuning = results.recipe.tuning.model_copy(update={"prompt": "{text} means [MASK]"})
    card = render_card(
        replace(results, recipe=results.recipe.model_copy(update={"tuning": tuning}))
    )
    assert "`{text} means [MASK]`: pass texts without it" in card


def test_scores_below_bm25_are_admitted(results: RunResults) -> None:
    card = render_card(results)
    assert "**On search this encoder scores below BM25** (.400\nagainst .500)" in card
    assert "On likeness this encoder" not in card


def with_measures(results: RunResults) -> RunResults:
    """Both evaluations with a space, which the gate does not use, and a measure of the search."""
    for side, isotropy in ((results.before, 0.125), (results.after, 0.625)):
        path = side.path / "scores.json"
        scores = json.loads(path.read_text())
        scores["search"]["extra_metrics"] = {"acc@5": isotropy / 2}
        scores["space"] = {
            "metric": "isotropy",
            "score": isotropy,
            "n": 9,
            "subsets": {},
            "baselines": {},
            "extra_metrics": {"mean vector norm": 10 * isotropy},
            "used_by_gate": False,
        }
        path.write_text(json.dumps(scores))
    return results


def test_metrics_that_the_gate_does_not_use_follow_the_scores(results: RunResults) -> None:
    assert "Further metrics" not in render_card(results)
    card = render_card(with_measures(results))
    heading = "Further metrics, not used by the promotion gate:"
    assert f"{heading}\n\n| benchmark | metric | base | tuned |\n" in card
    assert "\n| search | acc@5 | .062 | .312 |\n| space | isotropy | .125 | .625 |\n" in card
    assert "\n| space | mean vector norm | 1.250 | 6.250 |\n\n## Base" in card
    # Neither a row of the scores nor one of the hub's results.
    assert "| space | isotropy | 9 |" not in card
    assert 'name: "space"' not in card


def test_the_report_shows_it_too(results: RunResults) -> None:
    page = render_report(with_measures(results), Verdict(True, ("Better.",)))
    assert "<td>space</td><td>isotropy</td><td>.125</td><td>.625</td>" in page


def test_tables_have_as_many_cells_in_every_row(results: RunResults) -> None:
    base = replace(results.base, origin="models/a|b")
    rows = [line for line in render_card(replace(results, base=base)).splitlines() if "|" in line]
    scores = [
        row for row in rows if row.startswith(("| benchmark", "| ---", "| likeness", "| sea"))
    ]
    assert {row.count("|") for row in scores[:4]} == {9}
    assert any(r"models/a\|b" in row for row in rows)


@pytest.mark.parametrize(
    ("readme", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\nText", "apache-2.0"),
        ('---\nlanguage: en\nlicense: "mit"\n---\n', "mit"),
        ("# No front matter\nlicense: mit\n", "unknown"),
        ("---\nlanguage: en\n---\nlicense: mit\n", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_base_keeps_its_licence(tmp_path: Path, readme: str | None, licence: str) -> None:
    if readme is not None:
        (tmp_path / "README.md").write_text(readme)
    assert base_licence(tmp_path) == licence


def test_the_package_is_the_encoder_and_its_card(results: RunResults, store: Store) -> None:
    made = package_encoder(results, store)
    folder = made.path / ENCODER
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert (folder / CARD).read_text(encoding="utf-8") == render_card(results)
    assert made.counts["files"] == 3
    assert package_encoder(results, store).reused


def test_a_base_with_another_licence_is_packaged_anew(results: RunResults, store: Store) -> None:
    first = package_encoder(results, store)
    (Path(results.base.folder) / "README.md").write_text("---\nlicense: mit\n---\n")
    assert package_encoder(results, store).key != first.key
