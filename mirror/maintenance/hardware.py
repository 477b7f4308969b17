"""Checks of processor, GPU, threads, workspace and disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mirror.hardware import cpu_has_bf16, thread_count, usable_cores
from mirror.maintenance.health_check import CheckResult, State
from mirror.paths import nearest_folder, write_fault

GIGABYTE = 1e9
RECOMMENDED_DISK = 5 * GIGABYTE
MIN_DISK = 0.5 * GIGABYTE


def check_hardware(workspace: Path) -> Iterator[CheckResult]:
    """Check torch, its devices, the cores and their load, the workspace and the disk."""
    yield from check_torch()
    yield check_cores(usable_cores(), thread_count(), os.getloadavg()[0])
    yield check_workspace(workspace)
    yield check_disk(workspace)


def check_torch() -> Iterator[CheckResult]:
    """Check that torch can be imported, and which devices it can use."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a CUDA library is missing
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
        text = "this torch is built for a GPU but can use none: everything runs on the processor"
        yield CheckResult("gpu", "warn", text, "check the driver with nvidia-smi or rocminfo")
    else:
        yield CheckResult(
            "gpu", "ok", "this torch is built without GPU support: everything runs on the processor"
        )
    yield _bf16("processor", cpu_has_bf16())


def _bf16(where: str, native: bool) -> CheckResult:
    support = "supports it" if native else "does not support it: fp32 is used"
    return CheckResult("bf16", "ok", f"the {where} {support}")


def check_cores(cores: int, threads: int, load: float) -> CheckResult:
    """Check that the threads have enough idle cores."""
    text = f"{cores} usable, load {load:.1f}, {threads} threads used"
    if threads > cores:
        return CheckResult("cores", "warn", text, f"set OMP_NUM_THREADS={cores}")
    busy = round(load)
    if threads > 1 and threads + busy > cores:
        # OpenMP's threads wait for each other after every operation: one delayed thread delays all.
        text += ": a thread that shares its core with another program slows all threads down"
        remedy = f"wait until the machine is quiet, or set OMP_NUM_THREADS={max(1, cores - busy)}"
        return CheckResult("cores", "warn", text, remedy)
    return CheckResult("cores", "ok", text)


def check_workspace(workspace: Path) -> CheckResult:
    """Check that the workspace can be written."""
    if fault := write_fault(workspace):
        text = f"{workspace} cannot be written: {fault}"
        return CheckResult(
            "workspace",
            "bad",
            text,
            "correct its permissions, or set MIRROR_HOME to another folder",
        )
    return CheckResult("workspace", "ok", f"{workspace} can be written")


def check_disk(workspace: Path) -> CheckResult:
    """Check that the disk of the workspace has enough free space."""
    free = shutil.disk_usage(nearest_folder(workspace)).free
    text = f"{free / GIGABYTE:.1f} GB free for {workspace}"
    if free < RECOMMENDED_DISK:
        state: State = "bad" if free < MIN_DISK else "warn"
        remedy = "free some, or set MIRROR_HOME to another folder: 5 GB are enough to begin"
        return CheckResult("disk", state, text, remedy)
    return CheckResult("disk", "ok", text)


def has_gpu() -> bool:
    """Return whether torch can use a GPU; loads torch only where there is a driver."""
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists()):
        return False
    import torch

    return torch.cuda.is_available()
