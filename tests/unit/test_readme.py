"""Every `mirror` command that the README shows is one that the command line takes."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from flows.cli.main import mirror
from mirror.evaluation.benchmark import read_definition
from mirror.paths import CHECKOUT

README = CHECKOUT / "README.md"
PLACEHOLDER = re.compile(r"[<\[{]\w[^>\]}]*[>\]}]|…|\.\.\.")


def shown_commands(text: str) -> list[list[str]]:
    """The arguments of each `mirror ...` line in a fenced block, or after a prompt in one."""
    found = []
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/)?mirror\s+(.*)", line)
            if command and not line.startswith(("#", "mirror:")):
                part = re.split(r"\s+(?:\||>|<|&&|;)\s*", command[1])[0]
                found.append(shlex.split(part, comments=True))
    return found


def check(arguments: list[str]) -> None:
    """Parse arguments as the command line would, without running anything."""
    context = click.Context(mirror, info_name="mirror")
    name, command, rest = mirror.resolve_command(context, arguments)
    assert command is not None
    command.make_context(name, list(rest), parent=context)


def readme_commands() -> list[list[str]]:
    return shown_commands(README.read_text(encoding="utf-8")) if README.is_file() else []


def test_the_readme_shows_the_main_commands() -> None:
    names = {arguments[0] for arguments in readme_commands()}
    assert {"run", "show", "evaluate", "encode"} <= names


@pytest.mark.parametrize("arguments", readme_commands(), ids=" ".join)
def test_every_command_of_the_readme_is_taken(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRROR_HOME", "unused")
    assert not PLACEHOLDER.search(" ".join(arguments)), "show a command that can be pasted"
    if arguments[0].startswith("-"):
        assert arguments in (["--help"], ["--version"])
    else:
        check(arguments)


def test_commands_are_found_in_blocks_only() -> None:
    text = (
        "mirror run outside\n"
        "```console\n$ mirror run a  # say\nmirror: not a command\n"
        "MIRROR_HOME=/x .venv/bin/mirror encode e \\\n  t.txt --out v.npy | head\n```\n"
    )
    assert shown_commands(text) == [["run", "a"], ["encode", "e", "t.txt", "--out", "v.npy"]]


@pytest.mark.parametrize("arguments", [["rn", "a"], ["pretrain"], ["run", "a", "--nonsense"]])
def test_a_wrong_command_would_be_noticed(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        check(arguments)


def fetched_benchmarks(commands: list[list[str]]) -> list[str]:
    """The benchmarks that commands with --fetch name."""
    named = [
        arguments[arguments.index("--benchmarks") + 1].split(",")
        for arguments in commands
        if "--fetch" in arguments and "--benchmarks" in arguments
    ]
    return sorted({name for names in named for name in names})


def without_url(name: str) -> list[str]:
    definition = read_definition(name)
    lacking = [file.path for file in definition.files if file.url is None]
    return [*lacking, *(path for member in definition.members for path in without_url(member))]


@pytest.mark.parametrize("name", fetched_benchmarks(readme_commands()))
def test_what_the_readme_fetches_can_be_fetched(name: str) -> None:
    assert not without_url(name)


def test_what_cannot_be_fetched_would_be_noticed() -> None:
    text = "```\nmirror evaluate m --benchmarks stsb,multisimlex-en --fetch\n```\n"
    assert fetched_benchmarks(shown_commands(text)) == ["multisimlex-en", "stsb"]
    assert without_url("multisimlex-en")
    assert not without_url("stsb")


@pytest.mark.parametrize("page", ["README.md", "models/mirror-mini-en/README.md", "CHANGELOG.md"])
def test_no_page_is_left_with_a_gap(page: str) -> None:
    assert "@@" not in (README.parent / page).read_text(encoding="utf-8")
