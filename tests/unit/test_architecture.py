"""Imports, import rules, and names and lengths of modules, classes and functions."""

import ast
import importlib.util
import os
import subprocess
import sys
from collections import defaultdict
from graphlib import TopologicalSorter
from itertools import pairwise

import grimp
import pytest

from mirror.paths import CHECKOUT

LIBRARY = (
    "mirror.corpus.ingest",
    "mirror.sampling.sample",
    "mirror.encoders.base_model",
    "mirror.tuning.stage",
    "mirror.evaluation.stage",
    "mirror.release.gate",
    "mirror.release.smoke_test",
    "mirror.corpus.profile_stage",
    "mirror.release.package",
    "mirror.release.index_compatibility_stage",
    "mirror.release.report",
    "mirror.maintenance.doctor",
)
FLOWS = (
    "flows.run_recipe",
    "flows.run_study",
    "flows.cli.main",
    "tasks.registry",
)
HEAVY = ("torch", "transformers", "mlflow", "sentence_transformers")
PRINT_LOADED = """
import importlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def loaded_by(modules, tmp_path):
    """Return the top-level packages that a fresh process loads with some modules."""
    run = subprocess.run(
        [sys.executable, "-c", PRINT_LOADED, *modules],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "MIRROR_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())


def test_the_library_loads_neither_torch_nor_an_orchestrator(tmp_path):
    assert loaded_by(LIBRARY, tmp_path).isdisjoint({*HEAVY, "prefect"})


def test_flows_and_the_registry_load_no_model_library(tmp_path):
    assert loaded_by(FLOWS, tmp_path).isdisjoint(HEAVY)


def test_command_line_alone_loads_no_engine(tmp_path):
    assert loaded_by(["flows.cli.main"], tmp_path).isdisjoint(
        {"prefect", "duckdb", "pandas", "scipy"}
    )


def test_servers_are_started_without_loading_theirs(tmp_path):
    loaded = loaded_by(["tasks.services.lifecycle"], tmp_path)
    assert loaded.isdisjoint({"prefect", "mlflow", "torch"})


def test_loading_is_seen(tmp_path):
    """Otherwise the other tests would pass without a check."""
    assert "torch" in loaded_by(["mirror.tuning.losses"], tmp_path)


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


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph(
        "mirror", "tasks", "flows", exclude_type_checking_imports=True, cache_dir=None
    )
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    # Raises CycleError, which names the modules; imports inside functions count.
    assert len([*TopologicalSorter(imports).static_order()]) == len(graph.modules) > 200


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


def test_recipes_are_tuned_in_the_worker_only():
    callers = {
        path.relative_to(CHECKOUT).as_posix()
        for package in ("mirror", "tasks", "flows", "bench")
        for path in (CHECKOUT / package).rglob("*.py")
        if "tune_in_process" in path.read_text(encoding="utf-8")
    }
    assert callers == {"mirror/tuning/stage.py", "mirror/tuning/worker.py"}


def syntax_trees(*packages):
    return {
        path.relative_to(CHECKOUT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for package in packages
        for path in sorted((CHECKOUT / package).rglob("*.py"))
    }


def test_no_class_name_is_used_twice():
    files = defaultdict(list)
    for path, tree in syntax_trees("mirror", "tasks", "flows").items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                files[node.name].append(path)
    assert {name: paths for name, paths in files.items() if len(paths) > 1} == {}


def stage_modules():
    """Return the modules that stages name as their code."""
    for tree in syntax_trees("mirror").values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Stage":
                named = {keyword.arg: keyword.value for keyword in node.keywords}
                yield f"mirror.{named.get('module', node.args[1:2] and node.args[1]).value}"


def started_modules():
    """Return the modules of the project that other processes run with `python -m`."""
    for tree in syntax_trees("mirror", "tasks", "flows").values():
        for node in ast.walk(tree):
            if isinstance(node, ast.List | ast.Tuple):
                words = [getattr(item, "value", None) for item in node.elts]
                for option, module in pairwise(words):
                    if option == "-m" and str(module).startswith(("mirror.", "tasks.", "bench.")):
                        yield module


def test_modules_named_in_strings_exist():
    modules = {*stage_modules(), *started_modules()}
    assert {"mirror.corpus.ingest", "mirror.tuning.stage", "mirror.tuning.worker"} <= modules
    assert len(modules) >= 18
    assert [name for name in sorted(modules) if importlib.util.find_spec(name) is None] == []
