from __future__ import annotations

import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mirror.encoders.base_model import (
    base_digest,
    check_base,
    find_base,
)
from mirror.encoders.encoder import Encoder
from mirror.encoders.model_config import token_limit
from mirror.errors import BaseModelError, ServiceError, TokenizerError
from mirror.paths import CHECKOUT
from mirror.recipe import BaseSection
from tests.fixtures.bases import edit_json, remove_mask_token, set_keys


def no_registry(uri: str) -> Path:
    raise AssertionError("the registry was asked")


def test_a_complete_base_passes_without_torch_or_transformers(tiny_base: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mirror.encoders.base_model import check_base\n"
        f"check_base(Path({str(tiny_base)!r}))\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CHECKOUT, timeout=60)


def test_shards_are_checked_together(base: Path, tiny_base: Path) -> None:
    from transformers import AutoModelForMaskedLM

    (base / "model.safetensors").unlink()
    AutoModelForMaskedLM.from_pretrained(tiny_base).save_pretrained(base, max_shard_size="40KB")
    assert len(list(base.glob("model-*.safetensors"))) > 1
    check_base(base)
    sorted(base.glob("model-*.safetensors"))[0].unlink()
    with pytest.raises(BaseModelError, match="cannot be read"):
        check_base(base)


@pytest.mark.parametrize("keep", [0, 7, 500, -1])
def test_truncated_weights_are_refused(base: Path, keep: int) -> None:
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(BaseModelError, match=r"model\.safetensors .*get it again"):
        check_base(base)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content + b"\x00",
        lambda content: b"\x07" * 5_000,
        lambda content: content[:8] + b"\x00" * 32 + content[40:],
        lambda content: (1 << 40).to_bytes(8, "little") + content[8:],
        lambda content: content.replace(b'"F32","shape":[', b'"F32","shape":[9', 1),
    ],
    ids=["lengthened", "garbage", "header of zeros", "huge header", "shape that does not fit"],
)
def test_damaged_weights_are_refused(base: Path, change: Callable[[bytes], bytes]) -> None:
    weights = base / "model.safetensors"
    weights.write_bytes(change(weights.read_bytes()))
    with pytest.raises(BaseModelError, match=r"model\.safetensors is truncated, damaged or no"):
        check_base(base)


def test_pickled_weights_are_refused_by_name(base: Path) -> None:
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(BaseModelError, match=r"pytorch_model\.bin.*not read.*save_pretrained"):
        check_base(base)


def test_weights_of_another_model_are_refused(base: Path) -> None:
    set_keys(base / "config.json", num_hidden_layers=3)
    with pytest.raises(BaseModelError, match=r"2 layers, but config\.json says 3"):
        check_base(base)
    set_keys(base / "config.json", num_hidden_layers=2, vocab_size=9)
    with pytest.raises(BaseModelError, match="word embeddings"):
        check_base(base)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_in_a_model_is_refused(base: Path, name: str) -> None:
    set_keys(base / name, auto_map={"AutoModel": "theirs.Model"})
    with pytest.raises(BaseModelError, match=f"{name} names code"):
        check_base(base)


def test_an_unsupported_architecture_is_refused(base: Path) -> None:
    set_keys(base / "config.json", model_type="gpt2")
    with pytest.raises(BaseModelError, match=r"'gpt2'.*bert, roberta"):
        check_base(base)


def test_a_configuration_without_kind_is_refused_with_the_line_that_it_lacks(base: Path) -> None:
    set_keys(base / "config.json", model_type=None, architectures=["DistilBertForMaskedLM"])
    with pytest.raises(BaseModelError, match=r'no model_type.*"model_type": "distilbert"'):
        check_base(base)


def test_positions_that_transformers_does_not_compute_are_refused(base: Path) -> None:
    set_keys(base / "config.json", position_embedding_type="absolute")
    check_base(base)
    set_keys(base / "config.json", position_embedding_type="relative_key")
    with pytest.raises(BaseModelError, match="position_embedding_type 'relative_key'"):
        check_base(base)


