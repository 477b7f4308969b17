"""The walkthrough of docs/operations.md, run word for word against servers of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from mirror.paths import CHECKOUT
from tests.fixtures.flows import own_environment
from tests.fixtures.ports import free_ports

pytestmark = pytest.mark.slow

PAGE = CHECKOUT / "docs" / "operations.md"
COMMAND = """#!/bin/sh
exec "{python}" -c "from flows.cli.main import main; main()" "$@"
"""


def blocks(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def script(bin_folder: Path, prefect: int, mlflow: int) -> str:
    """The page's commands in their order; all that is changed is where programs and ports are."""
    shown = [line[2:] for block in blocks("console") for line in block.splitlines()]
    ports = f"mirror up --prefect-port {prefect} --mlflow-port {mlflow}"
    commands = [
        line.replace("mirror up", ports)
        .replace(".venv/bin", str(bin_folder))
        .replace(":4200/", f":{prefect}/")
        .replace(":5000", f":{mlflow}")
        for line in shown
    ]
    return "\n".join(["set -e", *(f"echo '== {n}'; {line}" for n, line in enumerate(commands))])


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Return the walkthrough's output by command."""
    folder = tmp_path_factory.mktemp("operations")
    home, bin_folder = folder / "home", folder / "bin"
    bin_folder.mkdir()
    command = bin_folder / "mirror"
    command.write_text(COMMAND.format(python=sys.executable))
    command.chmod(0o755)
    environment = own_environment(home)
    [recipe] = blocks("toml")
    (folder / "en-notes.toml").write_text(recipe)
    try:
        done = subprocess.run(
            ["bash", "-c", script(bin_folder, *free_ports(2))],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        parts = dict(
            re.findall(r"^== (\d+)\n(.*?)(?=^== |\Z)", done.stdout, re.MULTILINE | re.DOTALL)
        )
        shown = [line[2:] for block in blocks("console") for line in block.splitlines()]
        outputs = {line: parts.get(str(number), "") for number, line in enumerate(shown)}
        yield SimpleNamespace(done=done, outputs=outputs, home=home, folder=folder)
    finally:
        subprocess.run([str(command), "down"], env=environment, timeout=120, check=False)


def output(walk: SimpleNamespace, beginning: str, nth: int = 0) -> str:
    found = [said for line, said in walk.outputs.items() if beginning in line]
    return str(found[nth])


def test_every_command_succeeds(walk: SimpleNamespace) -> None:
    assert walk.done.returncode == 0, walk.done.stdout[-3_000:] + walk.done.stderr[-3_000:]


def test_scheduled_flows_are_deployed(walk: SimpleNamespace) -> None:
    assert "en-python-docs" in output(walk, "mirror deploy")


def test_the_run_on_the_same_text_stops_and_that_of_another_sample_goes_on(
    walk: SimpleNamespace,
) -> None:
    assert "models:/mirror-en-notes/1" in output(walk, "run en-notes.toml")
    assert "version 1" in output(walk, "promote mirror-en-notes 1")
    same = next(said for said in said_of_runs(walk) if "Unchanged" in said)
    assert "the champion stays" in same
    assert any("models:/mirror-en-notes/2" in said for said in said_of_runs(walk))


def said_of_runs(walk: SimpleNamespace) -> list[str]:
    parts = re.split(r"^== \d+\n", walk.done.stdout, flags=re.MULTILINE)
    return [part for part in parts if "stages reused" in part]


def test_promotion_and_comparison_report_index_compatibility(walk: SimpleNamespace) -> None:
    # The run has compared them only where its gate lets version 2 through.
    printed = output(walk, "promote mirror-en-notes 2")
    command = "mirror compare models:/mirror-en-notes/1 models:/mirror-en-notes/2 --recipe en-notes"
    assert command in printed or re.search(
        r"of version 1's embeddings: (keep|rotate|re-embed)\.", printed
    )
    said = output(walk, "mirror compare").splitlines()
    assert {"Keep", "Rotate", "Re-embed"} & {line.strip() for line in said}
    back = "mirror compare models:/mirror-en-notes/2 models:/mirror-en-notes/1 --recipe en-notes"
    assert back in output(walk, "mirror rollback")


def test_the_history_shows_the_rollback_and_its_reason(walk: SimpleNamespace) -> None:
    assert "version 1" in output(walk, "mirror rollback")
    page = (walk.folder / "history.html").read_text()
    assert "search got worse" in page
    assert "rolled back" in page


def test_no_process_remains(walk: SimpleNamespace) -> None:
    left = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if str(walk.home) in words:
            left.append(words)
    assert left == []
