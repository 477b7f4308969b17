"""Ingestion and encoding on the workers of local Dask and Ray clusters."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import pytest

from mirror.cluster import cluster_workers, map_in_order
from mirror.corpus.ingest import ingest_corpus
from mirror.corpus.sources import files
from mirror.documents import TextRow
from mirror.encoders import write_embeddings
from mirror.encoders.cluster_encoder import part_encoder
from mirror.encoders.embeddings_file import EmbeddingsOrigin
from mirror.encoders.encoder import Encoder
from mirror.errors import CorpusError, ServiceError
from mirror.recipe import Recipe
from mirror.store import Store
from tests.fixtures.recipes import make_recipe

pytestmark = pytest.mark.slow

WORKERS = 2


@pytest.fixture
def texts(tmp_path: Path, sentences: list[str]) -> Path:
    """A folder of 12 files; each document has a sentence that all others have too."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(12):
        own = sentences[number * 20 : number * 20 + 20]
        rows = [{"text": f"This sentence is in every file. {text} alone."} for text in own]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{number:02}.jsonl").write_text(lines)
    return folder


def recipe_of(folder: Path) -> Recipe:
    return make_recipe(corpus={"source": "files", "paths": [str(folder)], "near_duplicates": 0.9})


def start_dask() -> Iterator[dict[str, str]]:
    from distributed import LocalCluster

    options = {"dashboard_address": None, "host": "127.0.0.1", "threads_per_worker": 1}
    with LocalCluster(n_workers=WORKERS, **options) as cluster:
        yield {"MIRROR_RUNNER": "dask", "MIRROR_CLUSTER": cluster.scheduler_address}


def start_ray() -> Iterator[dict[str, str]]:
    import ray

    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    yield {"MIRROR_RUNNER": "ray"}
    ray.shutdown()


@pytest.fixture(
    scope="module",
    params=[start_dask, start_ray],
)
def variables(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The variables that name a local cluster."""
    yield from request.param()


@pytest.fixture
def cluster(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Use the cluster from now on."""

    def use() -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return use


def test_the_corpus_has_the_bytes_that_one_machine_makes(
    cluster: Callable[[], None], texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SHARD_BYTES", 2_000)
    recipe = recipe_of(texts)
    alone = ingest_corpus(recipe, Store(tmp_path / "alone"))
    cluster()
    monkeypatch.setattr("mirror.corpus.parallel.filter_documents", None)
    together = ingest_corpus(recipe, Store(tmp_path / "together"))
    assert together.digest == alone.digest
    assert {**together.counts} == {**alone.counts}
    assert together.counts["rejected"]["duplicate"] == 239  # of 240, in other shards


def test_embeddings_have_the_bytes_that_one_machine_makes(
    cluster: Callable[[], None],
    tiny_base: Path,
    sentences: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(write_embeddings, "TEXTS_PER_PART", 50)
    Encoder.load(tiny_base, "mean", 20).save(folder := tmp_path / "encoder")
    encoder = Encoder.load(folder)
    origin = EmbeddingsOrigin("encoder", "", "d" * 64, encoder.dimension)
    rows = [TextRow(str(number), text) for number, text in enumerate(sentences[:330])]
    alone, together = tmp_path / "alone.parquet", tmp_path / "together.parquet"
    write_embeddings.write_embeddings(encoder, rows, alone, origin)
    cluster()
    monkeypatch.setattr(encoder, "encode", None)
    with part_encoder(encoder, folder) as encode_parts:
        counts = write_embeddings.write_embeddings(
            encoder, rows, together, origin, encode_parts=encode_parts
        )
    assert counts.texts == 330
    assert together.read_bytes() == alone.read_bytes()


def die_once(mark: str) -> str:
    """Kill this process, but only the first time."""
    path = Path(mark)
    if path.name == "3" and not path.exists():
        path.touch()
        os._exit(9)
    return path.name


def test_a_part_whose_worker_dies_is_done_by_another(
    cluster: Callable[[], None], tmp_path: Path
) -> None:
    cluster()
    marks = [str(tmp_path / str(number)) for number in range(8)]
    with cluster_workers() as found:
        assert found is not None
        assert list(map_in_order(found, die_once, marks, 4)) == list("01234567")
    assert (tmp_path / "3").exists()


def test_an_error_in_a_file_is_that_of_one_machine(
    cluster: Callable[[], None], texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SHARD_BYTES", 2_000)
    monkeypatch.setattr("mirror.corpus.ingest.check_sources", lambda recipe: None)
    (texts / "05.jsonl").write_text('{"words": "none"}\n')
    cluster()
    with pytest.raises(CorpusError, match=r"05\.jsonl has no column 'text'"):
        ingest_corpus(recipe_of(texts), Store(tmp_path / "store"))


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRROR_RUNNER", "dask")
    monkeypatch.setenv("MIRROR_CLUSTER", "tcp://127.0.0.1:1")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ServiceError, match=r"dask cluster at tcp://127\.0\.0\.1:1 does not answer"),
        cluster_workers(),
    ):
        pass
