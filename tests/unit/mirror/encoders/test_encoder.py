from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer

from mirror.encoders.architectures import ARCHITECTURES
from mirror.encoders.base_model import check_base
from mirror.encoders.encoder import MAX_PADDING, Encoder
from mirror.errors import BaseModelError, TokenizerError
from mirror.tuning.trainer import tune
from mirror.tuning_config import Pooling
from tests.fixtures.bases import edit_json, set_keys
from tests.fixtures.encoders import pooled_vectors
from tests.fixtures.tuning import make_paths, short_tuning

TEXTS = ["the baker sells a mirror", "wagon", "", "a very old red bridge near the market " * 3]


def two_passes(base: Path, dropout: float) -> torch.Tensor:
    encoder = Encoder.load(base, "mean", dropout=dropout)
    encoder.model.train()
    torch.manual_seed(3)
    rows = encoder.token_ids(TEXTS)
    return torch.stack([pooled_vectors(encoder, rows), pooled_vectors(encoder, rows)]).detach()


def test_every_architecture_passes_check_base(any_base: Path) -> None:
    check_base(any_base)


def test_two_passes_differ_by_dropout_alone_in_every_architecture(any_base: Path) -> None:
    first, second = two_passes(any_base, 0.1)
    assert (first - second).abs().amax(-1).min() > 1e-3
    first, second = two_passes(any_base, 0.0)
    assert torch.equal(first, second)


def test_each_dropout_of_an_architecture_acts_alone(any_base: Path) -> None:
    kind = json.loads((any_base / "config.json").read_text())["model_type"]
    for name in ARCHITECTURES[kind].dropouts:
        encoder = Encoder.load(any_base, "mean", dropout=0.0)
        config = AutoConfig.from_pretrained(any_base)
        setattr(config, name, 0.5)
        torch.manual_seed(1)
        encoder.model = type(encoder.model)(config).train()
        rows = encoder.token_ids(TEXTS)
        assert not torch.equal(pooled_vectors(encoder, rows), pooled_vectors(encoder, rows)), name


@pytest.mark.parametrize("pooling", ["cls", "mean", "first-last", "last"])
def test_sentence_transformers_gives_the_same_vectors(
    any_base: Path, pooling: Pooling, tmp_path: Path
) -> None:
    encoder = Encoder.load(any_base, pooling, max_tokens=12)
    ours = encoder.encode(TEXTS)
    encoder.save(tmp_path / "encoder")
    theirs = SentenceTransformer(str(tmp_path / "encoder"), device="cpu")
    np.testing.assert_allclose(theirs.encode(TEXTS), ours, atol=2e-5)
    assert theirs.max_seq_length == 12
    np.testing.assert_array_equal(Encoder.load(tmp_path / "encoder").encode(TEXTS), ours)


def test_code_of_their_own_is_ignored_where_transformers_replaces_it(
    any_base: Path, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(any_base, tmp_path / "base"))
    theirs = {"AutoModel": "theirs.Model", "AutoConfig": "theirs.Config"}
    set_keys(base / "config.json", auto_map=theirs)
    kind = json.loads((base / "config.json").read_text())["model_type"]
    if not ARCHITECTURES[kind].replaces_code:
        with pytest.raises(BaseModelError, match="names code of its own"):
            Encoder.load(base, "mean")
        return
    check_base(base)
    encoder = Encoder.load(base, "mean")
    np.testing.assert_array_equal(
        encoder.encode(TEXTS), Encoder.load(any_base, "mean").encode(TEXTS)
    )
    encoder.save(tmp_path / "saved")
    assert "auto_map" not in (tmp_path / "saved" / "config.json").read_text()


@pytest.mark.parametrize("pad_token_id", [1, 3])
def test_padding_tokens_written_in_a_text_have_the_positions_of_transformers(
    any_base: Path, pad_token_id: int, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(any_base, tmp_path / "base"))
    set_keys(base / "config.json", pad_token_id=pad_token_id)
    texts = ["the <pad> baker [PAD] sells", "a mirror <pad>", "the wagon " * 99]
    encoder = Encoder.load(base, "mean")
    ours = encoder.encode(texts)
    encoder.save(tmp_path / "encoder")
    theirs = SentenceTransformer(str(tmp_path / "encoder"), device="cpu")
    np.testing.assert_allclose(theirs.encode(texts), ours, atol=2e-5)


