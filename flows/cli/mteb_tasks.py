"""Scores of an encoder on tasks of mteb, for `mirror evaluate --mteb`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from flows.cli.console import echo, stdout_console


def score_mteb_tasks(
    encoder: str,
    names: Sequence[str],
    out: str | None,
    pooling: str | None,
    max_tokens: int | None,
) -> None:
    """Print the main score of each task; write results in mteb's layout.

    Tasks are mteb's or benchmarks of this project; without `out`, results are in the workspace.
    The encoder, pooling and length are as for `load_encoder`.

    Raises:
        InputError: the extra `mteb` is missing, or there is no such task or encoder.
        ServiceError: a task's data cannot be downloaded.
    """
    from flows.cli.encoders import embeddings_origin, load_encoder, pin_encoder
    from flows.cli.tables import plain_table
    from mirror.corpus.extras import require_extra
    from mirror.formatting import score
    from mirror.paths import writable_workspace

    require_extra("mteb", "--mteb", "mteb")
    from mirror.evaluation.mteb_scores import find_tasks, results_folder, score_tasks

    tasks = find_tasks(names)
    pinned = pin_encoder(encoder)
    loaded = load_encoder(pinned, pooling, max_tokens)
    origin = embeddings_origin(pinned, loaded, "float32")
    folder = Path(out) if out else writable_workspace() / "mteb"
    table = plain_table(Text(encoder, "bold"))
    table.add_column("task")
    table.add_column("main score", justify="right")
    for name, value in score_tasks(loaded, origin, tasks, folder).items():
        table.add_row(name, score(value))
    stdout_console().print(table)
    echo(str(results_folder(loaded, origin, folder)), err=True)
