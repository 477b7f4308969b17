"""A lineage leads from source files to the encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mirror.corpus.ingest import ingest_corpus
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import StoreError
from mirror.hashing import MANIFEST, digest_of_json
from mirror.release.lineage import (
    build_lineage,
    lineage_of,
    parse_lineage,
    read_lineage,
    stage_keys,
)
from mirror.release.package import package_encoder
from mirror.release.run_results import RunResults
from mirror.store import INPUT_FILES, Store
from tests.fixtures.recipes import make_recipe

BASE = EncoderRef("/models/base", "b" * 64, "models/some-base")


def manifest(name: str, inputs: dict[str, str], files: dict[str, str] | None = None) -> Any:
    digest = digest_of_json(name)
    return {
        **{"name": name.split("-")[0], "key": digest[:20], "digest": digest, "module": name},
        **{"code": "c" * 64, "inputs": inputs, "section": {"seed": 1}, "python": "3.11.7"},
        **{"versions": {"numpy": "2.4.6"}, "files": files or {}, "made_at": "now", "seconds": 3},
    }


def digest(name: str) -> str:
    return digest_of_json(name)


@pytest.fixture
def manifests() -> dict[str, Any]:
    """Of a run's stages, as the store writes them."""
    encoder = {"encoder/model.safetensors": "e" * 64, "encoder/README.md": "d" * 64}
    tuned = digest_of_json({"model.safetensors": "e" * 64})
    of = {"corpus": digest("corpus"), "sample": digest("sample"), "benchmark stsb": "5" * 64}
    return {
        "corpus": manifest("corpus", {"000000 a.txt": "a" * 64, "000001 b.txt": "f" * 64}),
        "sample": manifest("sample", {"corpus": digest("corpus")}),
        "tune": manifest("tune", {"sample": digest("sample"), "base": BASE.digest}, encoder),
        "before": manifest("evaluation-before", {**of, "encoder": BASE.digest}),
        "after": manifest("evaluation-after", {**of, "encoder": tuned}),
    }


def test_every_stage_names_what_it_was_made_from(manifests: dict[str, Any]) -> None:
    drawn = build_lineage({"language": "en"}, BASE, manifests)
    assert {role: stage["from"] for role, stage in drawn["stages"].items()} == {
        "corpus": [],
        "sample": ["corpus"],
        "tune": ["base", "sample"],
        "before": ["base", "corpus", "sample"],
        "after": ["corpus", "sample", "tune"],
    }
    assert drawn["stages"]["tune"]["versions"] == {"numpy": "2.4.6"}
    assert drawn["stages"]["tune"]["code"] == "c" * 64
    assert drawn["encoder_digest"] == digest_of_json({"model.safetensors": "e" * 64})
    assert drawn["benchmarks"] == {"stsb": "5" * 64}
    assert drawn["base"] == {"origin": "models/some-base", "digest": "b" * 64}


def test_sources_have_digest_path_and_size_where_they_are_known(manifests: dict[str, Any]) -> None:
    read = [{"name": "000001 b.txt", "path": "/data/b.txt", "bytes": 7}]
    manifests["corpus"]["counts"] = {"kept": 1, INPUT_FILES: read}
    assert build_lineage({}, BASE, manifests)["sources"] == [
        {"stage": "corpus", "name": "000000 a.txt", "digest": "a" * 64},
        {
            "stage": "corpus",
            "name": "000001 b.txt",
            "digest": "f" * 64,
            "path": "/data/b.txt",
            "bytes": 7,
        },
    ]


def test_times_are_not_part_of_a_lineage(manifests: dict[str, Any]) -> None:
    drawn = build_lineage({}, BASE, manifests)
    for stage in manifests.values():
        stage |= {"made_at": "later", "seconds": 99}
    assert build_lineage({}, BASE, manifests) == drawn


def test_ingestion_records_the_files_that_it_reads(tmp_path: Path, store: Store) -> None:
    file = tmp_path / "texts" / "b.txt"
    file.parent.mkdir()
    file.write_text("ä" * 10, encoding="utf-8")
    recipe = make_recipe(corpus={"source": "files", "paths": [str(file.parent)]})
    record = ingest_corpus(recipe, store)
    file.unlink()
    [recorded] = record.counts[INPUT_FILES]
    assert recorded["path"] == str(file)
    assert recorded["bytes"] == 20
    assert recorded["name"] in json.loads((record.path / MANIFEST).read_text())["inputs"]


def test_a_package_contains_the_lineage(results: RunResults, store: Store) -> None:
    made = package_encoder(results, store)
    lineage = read_lineage(made.path)
    assert lineage == json.loads(json.dumps(lineage_of(results)))
    assert ("tune", results.tuned.key) in stage_keys(lineage)
    assert len(stage_keys(lineage)) == 5
    assert not (made.path / "encoder" / "lineage.json").exists()


def test_a_stage_made_by_other_code_makes_another_package(
    results: RunResults, store: Store
) -> None:
    first = package_encoder(results, store)
    path = results.sample.path / "manifest.json"
    path.write_text(path.read_text().replace("c" * 64, "9" * 64))
    assert package_encoder(results, store).key != first.key


def test_a_damaged_manifest_is_an_error(results: RunResults) -> None:
    (results.sample.path / "manifest.json").write_text("{}")
    with pytest.raises(StoreError, match="cannot be read"):
        lineage_of(results)


@pytest.mark.parametrize(
    "content",
    [None, [], {}, {"format": 2}, {"format": 1, "stages": {"tune": {}}, "recipe": {}, "base": {}}],
)
def test_invalid_lineages_are_refused(content: Any) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        parse_lineage(content, "m version 3")
