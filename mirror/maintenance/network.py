"""Checks of the Hugging Face hub and of MLflow's tracking store."""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from mirror.maintenance.health_check import CheckResult
from mirror.paths import write_fault

TIMEOUT_SECONDS = 3.0
HUB = "https://huggingface.co"
ADDRESS_REMEDY = "write http://… or sqlite:////…, or unset it to use a file in the workspace"
YES = {"1", "ON", "YES", "TRUE"}
"""Values that huggingface_hub takes for true."""
_hub_result, _tracking_result = partial(CheckResult, "hub"), partial(CheckResult, "tracking")


def check_hub(environment: Mapping[str, str] = os.environ) -> CheckResult:
    """Check that base models and datasets can be downloaded; `mirror run` needs none by default."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if environment.get(name, "").upper() in YES:
            text = f"not checked: {name} is set, so only files on this machine are used"
            return _hub_result("ok", text, f"unset {name} to download models and datasets")
    hub = environment.get("HF_ENDPOINT") or HUB
    answer = ask(hub)
    if isinstance(answer, int) and answer < 500:
        return _hub_result("ok", f"{without_login(hub)} answers")
    text = f"{without_login(hub)} {_describe(answer)}: only local models and datasets can be used"
    return _hub_result(
        "warn", text, "check network and proxy, or ignore this if your recipe needs no download"
    )


def check_tracking(uri: str) -> CheckResult:
    """Check that the tracking store exists and can be written.

    Without MLflow: its import takes seconds, and it would create a missing database.
    """
    scheme, shown = urlsplit(uri).scheme, without_login(uri)
    if scheme == "sqlite":
        return _sqlite(uri)
    if scheme in ("http", "https"):
        return _server(uri)
    if is_no_address(uri):
        return _tracking_result(
            "bad", f"{shown} is not an address", f"MLFLOW_TRACKING_URI: {ADDRESS_REMEDY}"
        )
    if scheme == "file" or Path(uri).exists():
        if fault := write_fault(Path(unquote(urlsplit(uri).path))):
            text = f"{shown} cannot be written: {fault}"
            return _tracking_result("bad", text, "correct its permissions, or MLFLOW_TRACKING_URI")
        return _tracking_result("ok", f"{shown} can be written")
    text = f"{shown} is not checked: only http, https, sqlite and folders are"
    return _tracking_result("warn", text, "a run reports within seconds if it does not answer")


def is_no_address(uri: str) -> bool:
    """Return whether a tracking store's address is a plain word that names no folder."""
    return ":" not in uri and not uri.startswith("databricks") and not Path(uri).exists()


def ask(url: str) -> int | str:
    """Return a server's HTTP status, or the reason why it does not answer.

    In a thread, because DNS look-ups have no timeout of their own.
    """
    answers: queue.Queue[int | str] = queue.Queue()
    threading.Thread(target=lambda: answers.put(_ask(url)), daemon=True).start()
    try:
        return answers.get(timeout=TIMEOUT_SECONDS)
    except queue.Empty:
        return f"no answer within {TIMEOUT_SECONDS:g} s"


def without_login(uri: str) -> str:
    """Return the URI without user and password."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _ask(url: str) -> int | str:
    if urlsplit(url).scheme not in ("http", "https"):
        return "is not an http address"
    request = urllib.request.Request(url, method="GET")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def _describe(answer: int | str) -> str:
    return f"answers with status {answer}" if isinstance(answer, int) else f"not reached ({answer})"


def _server(uri: str) -> CheckResult:
    shown = without_login(uri)
    answer = ask(f"{shown.rstrip('/')}/health")
    if answer == 200:
        return _tracking_result("ok", f"{shown} answers")
    if answer in (401, 403):
        remedy = (
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
        return _tracking_result("warn", f"{shown} answers, but requires a login", remedy)
    remedy = "start it (`mlflow server`), or correct MLFLOW_TRACKING_URI"
    return _tracking_result("bad", f"{shown} {_describe(answer)}", remedy)


def _sqlite(uri: str) -> CheckResult:
    path = Path(unquote(uri.partition(":///")[2].partition("?")[0]))
    remedy = "correct MLFLOW_TRACKING_URI, or remove the file"
    if fault := write_fault(path.parent):
        text = f"{path} cannot be written: {fault}"
        return _tracking_result("bad", text, "correct its permissions, or MLFLOW_TRACKING_URI")
    if not path.exists():
        return _tracking_result("ok", f"{path} will be created by the first run")
    if not os.access(path, os.W_OK):
        return _tracking_result("bad", f"{path} is not writable", remedy)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return _tracking_result("bad", f"{path} cannot be read as a database: {error}", remedy)
    return _tracking_result("ok", f"{path} can be read and written")
