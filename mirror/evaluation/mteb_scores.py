"""Scores on tasks of mteb, written in mteb's own layout of results.

mteb files results under a model's name and revision, and reuses those that it has.  A folder's name
stays when its encoder changes, so names and revisions here have the encoder's digest.  Similarity
benchmarks of this project are tasks as well.  This module needs the extra `mteb`: check it with
`require_extra` before the import.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mteb
import numpy as np
from datasets import Dataset, DatasetDict
from langcodes import Language
from mteb.abstasks import AbsTask
from mteb.abstasks.sts import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta, ScoringFunction
from numpy.typing import NDArray

from mirror.errors import BenchmarkError, ServiceError
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.datasets import definition_digest
from mirror.evaluation.kinds.similarity import SimilarityBenchmark
from mirror.evaluation.scored_pairs import PairBenchmark

if TYPE_CHECKING:
    from mirror.encoders.embeddings_file import EmbeddingsOrigin
    from mirror.encoders.encoder import Encoder

OWN = "Mirror-"
"""Begins the names of this project's benchmarks as tasks."""
BATCH_SIZE = 256
"""Texts that mteb hands over at a time; the encoder makes micro-batches of all of them."""


class MtebEncoder(AbsEncoder):
    """An encoder as mteb calls it."""

    def __init__(self, encoder: Encoder, origin: EmbeddingsOrigin) -> None:
        self.model = None
        self.mteb_model_meta = model_meta(encoder, origin)
        self._encoder = encoder

    def encode(self, inputs: Any, *, prompt_type: Any = None, **_options: Any) -> NDArray[Any]:
        """Return vectors (texts, dimension), float32, of batches with the key `text`.

        An encoder's prompt named `query` or `document` is put before such texts, unless it has a
        default prompt, which is before every text.
        """
        settings = self._encoder.settings
        prefix = "" if settings.prefix else settings.prompts.get(str(prompt_type), "")
        texts = [prefix + text for batch in inputs for text in batch["text"]]
        return np.asarray(self._encoder.encode(texts))


def model_meta(encoder: Encoder, origin: EmbeddingsOrigin) -> ModelMeta:
    """Return mteb's record of an encoder: name and revision change with its vectors."""
    label = Path(origin.model).resolve().name if "/" in origin.model else origin.model
    version = f"v{origin.version}-" if origin.version else ""
    return ModelMeta.create_empty(
        {
            "name": f"mirror/{label}-{version}{origin.encoder_digest[:8]}",
            "revision": origin.encoder_digest[:40],
            "embed_dim": origin.dimension,
            "max_tokens": float(encoder.settings.max_tokens),
            "similarity_fn_name": ScoringFunction.COSINE,
            "framework": ["PyTorch"],
            "open_weights": True,
        }
    )


def find_tasks(names: Sequence[str]) -> list[AbsTask]:
    """Return tasks by name: mteb's own, or similarity benchmarks in `benchmarks/`.

    Raises:
        BenchmarkError: there is none of that name, its data is missing, or it is of another kind.
    """
    return [_task_of_mteb(name) or own_task(name) for name in names]


def _task_of_mteb(name: str) -> AbsTask | None:
    try:
        return mteb.get_task(name)
    except KeyError:
        return None


def own_task(name: str) -> AbsTask:
    """Return a benchmark of this project as a task of mteb.

    Raises:
        BenchmarkError: it does not exist, its data is missing, or it is of another kind.
    """
    definition = read_definition(name)
    if not isinstance(definition, SimilarityBenchmark):
        raise BenchmarkError(
            f"{name} is a benchmark of kind {definition.TASK}, whose metric mteb lacks: only "
            "similarity benchmarks are tasks of mteb; score it with --benchmarks"
        )
    scores = [pair.gold for pair in definition.load(None)]
    lowest, highest = definition.scale or (min(scores), max(scores))
    metadata = TaskMetadata(
        name=f"{OWN}{definition.name}",
        description=definition.title or definition.name,
        # mteb measures again what has another revision.
        dataset={
            "path": f"mirror/{definition.name}",
            "revision": definition_digest(definition)[:40],
        },
        reference=None,
        type="STS",
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=[_with_script(code) for code in definition.languages or ("en",)],
        main_score="cosine_spearman",
    )
    # mteb clears a task's own attributes after an evaluation, so that they are a class's.
    attributes = {
        "metadata": metadata,
        "definition": definition,
        "min_score": math.floor(lowest),
        "max_score": math.ceil(highest),
    }
    task: AbsTask = type("SimilarityTask", (_SimilarityTask,), attributes)()
    return task


class _SimilarityTask(AbsTaskSTS):
    """Pairs of texts with a human score; mteb's main score is ours."""

    definition: PairBenchmark

    def load_data(self, num_proc: int | None = None, **_options: Any) -> None:
        """Make the data set of the pairs."""
        pairs = self.definition.load(None)
        columns = {
            "sentence1": [pair.first for pair in pairs],
            "sentence2": [pair.second for pair in pairs],
            "score": [pair.gold for pair in pairs],
        }
        self.dataset = DatasetDict({"test": Dataset.from_dict(columns)})
        self.data_loaded = True


def _with_script(code: str) -> str:
    """Return mteb's code of a language, such as `eng-Latn`."""
    language = Language.get(code).maximize()
    return f"{language.to_alpha3()}-{language.script}"


def results_folder(encoder: Encoder, origin: EmbeddingsOrigin, folder: Path) -> Path:
    """Return the folder of an encoder's results inside that of all results."""
    return mteb.ResultCache(folder).get_task_result_path("", model_meta(encoder, origin)).parent


def score_tasks(
    encoder: Encoder, origin: EmbeddingsOrigin, tasks: Sequence[AbsTask], folder: Path
) -> dict[str, float]:
    """Return the main score of each task; results that the folder has are reused.

    They are in `results/NAME/REVISION/TASK.json`, as `mteb.ResultCache(folder)` reads them.

    Raises:
        BenchmarkError: a task fails, or needs another kind of model.
        ServiceError: the data of a task cannot be downloaded.
    """
    cache, scores = mteb.ResultCache(folder), dict[str, float]()
    model: Any = MtebEncoder(encoder, origin)
    for task in tasks:
        name = task.metadata.name
        try:
            result = mteb.evaluate(
                model,
                task,
                cache=cache,
                co2_tracker=False,
                encode_kwargs={"batch_size": BATCH_SIZE},
                show_progress_bar=False,
            )
        except (OSError, ConnectionError) as error:
            raise ServiceError(
                f"the data of {name} cannot be downloaded ({error}): check the network, or name a "
                "benchmark of this project"
            ) from error
        scores[name] = float(result.task_results[0].get_score())
    return scores
