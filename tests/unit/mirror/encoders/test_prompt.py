from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer, BertTokenizerFast

from mirror.encoders.base_model import check_base
from mirror.encoders.base_settings import check_prompt
from mirror.encoders.encoder import Encoder
from mirror.errors import TokenizerError
from mirror.tuning.items import TextPair
from mirror.tuning.views import Views
from mirror.tuning_config import Pooling
from tests.fixtures.bases import remove_mask_token
from tests.fixtures.tuning import short_tuning, tuned_encoder

PROMPT = "the {text} is one [MASK]"
TEXTS = ["the baker sells a mirror", "wagon", "", "a very old red bridge near the market " * 3]


def tokens(folder: Path, text: str, length: int = 20) -> list[str]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text, truncation=True, max_length=length)["input_ids"]
    return list(tokenizer.convert_ids_to_tokens(ids))


@pytest.mark.parametrize(
    ("prompt", "pooling", "expected"),
    [
        (PROMPT, "mean", "[CLS] the old mirror is one [MASK] [SEP]"),
        (PROMPT, "cls", "[CLS] the old mirror is one [MASK] [SEP]"),
        (PROMPT, "last", "[CLS] the old mirror is one [MASK]"),
        ("[MASK] of {text}", "cls", "[MASK] of old mirror [SEP]"),
        ("[MASK] of {text}", "mean", "[CLS] [MASK] of old mirror [SEP]"),
        ("{text}[MASK] [MASK]", "mean", "[CLS] old mirror [MASK] [MASK] [SEP]"),
        (" {text} [MASK] ", "last", "[CLS] old mirror [MASK]"),
    ],
)
def test_the_saved_tokenizer_puts_the_prompt_around_every_text(
    prompt: str, pooling: Pooling, expected: str, tiny_base: Path, tmp_path: Path
) -> None:
    Encoder.load(tiny_base, pooling, prompt=prompt).save(tmp_path / "e")
    assert tokens(tmp_path / "e", "old mirror") == expected.split()


@pytest.mark.parametrize(
    ("prompt", "pooling"),
    [
        (PROMPT, "last"),
        (PROMPT, "mean"),
        ("[MASK] of {text}", "cls"),
        ("{text} [MASK] [MASK]", "first-last"),
    ],
)
def test_sentence_transformers_gives_the_same_vectors_with_a_prompt(
    any_base: Path, prompt: str, pooling: Pooling, tmp_path: Path
) -> None:
    encoder = Encoder.load(any_base, pooling, max_tokens=12, prompt=prompt)
    ours = encoder.encode(TEXTS)
    encoder.save(tmp_path / "e")
    theirs = SentenceTransformer(str(tmp_path / "e"), device="cpu")
    np.testing.assert_allclose(theirs.encode(TEXTS), ours, atol=1e-5 * max(1, np.abs(ours).max()))
    np.testing.assert_array_equal(Encoder.load(tmp_path / "e").encode(TEXTS), ours)
    check_base(tmp_path / "e")
    plain = Encoder.load(any_base, pooling, max_tokens=12).encode(TEXTS)
    assert np.abs(plain - ours).max() > 1e-2


def test_a_long_text_is_truncated_and_the_prompt_is_not(tiny_base: Path, tmp_path: Path) -> None:
    encoder = Encoder.load(tiny_base, "last", 9, prompt=PROMPT)
    cut = ["[CLS]", "the", "old", "old", "old", "old", "is", "one", "[MASK]"]
    ids = encoder.token_ids(["old " * 30])[0]
    assert encoder.tokenizer.convert_ids_to_tokens(ids) == cut
    encoder.save(tmp_path / "e")
    assert tokens(tmp_path / "e", "old " * 30, 9) == cut


def test_the_embedding_is_the_hidden_state_of_the_mask(tiny_base: Path) -> None:
    for prompt, pooling in ((PROMPT, "last"), ("[MASK] of {text}", "cls")):
        encoder = Encoder.load(tiny_base, pooling, prompt=prompt)  # type: ignore[arg-type]
        ids = torch.tensor(encoder.token_ids(["the old mirror"]))
        plain = Encoder.load(tiny_base, "mean")
        with torch.no_grad():
            hidden = plain.model(input_ids=ids).last_hidden_state[0]
        [mask_index] = (ids[0] == encoder.tokenizer.mask_token_id).nonzero()
        expected = hidden[int(mask_index)].numpy()
        np.testing.assert_allclose(encoder.encode(["the old mirror"])[0], expected, atol=1e-5)