def test_every_architecture_can_be_tuned(
    any_base: Path, tmp_path: Path, sentences: list[str]
) -> None:
    paths = make_paths(any_base, tmp_path)
    counts = tune(short_tuning(batch_size=16), sentences[:32], paths)
    assert counts["steps"] == 2
    assert counts["masked_share"] == 1
    before = Encoder.load(any_base, "mean").encode(TEXTS)
    after = Encoder.load(tmp_path / "out" / "encoder").encode(TEXTS)
    assert np.abs(before - after).max() > 1e-4


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_microbatches_give_the_vectors_of_one_padded_batch(
    tiny_base: Path, pooling: Pooling, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder.load(tiny_base, pooling)
    texts = [text[: 5 + 3 * number] for number, text in enumerate(sentences[:20])]
    inputs = encoder.tokenizer(texts, padding=True, return_tensors="pt")
    hidden = encoder.model(**inputs).last_hidden_state.detach()
    mask = inputs["attention_mask"][:, :, None]
    expected = hidden[:, 0] if pooling == "cls" else (hidden * mask).sum(1) / mask.sum(1)
    for padding, tokens_per_microbatch in ((0, 4_096), (128, 100), (10_000, 10_000)):
        monkeypatch.setitem(MAX_PADDING, "cpu", padding)
        vectors = encoder.encode(texts, tokens_per_microbatch)
        np.testing.assert_allclose(vectors, expected.numpy(), atol=1e-5)


def test_microbatches_give_the_gradients_of_one_padded_batch(
    tiny_base: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder.load(tiny_base, "mean", dropout=0.0)
    rows = encoder.token_ids([text[: 5 + 3 * number] for number, text in enumerate(sentences[:20])])
    gradients = []
    for padding in (0, 10_000):
        monkeypatch.setitem(MAX_PADDING, "cpu", padding)
        encoder.model.zero_grad()
        pooled_vectors(encoder, rows).square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in encoder.model.parameters()]))
    assert gradients[0].abs().max() > 0.1
    torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-3)


def test_vectors_are_float32_in_order_and_not_normalised(
    tiny_base: Path, sentences: list[str]
) -> None:
    encoder = Encoder.load(tiny_base, "mean")
    vectors = encoder.encode(sentences)
    assert vectors.dtype == np.float32
    assert vectors.shape == (400, 32)
    assert not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=0.1)
    for number in (0, 17, 399):
        np.testing.assert_allclose(
            encoder.encode([sentences[number]])[0], vectors[number], atol=1e-5
        )


def test_no_texts_give_no_vectors(tiny_base: Path) -> None:
    assert Encoder.load(tiny_base, "cls").encode([]).shape == (0, 32)


def test_texts_are_truncated_at_the_models_limit(tiny_base: Path) -> None:
    encoder = Encoder.load(tiny_base, "mean", max_tokens=10_000)
    assert encoder.settings.max_tokens == 64
    assert len(encoder.token_ids(["the " * 500])[0]) == 64
    assert len(Encoder.load(tiny_base, "mean", 7).token_ids(["the " * 500])[0]) == 7


def test_a_plain_model_needs_a_pooling(tiny_base: Path) -> None:
    with pytest.raises(BaseModelError, match="choose cls or mean"):
        Encoder.load(tiny_base)


