"""Lineage of an encoder: source files, base, and every stage that made it.

Collected from the stages' manifests, without times and folders: identical runs have identical
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
from mirror.store import INPUT_FILES, StageRecord, section_content

LINEAGE = "lineage.json"
FORMAT = 1
FROM_OUTSIDE = ("corpus", "pairs")
"""Stages whose inputs are files that no stage made."""
BENCHMARK = "benchmark "
"""How the inputs of an evaluation begin that are data of a benchmark."""
TOLD = ("name", "key", "digest", "module", "code", "inputs", "section", "versions", "python")
"""What is told of a stage; and the digests of its files."""

Manifest = Mapping[str, Any]


def lineage_of(results: RunResults) -> dict[str, Any]:
    """The lineage of a run's encoder, JSON-ready.

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
    manifests = {role: read_manifest(made) for role, made in records.items() if made}
    recipe = section_content(results.recipe)
    return draw_lineage(recipe, results.base, manifests)


def draw_lineage(
    recipe: Mapping[str, Any],
    base: EncoderRef,
    manifests: Mapping[str, Manifest],
) -> dict[str, Any]:
    """Puts manifests together; reads nothing.

    Args:
        recipe: whole, as it was run.
        base: the model that was tuned.
        manifests: by the stage's part in the run: `corpus`, `pairs`, `profile`, `sample`, `tune`,
            `before` and `after` (the evaluations of base and tuned encoder), in their order.
    """
    origins = _origins(base, manifests)
    stages = {
        role: {
            **{key: manifest[key] for key in TOLD},
            "files": dict(manifest["files"]),
            "from": sorted({origins[digest] for digest in _digests(manifest) if digest in origins}),
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


def read_manifest(made: StageRecord) -> Manifest:
    """A stage's manifest, with all that a lineage tells.

    Raises:
        StoreError: it is missing or damaged.
    """
    path = made.path / MANIFEST
    try:
        manifest: Manifest = json.loads(path.read_text(encoding="utf-8"))
        if missing := {*TOLD, "files"} - manifest.keys():
            raise ValueError(f"no {', '.join(sorted(missing))}")
    except (OSError, ValueError, AttributeError) as error:
        raise StoreError(f"{path} cannot be read ({error}): remove its folder and run again") from (
            error
        )
    return manifest


def parse_lineage(content: Any, whose: str) -> dict[str, Any]:
    """A lineage that was read from a file or a registry.

    Raises:
        StoreError: it is none, or of another version of this project.
    """
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"of format {content['format']}")
        for stage in content["stages"].values():
            if missing := {*TOLD, "files", "from"} - stage.keys():
                raise ValueError(f"a stage without {', '.join(sorted(missing))}")
        _ = content["recipe"]["language"], content["base"]["digest"]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"the lineage of {whose} cannot be used ({error}): run its recipe again"
        ) from error
    return dict(content)


def read_lineage(package: Path) -> dict[str, Any]:
    """The lineage in a package's folder.

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
    """Name and key of every stage of a lineage."""
    return {(stage["name"], stage["key"]) for stage in lineage["stages"].values()}


def _digests(manifest: Manifest) -> list[str]:
    return list(manifest["inputs"].values())


def _origins(base: EncoderRef, manifests: Mapping[str, Manifest]) -> dict[str, str]:
    """By digest, the stage or the base that it is of."""
    made = {manifest["digest"]: role for role, manifest in manifests.items()}
    return {**made, base.digest: "base", tuned_digest(manifests["tune"]["files"]): "tune"}


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
