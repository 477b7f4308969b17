"""What this machine has and lacks, in a few seconds; nothing is changed."""

from __future__ import annotations

import os
from pathlib import Path

from mirror.encoders.base_model import check_base
from mirror.errors import InputError
from mirror.maintenance.health_check import CheckResult
from mirror.maintenance.machine import look_at_machine
from mirror.maintenance.network import look_at_hub, look_at_tracking
from mirror.maintenance.packages import look_at_installation
from mirror.paths import CHECKOUT

SHIPPED_BASE = CHECKOUT / "models" / "mirror-mini-en"


def run_checks(workspace: Path, tracking_uri: str) -> tuple[CheckResult, ...]:
    """Looks at everything that a run depends on; at most two waits of 3 s for the network.

    Args:
        workspace: where runs are kept; it need not be there yet.
        tracking_uri: where MLflow keeps runs and models.
    """
    return (
        *look_at_installation(),
        *look_at_machine(workspace),
        look_at_tracking(tracking_uri),
        look_at_hub(),
        _shipped_base(SHIPPED_BASE),
        _benchmarks(workspace),
    )


def _shipped_base(folder: Path) -> CheckResult:
    try:
        check_base(folder)
    except InputError as error:
        return CheckResult("base model", "bad", str(error), "restore it: git checkout -- models")
    return CheckResult("base model", "ok", f"{folder} is whole")


def _benchmarks(workspace: Path) -> CheckResult:
    places = [CHECKOUT.parent / "shared" / "benchmarks", workspace / "benchmarks"]
    if chosen := os.environ.get("MIRROR_BENCHMARKS"):
        places = [Path(chosen)]
    for place in places:
        if place.is_dir():
            return CheckResult("benchmarks", "ok", f"data in {place}")
    text = f"no data in {' or '.join(map(str, places))}: only benchmarks without labels can be run"
    return CheckResult("benchmarks", "warn", text, "set MIRROR_BENCHMARKS, or fetch them")
