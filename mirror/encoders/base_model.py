"""Base model: the masked language model that tuning starts from, found and checked.

torch is not imported: only file headers are read, which takes a second.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mirror.encoders.architectures import ARCHITECTURES, Architecture
from mirror.encoders.encoder_ref import EncoderRef
from mirror.encoders.sentence_transformers_reader import module_folders, read_encoder_settings
from mirror.encoders.tokenizer_checks import check_tokenizer_folder
from mirror.encoders.weight_checks import check_weights
from mirror.errors import BaseModelError, ServiceError
from mirror.hashing import digest_of_json, file_digest
from mirror.paths import local_path, local_places
from mirror.recipe import BaseSection, Recipe

MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.model")
"""Files of a model: no pickles, no code."""
IGNORED_FILES = ("onnx/*", "openvino/*", "coreml/*", "tf/*")


def find_base(section: BaseSection, from_registry: Callable[[str], Path]) -> EncoderRef:
    """Return the base that a recipe names, with its digest; see `locate_base`."""
    folder, origin = locate_base(section, from_registry)
    return EncoderRef(str(folder), base_digest(folder), origin)


def locate_base(section: BaseSection, from_registry: Callable[[str], Path]) -> tuple[Path, str]:
    """Return the folder of the base that a recipe names, and how the recipe names it.

    A base on the hub is downloaded if needed.  `check_base` checks whether it can be used.

    Raises:
        BaseModelError: there is no such base.
        ServiceError: the hub did not answer.
    """
    if section.path is not None:
        folder, origin = _local_folder(section.path), section.path
    elif section.hub is not None:
        folder = _fetch_from_hub(section.hub, str(section.revision))
        origin = f"{section.hub}@{section.revision}"
    else:
        origin = str(section.registry)
        folder = from_registry(origin)
    return folder, origin


def check_base(folder: Path, *, masks: bool = True) -> None:
    """Check that a folder's model can be tuned: architecture, weights, tokenizer, modules.

    Args:
        folder: the model's.
        masks: whether the recipe masks, so that a mask token is needed.

    Raises:
        BaseModelError: configuration or weights are missing, damaged or unsupported.
        TokenizerError: the tokenizer is missing, damaged or unsupported.
    """
    config = read_config(folder)
    kind = architecture_of(config, folder)
    check_weights(folder, config, kind)
    check_tokenizer_folder(folder, config, kind, masks=masks)
    read_encoder_settings(folder)


def token_limit(folder: Path) -> int | None:
    """Return the most tokens of a text that a folder's model takes; None if not configured.

    Raises:
        BaseModelError: the configuration is missing, damaged, or of an unsupported architecture.
    """
    config = read_config(folder)
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int):
        return None
    return architecture_of(config, folder).longest_text(positions, config.get("pad_token_id"))


def read_config(folder: Path) -> dict[str, Any]:
    """Return the model's configuration.

    Raises:
        BaseModelError: the configuration is missing or damaged, names code of its own, or names
            other weights than those checked here.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BaseModelError(
            f"no base model in {folder}: config.json is missing; name a folder saved with "
            "save_pretrained"
        ) from error
    except (OSError, ValueError) as error:
        raise BaseModelError(f"{path} cannot be read as JSON ({error}): get it again") from error
    if not isinstance(config, dict):
        raise BaseModelError(f"{path} is not a JSON object: get it again")
    _check_no_other_weights(folder, config)
    for name, settings in ((path, config), *_tokenizer_settings(folder)):
        if "auto_map" in settings or _names_kernel(settings):
            raise BaseModelError(
                f"{name} names code of its own (auto_map, or a kernel from a hub), which is never "
                f"run: choose a model of a supported architecture ({', '.join(ARCHITECTURES)})"
            )
    return config


def _check_no_other_weights(folder: Path, config: dict[str, Any]) -> None:
    # transformers would read them instead of the weights that are checked and hashed.
    adapter = folder / "adapter_config.json"
    if "transformers_weights" in config or adapter.exists():
        source = adapter.name if adapter.exists() else "transformers_weights in config.json"
        raise BaseModelError(
            f"the model in {folder} names other weights than model.safetensors ({source}), "
            "which are not read: load it with its library, and save the merged model with "
            "save_pretrained"
        )


def _names_kernel(settings: dict[str, Any]) -> bool:
    """Return whether the settings name a kernel that transformers would download and run."""
    chosen = [value for name, value in settings.items() if name.endswith("_implementation")]
    return "/" in json.dumps(chosen)


def architecture_of(config: dict[str, Any], folder: Path) -> Architecture:
    """Return the architecture of a model.

    Raises:
        BaseModelError: the architecture cannot be tuned.
    """
    kind = config.get("model_type")
    if kind not in ARCHITECTURES:
        raise BaseModelError(
            f"the model in {folder} is of kind {kind!r}, which cannot be tuned: choose one of "
            f"{', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[str(kind)]


def choose_base(recipe: Recipe, path: str) -> Recipe:
    """Return the recipe with the base in the folder `path`; unchanged if `path` is empty.

    Raises:
        BaseModelError: there is no such folder.
    """
    if not path:
        return recipe
    if not local_path(path, Path.is_dir).is_dir():
        raise BaseModelError(f"no base model at {path}: name a model's folder with --base")
    return recipe.model_copy(update={"base": BaseSection(path=path)})


def base_digest(folder: Path) -> str:
    """Return the digest of a model's files, those of its modules included, without the model card.

    Raises:
        BaseModelError: the folder has no file of a model.
    """
    patterns = [
        f"{module}{pattern}"
        for module in ("", *(f"{path}/" for path in module_folders(folder)))
        for pattern in MODEL_FILES
    ]
    files = sorted(
        {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    )
    if not files:
        raise BaseModelError(f"no base model in {folder}: it has no weights and no config.json")
    return digest_of_json(
        {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
    )


def _local_folder(path: str) -> Path:
    folder = local_path(path, Path.is_dir)
    if folder.is_dir():
        return folder.resolve()
    candidates = " and ".join(str(folder) for folder in dict.fromkeys(local_places(path)))
    raise BaseModelError(f"no base model at {candidates}: correct base.path in the recipe")


def _fetch_from_hub(hub: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        folder = snapshot_download(
            hub,
            revision=revision,
            allow_patterns=list(MODEL_FILES),
            ignore_patterns=list(IGNORED_FILES),
        )
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise BaseModelError(
            f"the hub has no model {hub!r} at revision {revision!r}, or you may not read it: "
            "correct base.hub and base.revision in the recipe"
        ) from error
    except (LocalEntryNotFoundError, OSError) as error:
        raise ServiceError(
            f"the hub did not answer for {hub}@{revision}, and this machine has no copy: try "
            "again later, or name a folder with base.path"
        ) from error
    return Path(folder)


def _tokenizer_settings(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    path = folder / "tokenizer_config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []  # reported by the check of the tokenizer
    return [(path, settings)] if isinstance(settings, dict) else []