def test_a_tokenizer_of_a_models_own_class_keeps_the_prompt(
    base: Path, tmp_path: Path, vocabulary: dict[str, int]
) -> None:
    """BERT's class, unlike the generic one, rebuilds its template when it is loaded."""
    (base / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(base)
    assert "Bert" in json.loads((base / "tokenizer_config.json").read_text())["tokenizer_class"]
    encoder = Encoder.load(base, "last", 12, prompt=PROMPT)
    encoder.save(tmp_path / "e")
    theirs = SentenceTransformer(str(tmp_path / "e"), device="cpu")
    np.testing.assert_allclose(theirs.encode(TEXTS), encoder.encode(TEXTS), atol=2e-5)
    assert tokens(tmp_path / "e", "old")[-3:] == ["is", "one", "[MASK]"]


@pytest.mark.parametrize("lstrip", [False, True])
def test_the_mask_of_a_prompt_is_the_tokenizers_mask_token(
    lstrip: bool, base: Path, tmp_path: Path, write_tokenizer: Callable[..., dict[str, int]]
) -> None:
    """RoBERTa's mask token includes the space before it (`lstrip`)."""
    write_tokenizer(base, ("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    content = json.loads((base / "tokenizer.json").read_text())
    [mask] = [token for token in content["added_tokens"] if token["content"] == "<mask>"]
    mask["lstrip"] = lstrip
    (base / "tokenizer.json").write_text(json.dumps(content))
    Encoder.load(base, "last", prompt=PROMPT).save(tmp_path / "e")
    assert tokens(tmp_path / "e", "old") == ["<s>", "the", "old", "is", "one", "<mask>"]
    check_base(tmp_path / "e")


@pytest.mark.parametrize("masking", ["characters", "word-pieces", "words"])
def test_views_never_mask_a_prompt(masking: str, tiny_base: Path, sentences: list[str]) -> None:
    encoder = Encoder.load(tiny_base, "last", 20, prompt="near under {text} is not one [MASK]")
    settings = short_tuning(masking=masking, mask_length=2, pooling="last", mask_min_characters=1)
    texts = [*sentences[:60], "one two three four"]
    views = Views(settings, [TextPair(text, text) for text in texts], encoder, Path("base"))
    for epoch in range(4):
        batch = views.batch(range(61), epoch)
        assert batch.masked_count == 61
        for first, second in zip(batch.first, batch.second, strict=True):
            assert (first[:3], first[-4:]) == (second[:3], second[-4:])
            assert encoder.tokenizer.mask_token_id in second[3:-4]


def test_tuning_saves_the_prompt_also_with_labelled_pairs(
    tiny_base: Path, tmp_path: Path, sentences: list[str]
) -> None:
    pairs = [TextPair(a, b) for a, b in zip(sentences[:64], sentences[64:128], strict=True)]
    folder = tuned_encoder(tiny_base, pairs, tmp_path, prompt=PROMPT, pooling="last")
    assert tokens(folder, "old mirror") == ["[CLS]", "the", "old", "mirror", "is", "one", "[MASK]"]
    theirs = SentenceTransformer(str(folder), device="cpu").encode(sentences[:9])
    np.testing.assert_allclose(theirs, Encoder.load(folder).encode(sentences[:9]), atol=2e-5)


def test_another_prompt_replaces_that_of_the_folder(tiny_base: Path, tmp_path: Path) -> None:
    Encoder.load(tiny_base, "last", prompt=PROMPT).save(tmp_path / "e")
    Encoder.load(tmp_path / "e", "mean", prompt="{text} [MASK]").save(tmp_path / "f")
    assert tokens(tmp_path / "f", "old") == ["[CLS]", "old", "[MASK]", "[SEP]"]


@pytest.mark.parametrize(
    ("prompt", "fault"),
    [
        ("means [MASK]", "once and other words"),
        ("{text} and {text} [MASK]", "once and other words"),
        (" {text} ", "once and other words"),
        ("{text} means [MASK] .", "let `prompt` end with \\[MASK\\]"),
        ("[MASK] of {text}", "let `prompt` end with \\[MASK\\]"),
    ],
)
def test_prompts_that_cannot_be_pooled_are_refused(prompt: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        short_tuning(prompt=prompt, pooling="last")


def test_a_prompt_that_the_tokenizer_cannot_encode_is_refused(tiny_base: Path, base: Path) -> None:
    with pytest.raises(TokenizerError, match=r"does not know: it reads \[UNK\] \[MASK\]"):
        check_prompt(tiny_base, short_tuning(prompt="{text} значит [MASK]"))
    long = "{text} is one not [MASK] [MASK]"
    with pytest.raises(TokenizerError, match=r"takes 7 tokens .* only 7 are read"):
        check_prompt(tiny_base, short_tuning(prompt=long, max_tokens=7))
    check_prompt(tiny_base, short_tuning(prompt=long, max_tokens=8))
    remove_mask_token(base)
    with pytest.raises(TokenizerError, match="no mask token"):
        check_prompt(base, short_tuning(prompt="{text} [MASK]"))
    check_prompt(base, short_tuning(prompt="{text} is one"))


def test_a_prompt_that_leaves_no_room_for_a_text_is_refused(
    tiny_base: Path, tmp_path: Path
) -> None:
    Encoder.load(tiny_base, "last", prompt=PROMPT).save(tmp_path / "e")
    with pytest.raises(TokenizerError, match="takes 5 tokens"):
        Encoder.load(tmp_path / "e", max_tokens=5)
    assert len(Encoder.load(tmp_path / "e", max_tokens=6).token_ids(["old " * 9])[0]) == 6


@pytest.mark.parametrize(
    "damage",
    [
        {"ids": [0], "tokens": ["[PAD]"]},
        {"ids": [7], "tokens": ["[SEP]"]},
        {"ids": [4], "tokens": ["[MASK]"]},
    ],
    ids=["another token", "another id", "masks at both ends"],
)
def test_a_damaged_prompt_template_is_refused(
    damage: dict[str, Any], tiny_base: Path, tmp_path: Path
) -> None:
    Encoder.load(tiny_base, "cls", prompt="[MASK] of {text}").save(tmp_path / "e")
    content = json.loads((tmp_path / "e" / "tokenizer.json").read_text())
    content["post_processor"]["special_tokens"]["prompt-after"].update(damage)
    (tmp_path / "e" / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(TokenizerError, match="give it a post-processor"):
        check_base(tmp_path / "e")
