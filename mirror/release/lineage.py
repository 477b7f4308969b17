"""Lineage of an encoder: source files, base, and the stages that produced it.

Built from the stages' manifests, without times and folders: identical runs have identical
lineages.  The smoke test (it contains timings) and comparisons with the champion are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mirror.encoders.encoder_ref import EncoderRef, tuned_digest
from mirror.errors import StoreError
from mirror.hashing import MANIFEST
from mirror.release.run_results import RunResults
from mirror.stage_files import reading
from mirror.store import INPUT_FILES, StageRecord, section_content

LINEAGE = "lineage.json"
FORMAT = 1
FROM_OUTSIDE = ("corpus", "pairs")
"""Stages whose inputs are files from outside the workspace."""
BENCHMARK = "benchmark "
"""Prefix of an evaluation's inputs that are benchmark data."""
STAGE_FIELDS = (
    "name",
    "key",
    "digest",
    "module",
    "code",
    "inputs",
    "section",
    "versions",
    "python",
)
"""Fields of a manifest that the lineage contains, in addition to the digests of its files."""

Manifest = Mapping[str, Any]


def lineage_of(results: RunResults) -> dict[str, Any]:
    """Return the lineage of a run's encoder as JSON data.

    Raises:
        StoreError: a stage's manifest is damaged.
    """
    records = {
        "corpus": results.corpus,
        "pairs": results.pairs,
        "profile": results.profile,
        "sample": results.sample,
        "tune": results.tuned,
        "before": results.before,
        "after": results.after,
    }
    manifests = {role: read_manifest(record) for role, record in records.items() if record}
    recipe = section_content(results.recipe)
    return build_lineage(recipe, results.base, manifests)


def build_lineage(
    recipe: Mapping[str, Any],
    base: EncoderRef,
    manifests: Mapping[str, Manifest],
) -> dict[str, Any]:
    """Return the lineage that manifests describe.

    Args:
        recipe: all sections, as they were run.
        base: the model that was tuned.
        manifests: by role, in the run's order: `corpus`, `pairs`, `profile`, `sample`, `tune`,
            `before` and `after` (the evaluations of base and tuned encoder).
    """
    origins = _origins(base, manifests)
    stages = {
        role: {
            **{key: manifest[key] for key in STAGE_FIELDS},
            "files": dict(manifest["files"]),
            "from": sorted(
                {origins[each] for each in manifest["inputs"].values() if each in origins}
            ),
        }
        for role, manifest in manifests.items()
    }
    return {
        "format": FORMAT,
        "recipe": dict(recipe),
        "base": {"origin": base.origin, "digest": base.digest},
        "sources": [source for role in manifests for source in _sources(role, manifests)],
        "benchmarks": _benchmarks(manifests),
        "stages": stages,
        "encoder_digest": tuned_digest(manifests["tune"]["files"]),
    }


def read_manifest(record: StageRecord) -> Manifest:
    """Return a stage's manifest."""
    path = record.path / MANIFEST
    with reading(path):
        manifest: Manifest = json.loads(path.read_text(encoding="utf-8"))
        if missing := {*STAGE_FIELDS, "files"} - manifest.keys():
            raise ValueError(f"no {', '.join(sorted(missing))}")
    return manifest


def parse_lineage(content: Any, origin: str) -> dict[str, Any]:
    """Return a lineage that was read from a file or a registry.

    Args:
        content: JSON data.
        origin: a file or version, for the error.

    Raises:
        StoreError: it is not a lineage, or has another format.
    """
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"of format {content['format']}")
        for stage in content["stages"].values():
            if missing := {*STAGE_FIELDS, "files", "from"} - stage.keys():
                raise ValueError(f"a stage without {', '.join(sorted(missing))}")
        _ = content["recipe"]["language"], content["base"]["digest"]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"the lineage of {origin} cannot be used ({error}): run its recipe again"
        ) from error
    return dict(content)


def read_lineage(package: Path) -> dict[str, Any]:
    """Return the lineage in a package's folder.

    Raises:
        StoreError: there is none, or it is damaged.
    """
    path = package / LINEAGE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"no lineage at {path} ({error}): run the recipe again") from error
    return parse_lineage(content, str(path))


def stage_keys(lineage: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the name and key of every stage of a lineage."""
    return {(stage["name"], stage["key"]) for stage in lineage["stages"].values()}


def _origins(base: EncoderRef, manifests: Mapping[str, Manifest]) -> dict[str, str]:
    """Return the role of each digest."""
    roles = {manifest["digest"]: role for role, manifest in manifests.items()}
    return {**roles, base.digest: "base", tuned_digest(manifests["tune"]["files"]): "tune"}


def _sources(role: str, manifests: Mapping[str, Manifest]) -> Iterator[dict[str, Any]]:
    if role not in FROM_OUTSIDE:
        return
    recorded = manifests[role].get("counts", {}).get(INPUT_FILES, [])
    facts = {file["name"]: file for file in recorded}
    for name, digest in sorted(manifests[role]["inputs"].items()):
        yield {"stage": role, "name": name, "digest": digest, **facts.get(name, {})}


def _benchmarks(manifests: Mapping[str, Manifest]) -> dict[str, str]:
    return {
        name.removeprefix(BENCHMARK): digest
        for role in ("before", "after")
        for name, digest in manifests[role]["inputs"].items()
        if name.startswith(BENCHMARK)
    }
