"""False promotions of real runs: rows of sentences that have nothing to do with each other.

    python -m bench.unrelated_text --runs 20

Each run has rows of its own: sentences of the main job's corpus in another order, six to a row, so
that no encoder can find the second half of a row by the first.  Everything else is as in
`mirror run`; nothing is registered.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measuring import progress_bar
from bench.strings import read_texts
from mirror.encoders.base_model import base_digest
from mirror.encoders.encoder_ref import EncoderRef
from mirror.paths import CHECKOUT, workspace_root
from mirror.pipeline import run_chain
from mirror.recipe import Recipe, parse_recipe
from mirror.release.gate import GateInput, decide
from mirror.release.run_results import score_changes
from mirror.rendering import markdown_table
from mirror.store import Store

ROWS = 1_000
SENTENCES = 6
SAMPLE = 500


def write_rows(texts: Sequence[str], seed: int, path: Path) -> None:
    """Write rows of sentences in an order that the seed decides."""
    drawn = random.Random(seed).sample(texts, ROWS * SENTENCES)  # not a secret
    rows = (drawn[start : start + SENTENCES] for start in range(0, len(drawn), SENTENCES))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text"])
        writer.writerows([" ".join(row)] for row in rows)


def recipe_of(path: Path, seed: int, base: str) -> Recipe:
    """Return the recipe of one run."""
    content = {
        "language": "en",
        "domain": "unrelated",
        "level": "sentence",
        "corpus": {"source": "files", "paths": [str(path)]},
        "sample": {"size": SAMPLE},
        "base": {"path": base},
        "tuning": {"seed": seed},
        "evaluation": {"benchmarks": ["passage-retrieval"]},
        "registry": {"model": "unrelated"},
    }
    return parse_recipe(content, name=f"unrelated-{seed}", source=__file__)


def run_once(texts: Sequence[str], seed: int, base: str) -> list[str]:
    """Return a run's row of the table: seed, scores, chance, p-value, and what the gate says."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        write_rows(texts, seed, path)
        recipe = recipe_of(path, seed, base)
        results = run_chain(
            recipe, EncoderRef(base, base_digest(Path(base)), base), Store(Path(folder) / "made")
        )
        [change] = score_changes(results)
    promoted = decide(results.recipe, GateInput((change,))).promote
    scores = (f"{value:.4f}" for value in (change.before, change.after, change.chance or 0.0))
    return [str(seed), *scores, f"{change.p:.3f}", "promoted" if promoted else "refused"]


def main() -> None:
    """Print one row for each run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--base", default=str(CHECKOUT / "models" / "mirror-mini-en"))
    arguments = parser.parse_args()
    texts = read_texts(None, ROWS * SENTENCES, workspace_root())
    with progress_bar(arguments.runs) as progress:
        rows = []
        for seed in range(1, arguments.runs + 1):
            rows.append(run_once(texts, seed, arguments.base))
            progress.advance(progress.task_ids[0])
    heading = ["seed", "before", "after", "chance", "p", "gate"]
    print(markdown_table(heading, rows))


if __name__ == "__main__":
    main()
