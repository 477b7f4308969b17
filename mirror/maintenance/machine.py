"""Looks at the machine: processor, GPU, threads, disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mirror.hardware import cpu_has_bf16, thread_count, usable_cores
from mirror.maintenance.health_check import CheckResult, State
from mirror.paths import nearest_folder, write_fault

GIGABYTE = 1e9
ENOUGH_DISK = 5 * GIGABYTE
LEAST_DISK = 0.5 * GIGABYTE


def look_at_machine(workspace: Path) -> Iterator[CheckResult]:
    """Torch and what it can use, cores and their load, workspace and disk; torch is imported."""
    yield from _torch()
    yield _cores(usable_cores(), thread_count(), os.getloadavg()[0])
    yield _writable(workspace)
    yield _disk(workspace)


def _torch() -> Iterator[CheckResult]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library of CUDA's is missing
        text = f"cannot be imported: {error}"
        yield CheckResult(
            "torch", "bad", text, "run `make install`, or see pytorch.org for your GPU"
        )
        return
    yield CheckResult("torch", "ok", torch.__version__)
    if torch.cuda.is_available():
        yield CheckResult(
            "gpu", "ok", f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
        )
        yield _bf16("GPU", torch.cuda.is_bf16_supported(including_emulation=False))
        return
    if torch.version.cuda or torch.version.hip:
        text = "none that this torch, built for one, can use: everything runs on the processor"
        yield CheckResult("gpu", "warn", text, "check the driver with nvidia-smi or rocminfo")
    else:
        yield CheckResult(
            "gpu", "ok", "this torch is built without: everything runs on the processor"
        )
    yield _bf16("processor", cpu_has_bf16())


def _bf16(where: str, native: bool) -> CheckResult:
    told = "computes in it" if native else "does not compute in it: fp32 is used"
    return CheckResult("bf16", "ok", f"the {where} {told}")


def _cores(cores: int, threads: int, load: float) -> CheckResult:
    text = f"{cores} usable, load {load:.1f}, {threads} thread(s) wanted"
    if threads > cores:
        return CheckResult("cores", "warn", text, f"set OMP_NUM_THREADS={cores}")
    busy = round(load)
    if threads > 1 and threads + busy > cores:
        # OpenMP's threads wait for each other after every operation: one of them delayed by
        # another program delays all.
        text += ": threads that share a core hold all others up, many times over"
        remedy = f"wait until the machine is quiet, or set OMP_NUM_THREADS={max(1, cores - busy)}"
        return CheckResult("cores", "warn", text, remedy)
    return CheckResult("cores", "ok", text)


def _writable(workspace: Path) -> CheckResult:
    if fault := write_fault(workspace):
        text = f"{workspace} cannot be written: {fault}"
        return CheckResult(
            "workspace", "bad", text, "allow it, or set MIRROR_HOME to another folder"
        )
    return CheckResult("workspace", "ok", f"{workspace} can be written")


def _disk(workspace: Path) -> CheckResult:
    free = shutil.disk_usage(nearest_folder(workspace)).free
    text = f"{free / GIGABYTE:.1f} GB free for {workspace}"
    if free < ENOUGH_DISK:
        state: State = "bad" if free < LEAST_DISK else "warn"
        remedy = "free some, or set MIRROR_HOME to a folder elsewhere: 5 GB are enough to begin"
        return CheckResult("disk", state, text, remedy)
    return CheckResult("disk", "ok", text)