@pytest.mark.parametrize("number", [math.nan, -math.inf])
@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.case("c5")
def test_weights_that_are_not_finite_are_refused_by_name(
    base: Path, number: float, kind: torch.dtype
) -> None:
    weights = {name: part.to(kind) for name, part in load_file(base / "model.safetensors").items()}
    save_file(weights, base / "model.safetensors")
    check_base(base)
    name = "bert.encoder.layer.1.output.dense.weight"
    weights[name][-1, -1] = number
    save_file(weights, base / "model.safetensors")
    for read in (check_base, partial(Encoder.load, pooling="cls")):
        with pytest.raises(BaseModelError, match=r"encoder\.layer\.1\.output.*not finite"):
            read(base)


def test_weights_that_transformers_leaves_out_are_refused_by_name(base: Path) -> None:
    weights = load_file(base / "model.safetensors")
    heads = {name: torch.zeros(3) for name in ("classifier.weight", "bert.pooler.dense.bias")}
    save_file({**weights, **heads}, base / "model.safetensors")
    Encoder.load(base, "cls")
    name = "encoder.layer.0.attention.self.distance_embedding.weight"
    save_file({**weights, f"bert.{name}": torch.zeros(3)}, base / "model.safetensors")
    with pytest.raises(BaseModelError, match=f"have {name}.*does not use"):
        Encoder.load(base, "cls")


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_configuration_is_refused(base: Path, content: str) -> None:
    (base / "config.json").write_text(content)
    with pytest.raises(BaseModelError, match=r"config\.json"):
        check_base(base)


def test_a_folder_without_configuration_is_refused(base: Path) -> None:
    (base / "config.json").unlink()
    with pytest.raises(BaseModelError, match="no base model"):
        check_base(base)


def test_a_tokenizer_without_mask_token_is_refused_if_the_recipe_masks(base: Path) -> None:
    remove_mask_token(base)
    with pytest.raises(TokenizerError, match="no mask token"):
        check_base(base)
    check_base(base, masks=False)


def test_a_tokenizer_that_adds_no_class_token_is_refused(base: Path) -> None:
    set_keys(base / "tokenizer.json", post_processor=None)
    with pytest.raises(TokenizerError, match="post-processor"):
        check_base(base)


def test_a_tokenizer_that_knows_no_word_is_refused(base: Path) -> None:
    def forget(tokenizer: dict[str, Any]) -> None:
        vocabulary = tokenizer["model"]["vocab"]
        special = {token: number for token, number in vocabulary.items() if token.startswith("[")}
        tokenizer["model"]["vocab"] = special

    edit_json(base / "tokenizer.json", forget)
    with pytest.raises(TokenizerError, match="same ids"):
        check_base(base)


def test_a_tokenizer_larger_than_the_model_is_refused(base: Path) -> None:
    edit_json(
        base / "tokenizer.json",
        lambda tokenizer: tokenizer["model"]["vocab"].update({"zebra": 10_000}),
    )
    with pytest.raises(TokenizerError, match="ids up to 10000"):
        check_base(base)


@pytest.mark.parametrize("damage", ["", "{}", "{"])
def test_a_damaged_tokenizer_is_refused(base: Path, damage: str) -> None:
    (base / "tokenizer.json").write_text(damage)
    with pytest.raises(TokenizerError, match=r"tokenizer\.json cannot be read"):
        check_base(base)


def test_a_folder_without_tokenizer_is_refused(base: Path) -> None:
    (base / "tokenizer.json").unlink()
    with pytest.raises(TokenizerError, match="no tokenizer"):
        check_base(base)


