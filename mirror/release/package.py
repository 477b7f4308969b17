"""Packaging stage: the encoder with its model card, ready to be registered, and its lineage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirror.encoders.encoder_ref import CARD, ENCODER
from mirror.hashing import digest_of_json
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.release.lineage import LINEAGE, lineage_of
from mirror.release.model_card import CARD_TEMPLATE, base_licence, render_card
from mirror.release.run_results import RunResults
from mirror.rendering import LIBRARIES, template_digest
from mirror.store import Stage, StageRecord, Store, section_content


def packaging_stage(results: RunResults, lineage: Mapping[str, Any]) -> Stage:
    """Return the stage that writes the package."""
    licence = base_licence(Path(results.base.folder))
    return Stage(
        name="package",
        module="release.package",
        inputs={
            **results.digests,
            "template": template_digest(CARD_TEMPLATE),
            "lineage": digest_of_json(lineage),
        },
        section={
            **section_content(results.recipe),
            "base_origin": results.base.origin,
            "base_licence": licence,
        },
        libraries=LIBRARIES,
    )


def package_encoder(
    results: RunResults, store: Store, on_progress: OnProgress = no_progress
) -> StageRecord:
    """Write the tuned encoder with its card to `encoder/`, and the lineage to `lineage.json`.

    Raises:
        StoreError: the folder cannot be written, or an earlier stage's folder is damaged.
    """
    lineage = lineage_of(results)

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        folder = out / ENCODER
        shutil.copytree(results.tuned.path / ENCODER, folder)
        (folder / CARD).write_text(render_card(results), encoding="utf-8")
        text = json.dumps(lineage, indent=1, sort_keys=True, ensure_ascii=False)
        (out / LINEAGE).write_text(text, encoding="utf-8")
        files = [path for path in folder.rglob("*") if path.is_file()]
        on_progress(ProgressEvent("package", len(files), len(files), "files"))
        return {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}

    return store.make(packaging_stage(results, lineage), write)
