"""Reader of the settings files of sentence-transformers' folders, in all their forms.

An unsupported module or setting is an error that names it: ignoring it would change the vectors.
torch is not imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open

from mirror.encoders.sentence_transformers_format import (
    EXTRA_FILE,
    IDENTITY,
    LAYERS,
    POOLING_KEYS,
    WEIGHTS,
    EncoderSettings,
    HeadLayer,
)
from mirror.errors import BaseModelError
from mirror.tuning_config import Pooling

REMEDY = "choose another base, or copy its folder without modules.json to use the bare model"
USUAL_PROMPTS = ("query", "document")
"""Prompts that every encoder has; empty if the files do not give them."""
LEAST_TOKENS = 3
"""Class token, one token and separator."""
ENCODER_FILE = "config_sentence_transformers.json"
TRANSFORMER_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""Names of the file with the tokenizer's settings; the first one is read."""
COMPACT_NAMES: dict[str, Pooling] = {"cls": "cls", "mean": "mean", "lasttoken": "last"}
"""Our name of each pooling in the compact form of version 5.4."""
ACTIVATIONS = {
    f"torch.nn.modules.activation.{name}"
    for name in ("ELU", "GELU", "LeakyReLU", "Mish", "ReLU", "SiLU", "Sigmoid", "Softplus", "Tanh")
} | {IDENTITY}
"""Activation functions of `Dense` that can be computed."""
TANH = "torch.nn.modules.activation.Tanh"
"""The activation function of a `Dense` that names none."""
HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "transformer_task": (None, "feature-extraction"),
    "module_output_name": (None, "token_embeddings"),
    "processing_kwargs": (None, {}),
    "query_length": (None,),
    "document_length": (None,),
    "query_expansion": (None,),
    "model_args": (None, {}, {"add_pooling_layer": False}),
    "config_args": (None, {}, {"output_hidden_states": True}),
    "tokenizer_name_or_path": (None,),
}
"""The values that change no vector of text, by setting."""
NEWER_NAMES = {"model_kwargs": "model_args", "config_kwargs": "config_args"}


def read_encoder_settings(folder: Path) -> EncoderSettings | None:
    """Return the settings in an encoder's folder; None for a plain model.

    Raises:
        BaseModelError: the settings cannot be read, or name something unsupported.
    """
    if not (folder / "modules.json").is_file():
        return None
    try:
        return _read_settings(folder)
    except (OSError, ValueError, AttributeError, LookupError, TypeError) as error:
        raise BaseModelError(
            f"the encoder in {folder} has settings that cannot be read ({error}): get it again"
        ) from error


def module_folders(folder: Path) -> list[str]:
    """Return the folders of an encoder's modules, inside its own; none if they cannot be read."""
    if not (folder / "modules.json").is_file():
        return []
    try:
        return sorted({path for _, path in _read_modules(folder) if path})
    except (OSError, ValueError, LookupError, TypeError, AttributeError, BaseModelError):
        return []  # reported by `read_encoder_settings`


def check_reading(
    settings: EncoderSettings, pooling: str | None, prompt: str | None, folder: Path
) -> None:
    """Check that an encoder can be read with another pooling or prompt than its own.

    Args:
        settings: the encoder's.
        pooling: None for its own.
        prompt: as `tuning.prompt`; None for its own.
        folder: the encoder's, for error messages.

    Raises:
        BaseModelError: a linear layer was fitted to its own pooling, or it has a default prompt.
    """
    if settings.fixes_pooling and pooling not in (None, settings.pooling):
        raise BaseModelError(
            f"the encoder in {folder} has a last linear layer that was fitted to "
            f"{settings.pooling} pooling, not to {pooling}: leave the pooling out"
        )
    if settings.leaves_prompt_out and pooling not in (None, settings.pooling):
        raise BaseModelError(
            f"the encoder in {folder} leaves the prompt before every text out of its "
            f"{settings.pooling} pooling, which {pooling} pooling cannot: leave the pooling out"
        )
    if settings.prefix and prompt is not None:
        raise BaseModelError(
            f"the encoder in {folder} puts {settings.prefix!r} before every text, so a second "
            "prompt cannot be added: leave tuning.prompt out"
        )


