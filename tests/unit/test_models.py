"""The base model that is shipped: format, size, vocabulary and model card."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForMaskedLM, AutoTokenizer

from mirror.encoders.base_model import check_base
from mirror.paths import CHECKOUT
from mirror.pretraining.config import find_pretraining

MODEL = CHECKOUT / "models" / "mirror-mini-en"
MOST_BYTES = 25_000_000


def test_it_is_fp16_safetensors_of_at_most_25_megabytes() -> None:
    assert not [path for path in MODEL.iterdir() if path.suffix in {".bin", ".pt", ".pkl"}]
    weights = MODEL / "model.safetensors"
    assert weights.stat().st_size <= MOST_BYTES
    with safe_open(weights, "pt") as file:
        names = list(file.keys())
        assert {file.get_tensor(name).dtype for name in names} == {torch.float16}


def test_it_can_be_tuned() -> None:
    check_base(MODEL)


def test_it_has_the_shape_that_its_settings_ask_for() -> None:
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    shape = find_pretraining("mirror-mini-en").shape
    assert config["num_hidden_layers"] == shape.num_layers
    assert config["hidden_size"] == shape.hidden_size
    assert config["vocab_size"] == shape.vocabulary_size
    assert config["hidden_dropout_prob"] == config["attention_probs_dropout_prob"] == 0.1


def test_its_tokenizer_lowers_case_and_adds_cls_and_sep() -> None:
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    ids = tokenizer("The Garden")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "the", "garden", "[SEP]"]
    assert tokenizer.mask_token == "[MASK]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("she opened the [MASK] and walked into the room.", "door"),
        ("he was born in london, the capital of [MASK].", "england"),
        ("i would like a cup of [MASK], please.", "tea"),
    ],
)
def test_its_masked_language_head_knows_english(text: str, expected: str) -> None:
    model, report = AutoModelForMaskedLM.from_pretrained(MODEL, output_loading_info=True)
    assert not report["missing_keys"]
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    batch = tokenizer(text, return_tensors="pt")
    place = batch["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    with torch.inference_mode():
        logits = model.float().eval()(**batch).logits[0, place]
    best = tokenizer.convert_ids_to_tokens(logits.topk(10).indices.tolist())
    assert expected in best


def test_its_card_states_corpus_licences_tokens_loss_and_scores() -> None:
    card = (MODEL / "README.md").read_text(encoding="utf-8")
    front = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    assert front is not None
    assert {"language: en", "library_name: transformers"} <= set(front[1].splitlines())
    assert re.search(r"^license: ", front[1], re.MULTILINE)
    for text in ("wikipedia", "tatoeba", "CC BY-SA", "masked-token loss", "tokens", "STS-B"):
        assert text in card
