"""What loads what: a run that finds all its stages made must not pay for torch."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "transformers", "mlflow", "sentence_transformers")
PRINT_LOADED = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def loaded_by(module, tmp_path):
    """Top-level packages in memory after a fresh process has imported a module."""
    run = subprocess.run(
        [sys.executable, "-c", PRINT_LOADED, module],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "MIRROR_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "module",
    [
        "flows.run_recipe",
        "flows.run_study",
        "flows.command",
        "flows.run_paper",
        "tasks.registry",
        "mirror.corpus.stage",
        "mirror.sampling.stage",
        "mirror.encoders.base_model",
        "mirror.tuning.stage",
        "mirror.evaluation.stage",
        "mirror.evidence.gate",
        "mirror.evidence.probe_stage",
        "mirror.corpus.profile_stage",
        "mirror.evidence.packaging_stage",
        "mirror.evidence.compatibility_stage",
        "mirror.evidence.report",
        "mirror.doctor",
    ],
)
def test_cold_import_loads_nothing_heavy(module, tmp_path):
    assert loaded_by(module, tmp_path).isdisjoint(HEAVY)


def test_command_line_alone_loads_no_engine(tmp_path):
    assert loaded_by("flows.command", tmp_path).isdisjoint({"prefect", "duckdb", "pandas", "scipy"})


def test_servers_are_started_without_loading_theirs(tmp_path):
    for module in ("tasks.servers.starting", "tasks.servers.stopping"):
        assert loaded_by(module, tmp_path).isdisjoint({"prefect", "mlflow", "torch"})


def test_library_never_loads_prefect(tmp_path):
    for module in (
        "mirror.sampling.stage",
        "mirror.tuning.stage",
        "mirror.evidence.report",
        "mirror.doctor",
    ):
        assert "prefect" not in loaded_by(module, tmp_path)


def test_loading_is_seen(tmp_path):
    """The others prove nothing if this fails."""
    assert "torch" in loaded_by("mirror.tuning.contrastive", tmp_path)


def test_import_rules_hold():
    pytest.importorskip("importlinter")
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
        ],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


@pytest.mark.parametrize("package", ["mirror", "tasks", "flows"])
def test_functions_and_files_are_short(package):
    long = []
    for path in sorted((CHECKOUT / package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if (lines := len(text.splitlines())) > 300:
            long.append(f"{path.name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if lines > 40:
                    long.append(f"{path.name}, {node.name}: {lines} lines")
    assert not long