def _read_settings(folder: Path) -> EncoderSettings:
    modules = _read_modules(folder)
    kinds = [kind for kind, _ in modules]
    position = kinds.index("Pooling") if "Pooling" in kinds else len(kinds)
    before = modules[:position]
    if kinds[:1] != ["Transformer"] or position == len(kinds):
        raise _unreadable(folder, f"the modules {', '.join(kinds)}, not Transformer and Pooling")
    if modules[0][1]:
        raise _unreadable(folder, f"its model in {modules[0][1]} and not beside modules.json")
    for kind, path in before[1:]:
        if (kind, path) not in (("WeightedLayerPooling", LAYERS), ("WordWeights", WEIGHTS)):
            raise _unreadable(folder, f"the module {kind} ({path}) before pooling")
    extra = _read_json(folder / EXTRA_FILE)
    pooling_config = _read_json(folder / modules[position][1] / "config.json", needed=True)
    pooling = _read_pooling(folder, pooling_config)
    if ("WeightedLayerPooling", LAYERS) in before:
        pooling = "first-last"
    if (padded := extra.get("pooling")) not in (None, "mean-with-padding"):
        raise _unreadable(folder, f"the pooling {padded} ({EXTRA_FILE})")
    prompts, default = _read_prompts(folder)
    include_prompt = bool(pooling_config.get("include_prompt", True))
    weighted = ("WordWeights", WEIGHTS) in before
    if default is not None and not include_prompt and (pooling != "mean" or weighted):
        raise _unreadable(folder, f"a default prompt that is left out of its {pooling} pooling")
    transformer = _read_transformer(folder)
    return EncoderSettings(
        pooling=cast(Pooling, padded or pooling),
        max_tokens=_read_length(folder, transformer),
        head=(*_read_head(folder, modules[position + 1 :]), *_read_cut(folder)),
        weighted=weighted,
        prompt=extra.get("prompt"),
        prompts=prompts,
        default_prompt=default,
        include_prompt=include_prompt,
        lowercase=bool(transformer.get("do_lower_case", False)),
    )


def _read_modules(folder: Path) -> list[tuple[str, str]]:
    """Return class name and folder of each module; modules of other packages are refused."""
    modules = []
    for module in _read_json(folder / "modules.json", needed=True):
        package, _, kind = str(module["type"]).rpartition(".")
        if package.partition(".")[0] != "sentence_transformers":
            raise _unreadable(folder, f"the module {module['type']}, which needs code of its own")
        modules.append((kind, str(module["path"])))
    if outside := [path for _, path in modules if Path(path).is_absolute() or ".." in path]:
        raise _unreadable(folder, f"a module elsewhere, in {outside[0]}")
    return modules


def _read_pooling(folder: Path, config: Mapping[str, Any]) -> Pooling:
    if "pooling_mode" in config:
        given = config["pooling_mode"]
        modes = [given] if isinstance(given, str) else list(given)
    else:
        modes = [name or key for key, name in POOLING_KEYS.items() if config.get(key)]
        modes = ["lasttoken" if mode == "last" else mode for mode in modes or ["mean"]]
    if len(modes) != 1 or modes[0] not in COMPACT_NAMES:
        names = ", ".join(map(str, modes)) or "no mode"
        raise BaseModelError(
            f"the encoder in {folder} pools by {names}: only one of "
            f"{', '.join(COMPACT_NAMES.values())} can be used; {REMEDY}"
        )
    return COMPACT_NAMES[modes[0]]


def _read_head(folder: Path, modules: Sequence[tuple[str, str]]) -> Iterator[HeadLayer]:
    width = None
    for kind, path in modules:
        if kind == "Dropout":  # acts in training only
            continue
        if kind not in ("Dense", "Normalize"):
            raise _unreadable(folder, f"the module {kind} ({path})")
        config = _read_json(folder / path / "config.json", needed=kind == "Dense")
        names = {config.get(key) for key in ("module_input_name", "module_output_name")}
        if not names <= {None, "sentence_embedding"}:
            raise _unreadable(folder, f"the module {kind} ({path}), which is not for whole texts")
        if kind == "Normalize":
            yield HeadLayer("Normalize")
            continue
        layer = _read_dense(folder, path, config)
        if width not in (None, config["in_features"]):
            raise BaseModelError(
                f"the layer {path} of the encoder in {folder} does not fit vectors of dimension "
                f"{width}: get the encoder again"
            )
        width = layer.width
        yield layer


