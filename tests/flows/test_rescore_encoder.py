"""Benchmarks again, on a recipe that has run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mirror.run_record import find_record
from mirror.store import folder_digest

RESCORE = """
import json, sys
from mirror.errors import MirrorError
from flows.rescore_encoder import start_rescoring
for encoder in {encoders!r}:
    try:
        before, after = start_rescoring(sys.argv[2], encoder)
        print(json.dumps([[made.counts, made.reused, made.folder] for made in (before, after)]))
    except MirrorError as fault:
        print(json.dumps([type(fault).__name__, str(fault)]))
"""
BENCHMARK = "passage-retrieval"


@pytest.fixture(scope="module")
def scored(
    undisturbed: SimpleNamespace,
    mirror_run: Callable[..., Any],
    prefect_api: str,
    tiny_base: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What rescoring gives for several encoders, and the record of the run before."""
    from mirror.encoder import Encoder

    record = find_record(undisturbed.home)
    other = tmp_path_factory.mktemp("other") / "encoder"
    Encoder.load(tiny_base, "cls", 8).save(other)
    encoders = {
        "same": record.encoder,
        "other": str(other),
        "registered": "models:/mirror-en-tiny@challenger",
        "champion": "",
        "plain": str(tiny_base),
    }
    code = RESCORE.format(encoders=list(encoders.values()))
    done = mirror_run(undisturbed.recipe, undisturbed.home, code, PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return dict(zip(encoders, told, strict=True)) | {"record": record}


@pytest.mark.parametrize("name", ["same", "registered"])
def test_the_runs_own_encoder_has_the_runs_own_scores(scored: dict[str, Any], name: str) -> None:
    [line] = scored["record"].scores
    assert [counts[BENCHMARK] for counts, _, _ in scored[name]] == [line.before, line.after]
    assert [reused for _, reused, _ in scored[name]] == [True, True]


def test_another_encoder_is_measured_beside_the_same_base(scored: dict[str, Any]) -> None:
    (base, base_reused, _), (other, other_reused, folder) = scored["other"]
    [line] = scored["record"].scores
    assert (base[BENCHMARK], base_reused) == (line.before, True)
    assert not other_reused
    assert other[BENCHMARK] != line.after
    scores = json.loads((Path(folder) / "scores.json").read_text())
    assert (scores[BENCHMARK]["score"], scores[BENCHMARK]["n"]) == (other[BENCHMARK], line.n)


def test_no_encoder_means_the_champion(scored: dict[str, Any]) -> None:
    kind, message = scored["champion"]
    assert kind == "BaseModelError"
    assert "has no models:/mirror-en-tiny@champion" in message


def test_a_plain_model_is_no_encoder(scored: dict[str, Any], tiny_base: Path) -> None:
    kind, message = scored["plain"]
    assert kind == "BaseModelError"
    assert message.startswith(f"no encoder in {tiny_base}: name a folder")


def test_rescoring_registers_nothing(scored: dict[str, Any], undisturbed: SimpleNamespace) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{undisturbed.home / 'mlflow.db'}")
    assert len(client.search_model_versions("")) == 1
    (fetched,) = (undisturbed.home / "registered" / "mirror-en-tiny").glob("1-*")
    assert folder_digest(fetched) == folder_digest(Path(scored["record"].encoder))
