"""What the attackers have at hand: bait that tells if it is swallowed, and a whole poisoned run."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import environment_of as environment_of
from tests.flows.conftest import mirror_run as mirror_run
from tests.flows.conftest import write_recipe as write_recipe
from tests.tasks.conftest import empty_tracking as empty_tracking
from tests.tasks.conftest import encoders as encoders
from tests.tasks.conftest import make_candidate as make_candidate
from tests.tasks.conftest import recipe as recipe
from tests.tasks.conftest import results as results
from tests.tasks.conftest import tracking as tracking
from tests.tasks.conftest import workspace as workspace

CANARY = "c4n4ry"
SECRETS = {
    "AWS_ACCESS_KEY_ID": f"AKIA{CANARY}id",
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}-aws",
    "AWS_SESSION_TOKEN": f"{CANARY}-session",
    "DATABRICKS_TOKEN": f"{CANARY}-databricks",
    "GOOGLE_API_KEY": f"{CANARY}-google",
    "HF_TOKEN": f"hf_{CANARY}",
    "HTTPS_PROXY": f"http://me:{CANARY}-proxy@127.0.0.1:9",
    "MIRROR_DATABASE_URL": f"postgresql://mirror:{CANARY}-db@127.0.0.1:9/mirror",
    "MLFLOW_AUTH_ADMIN_PASSWORD": f"{CANARY}-mlflow-admin",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": f"{CANARY}-flask",
    "MLFLOW_TRACKING_PASSWORD": f"{CANARY}-mlflow",
    "MLFLOW_TRACKING_TOKEN": f"{CANARY}-mlflow-token",
    "PIP_INDEX_URL": f"https://me:{CANARY}-pip@127.0.0.1:9/simple",
    "PREFECT_API_KEY": f"{CANARY}-prefect-key",
    "PREFECT_API_AUTH_STRING": f"me:{CANARY}-prefect",
    "SLACK_WEBHOOK": f"https://hooks.example/{CANARY}-slack",
}
TAG = "<img src=x onerror=alert(1)>"
MARKED = "{{ 7*7 }} %(x)s ${HOME} '; DROP TABLE strings; --"
SOURCE = f"=cmd|' /C calc'!A0 {TAG} {MARKED} \x1b[31m\u202e"
ODD_NAME = "o'brien; DROP TABLE strings -- [a-z]* text=evil"
"""A folder's: for SQL, for a glob, for a table parted into folders."""


@dataclass(frozen=True)
class Bait:
    """Content that leaves a mark on the disk if anyone runs it."""

    mark: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)

    @property
    def pickled(self) -> bytes:
        """A pickle that leaves the mark when it is loaded."""
        return pickle.dumps(self)

    @property
    def code(self) -> str:
        """A module of Python that leaves the mark when it is imported."""
        return f"import pathlib\npathlib.Path({str(self.mark)!r}).touch()\n"

    def is_swallowed(self) -> bool:
        return self.mark.exists()


@dataclass(frozen=True)
class Ran:
    """A whole run that was full of secrets and of hostile names and texts."""

    folder: Path
    """Holds `home`, the recipe and the run's own TMPDIR."""
    home: Path
    recipe: Path
    done: subprocess.CompletedProcess[str]


@pytest.fixture
def bait(tmp_path: Path) -> Bait:
    """Bait that works: whoever loads the pickle or imports the code leaves the mark."""
    made = Bait(tmp_path / "swallowed")
    for spring in (lambda: pickle.loads(made.pickled), lambda: exec(made.code)):
        spring()
        assert made.is_swallowed()
        made.mark.unlink()
    return made


@pytest.fixture
def base(tiny_base: Path, tmp_path: Path) -> Path:
    """A sound base model, to be poisoned."""
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


@pytest.fixture
def edit() -> Callable[..., None]:
    """Puts keys into a file of JSON, which is made if it is missing."""

    def change(path: Path, **keys: Any) -> None:
        content = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**content, **keys}))

    return change


@pytest.fixture(scope="session")
def ran(
    tmp_path_factory: pytest.TempPathFactory,
    write_recipe: Callable[..., Path],
    mirror_run: Callable[..., Any],
) -> Ran:
    folder = tmp_path_factory.mktemp("poisoned")
    home = folder / ODD_NAME / "home"
    recipe = write_recipe(folder / "recipe")
    text = recipe.with_name("text.jsonl")
    odd = recipe.with_name(f"{ODD_NAME}.jsonl")
    rows = [json.loads(line)["text"] for line in text.read_text().splitlines()]
    poisoned = [{"text": row.replace("the ", f"the {TAG} ", 1), "from": SOURCE} for row in rows]
    odd.write_text("".join(json.dumps(row) + "\n" for row in poisoned))
    told = recipe.read_text().replace(str(text), str(odd))
    recipe.write_text(told.replace("[sample]", 'source_column = "from"\n[sample]'))
    (folder / "tmp").mkdir()
    own = {"TMPDIR": str(folder / "tmp"), "PREFECT_LOGGING_LEVEL": "DEBUG"}
    return Ran(folder, home, recipe, mirror_run(recipe, home, **SECRETS, **own))