def test_a_tokenizer_without_tokenizer_json_passes(base: Path, vocabulary: dict[str, int]) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (base / name).unlink()
    (base / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    check_base(base)


def test_special_tokens_not_named_in_files_are_those_of_the_architecture(base: Path) -> None:
    (base / "tokenizer_config.json").write_text("{}")
    check_base(base)


def test_a_relative_path_is_resolved_in_the_working_directory(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = find_base(BaseSection(path=str(tiny_base)), no_registry)
    assert ref.folder == str(tiny_base.resolve())
    assert ref.origin == str(tiny_base)
    shutil.copytree(tiny_base, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert find_base(BaseSection(path="mine"), no_registry).digest == ref.digest


def test_a_tilde_is_the_home_folder(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_base, tmp_path / "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    ref = find_base(BaseSection(path="~/mine"), no_registry)
    assert (ref.folder, ref.origin) == (str((tmp_path / "mine").resolve()), "~/mine")
    with pytest.raises(BaseModelError) as fault:
        find_base(BaseSection(path="~/other"), no_registry)
    expected = f"no base model at {tmp_path / 'other'}: correct base.path in the recipe"
    assert str(fault.value) == expected


def test_the_error_of_a_missing_folder_names_where_it_was_looked_for() -> None:
    with pytest.raises(BaseModelError, match=r"models/absent.*base\.path"):
        find_base(BaseSection(path="models/absent"), no_registry)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="no base model"):
        find_base(BaseSection(path=str(tmp_path)), no_registry)


def test_the_registry_is_asked_for_its_models(tiny_base: Path) -> None:
    asked: list[str] = []

    def from_registry(uri: str) -> Path:
        asked.append(uri)
        return tiny_base

    ref = find_base(BaseSection(registry="models:/m@champion"), from_registry)
    assert asked == ["models:/m@champion"]
    assert (ref.folder, ref.origin) == (str(tiny_base), "models:/m@champion")


def test_the_digest_of_an_encoder_depends_on_its_modules(
    save_encoder: Callable[..., Path],
) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    folder = save_encoder(Dense(32, 8), Normalize())
    digests = [base_digest(folder)]
    (folder / "2_Dense" / "model.safetensors").write_bytes(b"other weights")
    digests.append(base_digest(folder))
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    digests.append(base_digest(folder))
    assert len(set(digests)) == 3


def test_the_digest_depends_on_the_weights_and_not_on_the_card(base: Path) -> None:
    before = base_digest(base)
    (base / "README.md").write_text("A card.")
    assert base_digest(base) == before
    content = bytearray((base / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (base / "model.safetensors").write_bytes(content)
    assert base_digest(base) != before


class TestHub:
    section = BaseSection(hub="someone/model", revision="0" * 40)

    def test_no_pickles_and_no_code_are_downloaded(
        self, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: dict[str, Any] = {}

        def fetch(hub: str, **options: Any) -> str:
            asked.update(options, hub=hub)
            return str(tiny_base)

        monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
        ref = find_base(self.section, no_registry)
        assert ref.origin == f"someone/model@{'0' * 40}"
        assert (asked["hub"], asked["revision"]) == ("someone/model", "0" * 40)
        assert not any(
            pattern.endswith((".bin", ".py", "*")) for pattern in asked["allow_patterns"]
        )

    def test_no_answer_is_a_service_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(ServiceError, match=r"did not answer.*base\.path"):
            find_base(self.section, no_registry)

    def test_an_invalid_name_is_refused(self) -> None:
        with pytest.raises(BaseModelError, match=r"base\.hub"):
            find_base(BaseSection(hub="no such/model name", revision="0" * 40), no_registry)


def test_the_token_limit_is_the_encoders_max_tokens(any_base: Path) -> None:
    encoder = Encoder.load(any_base, "mean", 10_000)
    assert token_limit(any_base) == encoder.settings.max_tokens < 10_000


def test_a_config_without_positions_sets_no_limit(base: Path) -> None:
    edit_json(base / "config.json", lambda c: c.pop("max_position_embeddings"))
    assert token_limit(base) is None
