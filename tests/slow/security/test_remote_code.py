"""No model, of a folder or of the registry, has code of its own run.

That `auto_map` is refused in its usual files is in
`tests/unit/mirror/encoders/test_base_model.py`.
"""

from __future__ import annotations

import builtins
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from mirror.encoders.base_model import check_base
from mirror.encoders.encoder import Encoder
from mirror.errors import BaseModelError, MirrorError
from tasks.registry import register
from tasks.registry.candidate import RegistrationCandidate
from tasks.registry.serving import checked_copy
from tests.fixtures.security import Payload

MODEL = "mirror-en-trades"
ENCODER = "model.sentence_transformer"
Poison = Callable[[Path, Payload], None]


@pytest.fixture(autouse=True)
def credulous(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody who says yes to every question, and forgets what was imported."""
    monkeypatch.setattr(builtins, "input", lambda *_: "y")
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("evil") or "transformers_modules" in name:
            del sys.modules[name]


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("kind", ["AutoConfig", "AutoModel", "AutoTokenizer"])
def test_code_of_a_base_is_not_run_even_if_the_user_agrees(
    file: str, kind: str, base: Path, payload: Payload, edit: Callable[..., None]
) -> None:
    (base / "evil.py").write_text(f"{payload.code}\nclass Evil: ...\n")
    named: Any = ["evil.Evil", None] if kind == "AutoTokenizer" else "evil.Evil"
    edit(base / file, auto_map={kind: named})
    for read in (check_base, lambda folder: Encoder.load(folder, "mean")):
        with pytest.raises(MirrorError, match="code"):
            read(base)
    assert not payload.was_executed()


@pytest.mark.parametrize(
    "key", ["attn_implementation", "_attn_implementation", "experts_implementation"]
)
@pytest.mark.parametrize(
    "value", ["theirs/kernel", "theirs/kernel@main:run", {"": "theirs/kernel"}]
)
def test_a_kernel_from_a_hub_is_not_fetched(
    key: str, value: Any, base: Path, edit: Callable[..., None]
) -> None:
    edit(base / "config.json", **{key: value})
    for read in (check_base, lambda folder: Encoder.load(folder, "mean")):
        with pytest.raises(BaseModelError, match="kernel"):
            read(base)


@pytest.mark.parametrize("kind", ["evil.Module", "evil.Dense", "os.path.Pooling"])
def test_modules_that_a_folder_names_are_not_imported(
    kind: str,
    encoders: list[Path],
    payload: Payload,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = Path(shutil.copytree(encoders[0], tmp_path / "encoder"))
    name_module(folder, payload, kind)
    monkeypatch.syspath_prepend(str(folder))
    (tmp_path / "texts.txt").write_text("the baker sells\n")
    out = tmp_path / "vectors.npy"
    code = run_guarded(
        mirror, ["encode", str(folder), str(tmp_path / "texts.txt"), "--out", str(out)]
    )
    assert code in (0, 1)
    assert not payload.was_executed()


def name_module(encoder: Path, payload: Payload, kind: str = "evil.Module") -> None:
    (encoder / "evil.py").write_text(f"{payload.code}\nclass Module: ...\n")
    modules = json.loads((encoder / "modules.json").read_text())
    modules.append({"idx": len(modules), "name": "9", "path": "", "type": kind})
    (encoder / "modules.json").write_text(json.dumps(modules))


def change_flavour(model: Path, **changes: Any) -> None:
    content = yaml.safe_load((model / "MLmodel").read_text())
    content["flavors"]["python_function"].update(changes)
    (model / "MLmodel").write_text(yaml.safe_dump(content))


def a_module_in_the_encoder(model: Path, payload: Payload) -> None:
    name_module(model / ENCODER, payload)


def a_loader_with_code(model: Path, payload: Payload) -> None:
    (model / "code").mkdir()
    (model / "code" / "evil_loader.py").write_text(f"{payload.code}\n_load_pyfunc = print\n")
    change_flavour(model, loader_module="evil_loader", code="code")


def code_beside_our_loader(model: Path, payload: Payload) -> None:
    """Found before sentence-transformers is, for it comes first on the path."""
    (model / "code").mkdir()
    (model / "code" / "sentence_transformers.py").write_text(payload.code)
    change_flavour(model, code="code")


def a_pickled_function(model: Path, payload: Payload) -> None:
    (model / "python_model.pkl").write_bytes(payload.pickled)
    change_flavour(
        model,
        loader_module="mlflow.pyfunc.model",
        python_model="python_model.pkl",
        cloudpickle_version="3",
    )


def another_folder_than_the_one_that_looks_sound(model: Path, payload: Payload) -> None:
    shutil.copytree(model / ENCODER, model / "a" / "evil")
    name_module(model / "a" / "evil", payload)
    change_flavour(model, data="a/evil")


def a_folder_elsewhere(model: Path, payload: Payload) -> None:
    shutil.copytree(model / ENCODER, payload.mark.parent / "elsewhere")
    name_module(payload.mark.parent / "elsewhere", payload)
    change_flavour(model, data=str(payload.mark.parent / "elsewhere"))


def code_that_the_configuration_asks_for(model: Path, payload: Payload) -> None:
    (model / ENCODER / "evil.py").write_text(f"{payload.code}\nclass Evil: ...\n")
    config = json.loads((model / ENCODER / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Evil"}
    (model / ENCODER / "config.json").write_text(json.dumps(config))


def a_function_after_the_pooling(model: Path, payload: Payload) -> None:
    """The name of an installed function, to be imported and called."""
    modules = json.loads((model / ENCODER / "modules.json").read_text())
    kind = "sentence_transformers.models.Dense"
    modules.append({"idx": 2, "name": "2", "path": "2_Dense", "type": kind})
    (model / ENCODER / "modules.json").write_text(json.dumps(modules))
    (model / ENCODER / "2_Dense").mkdir()
    config = {"in_features": 32, "out_features": 32, "activation_function": "os.abort"}
    (model / ENCODER / "2_Dense" / "config.json").write_text(json.dumps(config))


def a_module_that_reads_pickles(model: Path, payload: Payload) -> None:
    modules = json.loads((model / ENCODER / "modules.json").read_text())
    modules[1]["type"] = "sentence_transformers.models.WordEmbeddings"
    (model / ENCODER / "modules.json").write_text(json.dumps(modules))


POISONS: tuple[Poison, ...] = (
    a_module_in_the_encoder,
    a_loader_with_code,
    code_beside_our_loader,
    a_pickled_function,
    another_folder_than_the_one_that_looks_sound,
    a_folder_elsewhere,
    code_that_the_configuration_asks_for,
    a_function_after_the_pooling,
    a_module_that_reads_pickles,
)


@pytest.fixture
def registered(
    make_candidate: Callable[..., RegistrationCandidate], workspace: Path, tracking: str
) -> Path:
    """The folder in the registry of a champion that was registered as runs register theirs."""
    register.fn(make_candidate(0), workspace)
    [file] = (workspace / "mlflow-artifacts").rglob("MLmodel")
    return file.parent


def test_a_version_that_a_run_registered_is_served(registered: Path) -> None:
    with checked_copy(f"models:/{MODEL}@champion") as copy:
        assert (copy / ENCODER / "model.safetensors").is_file()
        assert (copy / "MLmodel").is_file()
    assert not copy.exists()


@pytest.mark.parametrize("poison", POISONS)
def test_a_version_with_code_is_not_served(
    poison: Poison,
    registered: Path,
    payload: Payload,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    poison(registered, payload)
    with (
        pytest.raises(BaseModelError, match=r"code|other weights"),
        checked_copy(f"models:/{MODEL}@champion"),
    ):
        pytest.fail("it would be served")
    monkeypatch.setattr("tasks.registry.serving.scoring_server", lambda *_: pytest.fail("served"))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert run_guarded(mirror, ["serve", MODEL]) == 1
    assert "error: " in capsys.readouterr().err
    assert not payload.was_executed()


@pytest.mark.parametrize(
    "poison", [a_module_in_the_encoder, a_loader_with_code, code_that_the_configuration_asks_for]
)
def test_mlflow_without_our_checks_would_run_the_code(
    poison: Poison, registered: Path, payload: Payload
) -> None:
    """So that the attacks above are attacks."""
    import mlflow

    poison(registered, payload)
    with suppress(Exception):  # it has run by then
        mlflow.pyfunc.load_model(str(registered))
    assert payload.was_executed()


@pytest.mark.parametrize("poison", [a_module_in_the_encoder, code_beside_our_loader])
def test_a_version_with_code_is_encoded_with_and_compared_without_it(
    poison: Poison, registered: Path, payload: Payload, tmp_path: Path, encoders: list[Path]
) -> None:
    poison(registered, payload)
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"the baker sells {number} red ladders\n" for number in range(150)))
    uri = f"models:/{MODEL}@champion"
    run_guarded(mirror, ["encode", uri, str(texts), "--out", str(tmp_path / "vectors.npy")])
    run_guarded(mirror, ["compare", uri, str(encoders[1]), "--texts", str(texts)])
    place = tmp_path / "exported"
    run_guarded(mirror, ["export", uri, "--format", "sentence-transformers", "--out", str(place)])
    assert not [path for path in place.rglob("*") if path.suffix in (".py", ".pkl", ".bin")]
    assert not payload.was_executed()