def test_a_saved_folder_has_safetensors_and_verbose_settings(
    tiny_base: Path, tmp_path: Path
) -> None:
    Encoder.load(tiny_base, "cls", 20).save(tmp_path / "e")
    names = {path.relative_to(tmp_path / "e").as_posix() for path in (tmp_path / "e").rglob("*.*")}
    assert names == {
        "1_Pooling/config.json",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    pooling = json.loads((tmp_path / "e" / "1_Pooling" / "config.json").read_text())
    assert pooling["pooling_mode_cls_token"] is True
    assert pooling["pooling_mode_mean_tokens"] is False
    assert pooling["word_embedding_dimension"] == 32
    modules = json.loads((tmp_path / "e" / "modules.json").read_text())
    assert [module["type"] for module in modules] == [
        "sentence_transformers.models.Transformer",
        "sentence_transformers.models.Pooling",
    ]


def test_saved_bytes_do_not_depend_on_the_folder_or_earlier_use(
    tiny_base: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(tiny_base, tmp_path / "moved"))
    Encoder.load(tiny_base, "cls", 20).save(tmp_path / "one")
    used = Encoder.load(moved, "cls", 20)
    used.encode(TEXTS)
    used.save(tmp_path / "two")
    for path in (tmp_path / "one").rglob("*.*"):
        assert (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes() == (
            path.read_bytes()
        ), path.name


def test_lowercase_equals_that_of_transformers_and_is_saved(
    cased_base: Path, vocabulary: dict[str, int], tmp_path: Path
) -> None:
    texts = ["The BAKER sells one mirror", "th\u00e9 b\u00e0ker"]  # accents go with capitals
    expected = AutoTokenizer.from_pretrained(cased_base, do_lower_case=True)(texts)["input_ids"]
    encoder = Encoder.load(cased_base, "cls", lowercase=True)
    assert encoder.token_ids(texts) == expected
    assert vocabulary["baker"] in expected[0] and vocabulary["baker"] in expected[1]
    assert vocabulary["[UNK]"] in Encoder.load(cased_base, "cls").token_ids(texts)[0]
    encoder.save(tmp_path / "encoder")
    assert Encoder.load(tmp_path / "encoder").token_ids(texts) == expected
    assert AutoTokenizer.from_pretrained(tmp_path / "encoder")(texts)["input_ids"] == expected


def test_half_precision_weights_are_loaded_as_fp32(base: Path) -> None:
    AutoModelForMaskedLM.from_pretrained(base).half().save_pretrained(base)
    encoder = Encoder.load(base, "mean")
    assert {parameter.dtype for parameter in encoder.model.parameters()} == {torch.float32}
    assert encoder.model.config.dtype == torch.float32


def test_missing_weights_are_refused(base: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(base / "model.safetensors")
    del tensors["bert.encoder.layer.1.output.dense.weight"]
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BaseModelError, match=r"lack encoder\.layer\.1\.output\.dense\.weight"):
        Encoder.load(base, "mean")


def test_a_damaged_tokenizer_is_refused(base: Path) -> None:
    (base / "tokenizer.json").write_text("{")
    with pytest.raises(TokenizerError, match="cannot be loaded"):
        Encoder.load(base, "mean")


@pytest.mark.gpu
def test_a_gpu_gives_the_vectors_of_the_cpu(tiny_base: Path, sentences: list[str]) -> None:
    on_gpu = Encoder.load(tiny_base, "mean", device="cuda").encode(sentences)
    on_cpu = Encoder.load(tiny_base, "mean", device="cpu").encode(sentences)
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-4)


def test_mean_with_padding_depends_on_max_tokens_and_is_saved(
    tiny_base: Path, tmp_path: Path
) -> None:
    encoder = Encoder.load(tiny_base, "mean-with-padding", max_tokens=16)
    inputs = encoder.tokenizer(
        TEXTS, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    )
    expected = encoder.model(**inputs).last_hidden_state.detach().mean(1).numpy()
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)
    assert (
        np.abs(Encoder.load(tiny_base, "mean-with-padding", 20).encode(TEXTS) - expected).max()
        > 1e-3
    )
    encoder.save(tmp_path / "encoder")
    again = Encoder.load(tmp_path / "encoder")
    assert again.settings == encoder.settings
    np.testing.assert_allclose(again.encode(TEXTS), expected, atol=1e-5)


def test_first_last_is_the_mean_of_two_layers_over_tokens(
    tiny_base: Path, sentences: list[str]
) -> None:
    encoder = Encoder.load(tiny_base, "first-last")
    inputs = encoder.tokenizer(sentences[:9], padding=True, return_tensors="pt")
    hidden = encoder.model(**inputs, output_hidden_states=True).hidden_states
    mask = inputs["attention_mask"][:, :, None]
    expected = ((hidden[1] + hidden[-1]) / 2 * mask).sum(1) / mask.sum(1)
    np.testing.assert_allclose(encoder.encode(sentences[:9]), expected.detach(), atol=1e-5)


def test_last_is_the_last_token_with_any_padding(tiny_base: Path, sentences: list[str]) -> None:
    encoder = Encoder.load(tiny_base, "last", 12)
    texts = [text[: 5 + 4 * number] for number, text in enumerate(sentences[:9])]
    alone = [
        encoder.model(torch.tensor([row])).last_hidden_state[0, -1].detach().numpy()
        for row in encoder.token_ids(texts)
    ]
    np.testing.assert_allclose(encoder.encode(texts), alone, atol=1e-5)


def test_other_weighted_layer_poolings_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    Encoder.load(tiny_base, "first-last").save(tmp_path / "e")
    edit_json(
        tmp_path / "e" / "modules.json", lambda modules: modules[1].update(path="other_layers")
    )
    with pytest.raises(BaseModelError, match="the module WeightedLayerPooling"):
        Encoder.load(tmp_path / "e")


def test_dropout_of_a_pass_depends_on_its_seed(tiny_base: Path, sentences: list[str]) -> None:
    encoder = Encoder.load(tiny_base, "mean", dropout=0.3)
    encoder.model.train()
    rows = encoder.token_ids(sentences[:30])
    first, second, other = (pooled_vectors(encoder, rows, 100, seed=seed) for seed in (7, 7, 8))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.allclose(first, other, atol=1e-3)