def _read_dense(folder: Path, path: str, config: Mapping[str, Any]) -> HeadLayer:
    activation = config.get("activation_function", TANH)
    if activation not in ACTIVATIONS:
        raise _unreadable(folder, f"the activation {activation} in {path}")
    file = folder / path / "model.safetensors"
    if not file.is_file():
        raise BaseModelError(
            f"the layer {path} of the encoder in {folder} has no model.safetensors, and pickled "
            "weights are not read: load it with SentenceTransformer(...), and save it again with "
            ".save(...)"
        )
    try:
        with safe_open(file, "numpy") as tensors:
            shapes = {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BaseModelError(f"{file} is damaged ({error}): get the encoder again") from error
    rows, columns = int(config["out_features"]), int(config["in_features"])
    expected = {"linear.weight": [rows, columns]}
    if config.get("bias", True):
        expected["linear.bias"] = [rows]
    if has_residual := bool(config.get("use_residual", False)):
        expected |= {"residual.weight": [rows, columns]} if rows != columns else {}
    if shapes != expected:
        raise BaseModelError(f"{file} does not fit its config.json: get the encoder again")
    return HeadLayer("Dense", activation, rows, path, has_residual)


def _read_cut(folder: Path) -> Iterator[HeadLayer]:
    """Yield a linear layer that cuts vectors to their first numbers, if the settings say so."""
    width = _read_json(folder / ENCODER_FILE).get("truncate_dim")
    if width is None:
        return
    if not isinstance(width, int) or width < 1:
        raise _unreadable(folder, f"the setting truncate_dim = {json.dumps(width)}")
    yield HeadLayer("Dense", IDENTITY, width)


def _read_prompts(folder: Path) -> tuple[dict[str, str], str | None]:
    """Return all prompts that have words, and the name of the one before every text."""
    config = _read_json(folder / ENCODER_FILE)
    prompts = {name: str(words) for name, words in (config.get("prompts") or {}).items() if words}
    default = config.get("default_prompt_name")
    if default not in (None, *USUAL_PROMPTS, *(config.get("prompts") or {})):
        raise _unreadable(folder, f"the default prompt {default!r}, which is none of its prompts")
    return prompts, default if default in prompts else None


def _read_transformer(folder: Path) -> dict[str, Any]:
    """Return the settings of model and tokenizer, all of them ones that can be followed."""
    found = (_read_json(folder / name) for name in TRANSFORMER_FILES)
    config: dict[str, Any] = next((each for each in found if each), {})
    for name, value in config.items():
        harmless = HARMLESS.get(NEWER_NAMES.get(name, name))
        if isinstance(value, dict):  # code of its own is never run
            value = {key: option for key, option in value.items() if key != "trust_remote_code"}
        if harmless is not None and value not in harmless:
            raise _unreadable(folder, f"the setting {name} = {json.dumps(value)}")
    return config


def _read_length(folder: Path, transformer: Mapping[str, Any]) -> int:
    """Return the most tokens of a text as sentence-transformers reads it; 0 if none is given."""
    length = _named_length(folder, transformer)
    if length < 0 or 0 < length < LEAST_TOKENS:
        raise _unreadable(folder, f"a length of {length} tokens, without room for a text")
    return length


def _named_length(folder: Path, transformer: Mapping[str, Any]) -> int:
    options = transformer.get("tokenizer_args") or transformer.get("processor_kwargs") or {}
    if others := sorted(set(options) - {"model_max_length", "use_fast", "trust_remote_code"}):
        raise _unreadable(folder, f"the tokenizer's setting {others[0]}")
    for length in (options.get("model_max_length"), transformer.get("max_seq_length")):
        if length is not None:
            return int(length)
    return int(_read_json(folder / "tokenizer_config.json").get("model_max_length") or 0)


def _read_json(path: Path, *, needed: bool = False) -> Any:
    """Return a file's content; {} if it is missing and not needed."""
    if not needed and not path.is_file():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))


def _unreadable(folder: Path, what: str) -> BaseModelError:
    return BaseModelError(f"the encoder in {folder} has {what}: this is not supported; {REMEDY}")
