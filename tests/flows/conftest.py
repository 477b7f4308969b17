"""Whole runs of tiny recipes, each in a process of its own, as users start them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import Request, urlopen

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND = "from flows.command import main; main()"
OURS = ("MIRROR_", "MLFLOW_", "PREFECT_")
NAME = "en-tiny"
RECIPE = """
language = "en"
domain = "trades"
level = "sentence"
[corpus]
source = "files"
paths = [{text}]
[sample]
size = 32
[base]
path = {base}
[tuning]
batch_size = 8
epochs = 2
checkpoint_seconds = 1
[evaluation]
benchmarks = {benchmarks}
[registry]
model = "mirror-en-tiny"
"""


def own_environment(home: Path, **variables: str) -> dict[str, str]:
    """The environment without what this session has set for itself, and with a workspace."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    paths = {"PYTHONPATH": str(CHECKOUT), "MIRROR_HOME": str(home)}
    paths["MIRROR_SLOTS"] = os.environ["MIRROR_SLOTS"]
    return kept | paths | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | variables


@pytest.fixture(scope="session")
def environment_of() -> Callable[..., dict[str, str]]:
    """The environment of a process that works in a workspace of its own."""
    return own_environment


@pytest.fixture(scope="session")
def write_recipe(tiny_base: Path, sentences: list[str]) -> Callable[..., Path]:
    """Writes a recipe of 4 x 2 steps and its text of 100 documents into a folder."""

    def write(folder: Path, **changes: Any) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        text = folder / "text.jsonl"
        fours = [sentences[start : start + 4] for start in range(0, 400, 4)]
        documents = [" ".join(f"{line.capitalize()}." for line in four) for four in fours]
        text.write_text("".join(json.dumps({"text": words}) + "\n" for words in documents))
        values = {
            "text": str(text),
            "base": str(tiny_base),
            "benchmarks": ["passage-retrieval"],
        } | changes
        recipe = folder / f"{NAME}.toml"
        filled = {key: json.dumps(value) for key, value in values.items()}
        recipe.write_text(RECIPE.format(**filled))
        return recipe

    return write


@pytest.fixture(scope="session")
def mirror_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Runs `mirror run RECIPE` with a workspace, or code in its place, in a new process."""

    def run(
        recipe: Path, home: Path, code: str = COMMAND, base: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, "run", str(recipe), *(["--base", base] if base else [])],
            cwd=tmp_path_factory.mktemp("elsewhere"),
            env=own_environment(home, **variables),
            capture_output=True,
            text=True,
            timeout=540,
        )

    return run


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prefect server, so that not every run has to start one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("prefect")
    server = subprocess.Popen(
        [sys.executable, "-m", "tasks.api_server", str(port)],
        stdin=subprocess.PIPE,
        env=own_environment(home, PREFECT_HOME=str(home)),
    )
    try:
        url = f"http://127.0.0.1:{port}/api"
        _await_health(url)
        yield url
    finally:
        server.kill()
        server.wait()


def _await_health(url: str) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            with urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            assert time.monotonic() < end, "the Prefect server does not answer"
            time.sleep(0.2)


@pytest.fixture(scope="session")
def ask_api(prefect_api: str) -> Callable[[str, Any], Any]:
    """Asks the Prefect server something."""

    def ask(path: str, body: Any) -> Any:
        request = Request(
            f"{prefect_api}/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)

    return ask


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
    write_recipe: Callable[..., Path],
    mirror_run: Callable[..., Any],
) -> SimpleNamespace:
    """A first run, with a server of its own: `home`, `recipe` and the finished process `done`."""
    folder = tmp_path_factory.mktemp("undisturbed")
    recipe, home = write_recipe(folder), folder / "home"
    return SimpleNamespace(home=home, recipe=recipe, done=mirror_run(recipe, home))
