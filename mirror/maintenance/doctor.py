"""Checks of this machine for `mirror doctor`; read-only, within a few seconds."""

from __future__ import annotations

from pathlib import Path

from mirror.encoders.base_model import check_base
from mirror.errors import InputError
from mirror.evaluation.datasets import data_roots
from mirror.maintenance.hardware import check_hardware
from mirror.maintenance.health_check import CheckResult
from mirror.maintenance.network import check_hub, check_tracking
from mirror.maintenance.packages import check_packages
from mirror.maintenance.readiness import check_recipes
from mirror.paths import SHIPPED_BASE


def run_checks(workspace: Path, tracking_uri: str) -> tuple[CheckResult, ...]:
    """Check everything that a run depends on; at most three waits of 3 s for the network.

    Args:
        workspace: folder of runs; it need not exist.
        tracking_uri: address of MLflow's tracking store.
    """
    return (
        *check_packages(),
        *check_hardware(workspace),
        check_tracking(tracking_uri),
        check_hub(),
        check_shipped_base(SHIPPED_BASE),
        check_benchmarks(),
        *check_recipes(),
    )


def check_shipped_base(folder: Path) -> CheckResult:
    """Check that the base model of the checkout is complete."""
    try:
        check_base(folder)
    except InputError as error:
        return CheckResult("base model", "bad", str(error), "restore it: git checkout -- models")
    return CheckResult("base model", "ok", f"{folder} is complete")


def check_benchmarks() -> CheckResult:
    """Check that a folder with benchmark data exists."""
    folders = data_roots()
    for folder in folders:
        if folder.is_dir():
            return CheckResult("benchmarks", "ok", f"data in {folder}")
    text = f"no data in {' or '.join(map(str, folders))}: benchmarks that need downloads cannot run"
    return CheckResult(
        "benchmarks", "warn", text, "`mirror evaluate --fetch`, or set MIRROR_BENCHMARKS"
    )
