"""Secrets end up nowhere on the disk and on no terminal; recipes may not hold any.

What `mirror up` does with passwords and logins is in `tests/slow/security/test_servers.py`, a
server's address in messages in `tests/unit/tasks/`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from mirror.errors import BenchmarkError, RecipeError
from mirror.evaluation.benchmark import read_definition
from mirror.recipe import read_recipe
from mirror.secrets import without_secrets
from tests.fixtures.security import CANARY

HOLDING = (
    f"s3://AKIAID:{CANARY}@bucket/words.txt",
    f"https://me:{CANARY}@example.org/words.txt",
    f"https://{CANARY}@example.org/words.txt",
    f"https://store.example/words.txt?X-Amz-Credential=id&X-Amz-Signature={CANARY}",
    f"https://store.example/words.txt?sv=2024&sig={CANARY}&se=1",
    f"https://store.example/words.txt?access_token={CANARY}",
    f"s3://bucket/words.txt?region=eu&secret_key={CANARY}",
)


@pytest.mark.parametrize("address", HOLDING)
def test_a_recipe_that_holds_a_secret_is_refused_without_showing_it(
    address: str, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, text=address)
    with pytest.raises(RecipeError, match="login or a signature") as fault:
        read_recipe(recipe)
    assert CANARY not in str(fault.value)


@pytest.mark.parametrize("address", [url for url in HOLDING if url.startswith("https")])
def test_a_benchmark_that_holds_a_secret_is_refused_without_showing_it(
    address: str, tmp_path: Path
) -> None:
    definition = tmp_path / "own.toml"
    file = f'[[files]]\npath = "a.tsv"\nsha256 = "{"0" * 64}"\nurl = "{address}"\n'
    definition.write_text(f'task = "similarity"\n{file}')
    with pytest.raises(BenchmarkError, match="login or a signature") as fault:
        read_definition(str(definition))
    assert CANARY not in str(fault.value)


def test_a_fault_beside_a_secret_does_not_show_it(
    write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path)
    for line in (
        f'paths = "https://me:{CANARY}@example.org/a.txt"',
        f'paths = ["a.txt"]\nformat = "https://me:{CANARY}@example.org"',
        f'paths = [["https://example.org/?{"x" * 30}&sig={CANARY}"]]',
    ):
        recipe.write_text(f'[corpus]\nsource = "files"\n{line}\n')
        assert run_guarded(mirror, ["--debug", "run", str(recipe)]) == 1
        assert CANARY not in "".join(capsys.readouterr())


@pytest.mark.parametrize("address", HOLDING)
def test_what_is_shown_of_an_address_is_where_it_leads(address: str) -> None:
    shown = without_secrets(f"cannot reach {address}: refused")
    assert CANARY not in shown
    assert "words.txt" in shown and shown.endswith("refused")


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/design=1/words.txt?tokenizer=bert&key=7&page=2",
        "s3://bucket/part@2/words.txt?region=eu-central-1",
        "/data/me@home//x@y/words.txt",
    ],
)
def test_an_address_without_secret_is_shown_and_taken_as_it_is(
    address: str, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    assert read_recipe(write_recipe(tmp_path, text=address)).corpus.paths == (address,)
