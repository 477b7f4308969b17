"""Entry of a new deployment in a prefect.yaml, whose other lines stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from mirror.errors import InputError
from mirror.recipe import Recipe

FLOW = "flows.run_recipe.run_recipe"
_WRITTEN_OUT = f"""\
entrypoint: {FLOW}
work_pool: {{name: mirror, work_queue_name: default, job_variables: {{}}}}
concurrency_limit: {{limit: 1, collision_strategy: CANCEL_NEW}}
enforce_parameter_schema: true
pull: []"""
"""What the anchor of the shipped file holds."""


def add_deployment(path: Path, recipe: Recipe, cron: str, *, active: bool = True) -> str:
    """Return the text of a prefect.yaml with a recipe's deployment after the last one.

    Args:
        path: the file.
        recipe: the new deployment's.
        cron: its schedule, in UTC.
        active: whether the schedule starts runs.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root, content = yaml.compose(text), yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML: correct it: {error}") from error
    keys = {key.value: value for key, value in getattr(root, "value", ()) if key.value}
    listed = keys.get("deployments")
    if not isinstance(listed, yaml.SequenceNode) or not listed.value or listed.flow_style:
        raise InputError(f"{path} has no list `deployments:` with one on each line: write one")
    if recipe.name in [each.get("name") for each in content["deployments"]]:
        raise InputError(f"{path} has a deployment {recipe.name} already: choose another name")
    lines = text.splitlines(keepends=True)
    end = _last_line(listed) + 1
    if not lines[end - 1].endswith("\n"):
        lines[end - 1] += "\n"
    entry = _entry(recipe, cron, active, content["name"], _anchor(text, keys))
    indent = " " * listed.start_mark.column
    new = "".join(f"{indent}{line}\n" for line in entry.splitlines())
    result = "".join([*lines[:end], new, *lines[end:]])
    if yaml.safe_load(result)["deployments"][:-1] != content["deployments"]:
        raise InputError(f"{path} has a form that cannot be added to: add {recipe.name} by hand")
    return result


def _entry(recipe: Recipe, cron: str, active: bool, tag: str, anchor: str | None) -> str:
    tags = ", ".join(map(_scalar, (recipe.language, recipe.domain, recipe.level, tag)))
    first = f"<<: *{anchor}" if anchor else _WRITTEN_OUT
    body = (
        f"{first}\n"
        f"name: {_scalar(recipe.name)}\n"
        f"description: {recipe.language}, {recipe.domain}, level {recipe.level}.\n"
        f"tags: [{tags}]\n"
        f"parameters: {{recipe: {_scalar(recipe.name)}, if_changed: true}}\n"
        "schedules:\n"
        "  - slug: scheduled\n"
        f"    cron: {json.dumps(cron)}\n"
        "    timezone: UTC\n"
        f"    active: {json.dumps(active)}"
    )
    return "- " + body.replace("\n", "\n  ")


def _scalar(text: str) -> str:
    """Return a text as YAML, quoted where it would be read as something else, such as `no`."""
    return text if yaml.safe_load(text) == text else json.dumps(text)


def _anchor(text: str, keys: dict[str, yaml.Node]) -> str | None:
    """Return the anchor of the mapping in `definitions` that holds the flow of recipes."""
    definitions = keys.get("definitions")
    if not isinstance(definitions, yaml.MappingNode):
        return None
    flows = {
        (value.start_mark.line, value.start_mark.column)
        for _, value in definitions.value
        if isinstance(value, yaml.MappingNode)
        and ("entrypoint", FLOW) in [(key.value, each.value) for key, each in value.value]
    }
    for event in yaml.parse(text):
        if isinstance(event, yaml.MappingStartEvent) and event.anchor:
            mark = event.start_mark
            if mark and (mark.line, mark.column) in flows:
                return str(event.anchor)
    return None


def _last_line(node: yaml.Node) -> int:
    """Return the number, from 0, of the last line of a node's last value."""
    if isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    mark = node.end_mark
    return int(mark.line) - (mark.column == 0 and mark.line > node.start_mark.line)
