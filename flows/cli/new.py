"""`mirror new`: a recipe and a deployment for a text."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.console import echo
from flows.cli.options import Command, workspace_option
from mirror.paths import CHECKOUT, RECIPES

if TYPE_CHECKING:
    from mirror.config_base import Level
    from mirror.corpus.text_survey import TextSurvey
    from mirror.recipe import Recipe
    from mirror.recipe_draft import RecipeDraft

DEPLOYMENTS = CHECKOUT / "prefect.yaml"
WEEKLY = "0 3 * * 1"


@click.command(cls=Command, short_help="Write a recipe and a deployment for a text.")
@click.argument("name")
@click.option("--language", required=True, metavar="CODE", help="ISO 639 code, such as de.")
@click.option("--domain", required=True, metavar="NAME", help="Such as support.")
@click.option(
    "--text",
    required=True,
    metavar="PATH",
    help="File, folder, glob, s3:// or gs:// address, https:// address of a file, or `wordfreq`.",
)
@click.option("--level", type=click.Choice(["word", "name", "sentence"]), help="Default: by text.")
@click.option("--text-column", metavar="NAME", help="The column of a table that has the text.")
@click.option("--title-column", metavar="NAME", help="The column of a table that has titles.")
@click.option("--base", metavar="BASE", help="Folder or ORG/NAME@COMMIT; default: by bases.toml.")
@click.option("--cron", default=WEEKLY, show_default=True, help="Schedule, in UTC.")
@click.option("--rehearse", is_flag=True, help="First try all stages on 500 strings.")
@click.option("--dry-run", is_flag=True, help="Print both, and write neither.")
@workspace_option
def new(
    name: str,
    language: str,
    domain: str,
    text: str,
    level: Level | None,
    text_column: str | None,
    title_column: str | None,
    base: str | None,
    cron: str,
    rehearse: bool,
    dry_run: bool,
) -> None:
    """Write recipes/NAME.toml and its deployment in prefect.yaml, for a text.

    A sample of the text is read, and level, views, benchmarks and base are chosen by it; the
    recipe has a comment on each choice.  Everything that a run needs is checked first.
    """
    from mirror.corpus.text_survey import survey_text
    from mirror.recipe_draft import draft_recipe

    _check_new(name)
    survey = survey_text(text, language, level, text_column, title_column)
    draft = draft_recipe(name, language, domain, survey, base=base, has_gpu=_has_gpu())
    deployments = _deployments(draft.recipe, cron)
    for note in survey.notes:
        echo(f"note: {note}", err=True)
    if dry_run:
        echo(f"# recipes/{name}.toml\n{draft.text}\n# {DEPLOYMENTS.name}\n{_added(deployments)}")
        return
    missing = _check_run(draft.recipe, survey)
    if rehearse:
        _rehearse(draft, survey, missing)
    if missing:
        deployments = _deployments(draft.recipe, cron, active=False)
    _write(draft, deployments)
    echo(f"written: {RECIPES / name}.toml, and its deployment in {DEPLOYMENTS.name}")
    if missing:
        echo(f"its schedule is paused: {missing}")
    echo(f"next: mirror run {name}\nthen: mirror up && mirror deploy")


def _check_new(name: str) -> None:
    from mirror.errors import RecipeError
    from mirror.paths import recipe_path, unknown_names

    if name.endswith(".toml"):
        raise RecipeError(f"{name} is a file: give the recipe's name, {Path(name).stem}")
    if not unknown_names([name], RECIPES):
        raise RecipeError(
            f"{recipe_path(name, RECIPES)} exists: choose another name, or remove it and its "
            "deployment first"
        )
    if (RECIPES / f"{name}.toml").exists():  # such as a broken link
        raise RecipeError(f"{RECIPES / name}.toml exists: choose another name")


def _has_gpu() -> bool:
    from mirror.maintenance.hardware import has_gpu

    return has_gpu()


def _deployments(recipe: Recipe, cron: str, *, active: bool = True) -> str:
    """Return the text of prefect.yaml with the recipe's deployment."""
    from tasks.deployment_entry import add_deployment
    from tasks.deployment_file import read_file

    text = add_deployment(DEPLOYMENTS, recipe, cron, active=active)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / DEPLOYMENTS.name
        path.write_text(text, encoding="utf-8")
        read_file(path)
    return text


def _added(text: str) -> str:
    """Return the lines that prefect.yaml lacks."""
    import difflib

    old = DEPLOYMENTS.read_text(encoding="utf-8").splitlines()
    lines = difflib.ndiff(old, text.splitlines())
    return "\n".join(line[2:] for line in lines if line.startswith("+ "))


def _check_run(recipe: Recipe, survey: TextSurvey) -> str:
    """Check everything that a run needs; return what does not answer now, empty if all does."""
    from mirror.errors import ServiceError
    from mirror.paths import writable_workspace
    from mirror.recipe_draft import check_fit
    from mirror.run_context import RunContext
    from mirror.store import Store
    from tasks.preflight import check_run

    try:
        check_run(RunContext(recipe, Store(writable_workspace())))
        check_fit(recipe, survey)
    except ServiceError as error:
        return str(error)
    return ""


def _rehearse(draft: RecipeDraft, survey: TextSurvey, missing: str) -> None:
    """Run all stages on a part of the sample, in a workspace and a registry that are removed."""
    from mirror.errors import InputError, ServiceError
    from mirror.paths import workspace_root
    from mirror.recipe_draft import write_rehearsal

    if missing:
        raise ServiceError(f"nothing was written, because a rehearsal is impossible: {missing}")
    echo("rehearsal on 500 strings, with a workspace and registry that are removed:", err=True)
    with tempfile.TemporaryDirectory(prefix="mirror-") as folder:
        recipe = write_rehearsal(draft, survey, Path(folder))
        environment = {
            **os.environ,
            "MIRROR_BENCHMARKS": os.environ.get("MIRROR_BENCHMARKS")
            or str(workspace_root() / "benchmarks"),
            "MIRROR_HOME": f"{folder}/workspace",
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "PREFECT_API_URL": "",
        }
        command = [sys.executable, "-c", "from flows.cli.main import main; main()"]
        done = subprocess.run([*command, "run", str(recipe)], env=environment, check=False)
    if done.returncode:
        raise InputError(
            f"the rehearsal of {draft.name} failed, and nothing was written: see above"
        )


def _write(draft: RecipeDraft, deployments: str) -> None:
    from mirror.atomic_write import write_together

    RECIPES.mkdir(exist_ok=True)
    files = {RECIPES / f"{draft.name}.toml": draft.text, DEPLOYMENTS.resolve(): deployments}
    write_together(files)
