"""Base model: the masked language model that tuning starts from, found and checked.

torch is not imported: only file headers are read, which takes a second.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mirror.encoders.encoder_ref import EncoderRef
from mirror.encoders.model_config import architecture_of, read_config
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


def choose_base(recipe: Recipe, path: str) -> Recipe:
    """Return the recipe with the base in the folder `path`; unchanged if `path` is empty.

    Raises:
        BaseModelError: there is no such folder.
    """
    if not path:
        return recipe
    if not local_path(path, Path.is_dir).is_dir():
        raise BaseModelError(f"no base model at {path}: name a model's folder with --base")
    base = BaseSection(path=path, any_vocabulary=recipe.base.any_vocabulary)
    return recipe.model_copy(update={"base": base})


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


def cached_base(section: BaseSection) -> Path | None:
    """Return a hub's base in its cache, without asking the network; None if it is not there."""
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    # A commit is the same under the old name without an owner, which many caches have.
    for hub in dict.fromkeys((str(section.hub), str(section.hub).rpartition("/")[2])):
        with suppress(LocalEntryNotFoundError, HFValidationError):
            return _snapshot(hub, section.revision, cached_only=True)
    return None


def _local_folder(path: str) -> Path:
    folder = local_path(path, Path.is_dir)
    if folder.is_dir():
        return folder.resolve()
    candidates = " and ".join(str(folder) for folder in dict.fromkeys(local_places(path)))
    raise BaseModelError(f"no base model at {candidates}: correct base.path in the recipe")


def _fetch_from_hub(hub: str, revision: str) -> Path:
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return _snapshot(hub, revision)
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


def _snapshot(hub: str, revision: str | None, *, cached_only: bool = False) -> Path:
    """Return the folder of a model on the hub, without files that are not the model's."""
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            hub,
            revision=revision,
            allow_patterns=list(MODEL_FILES),
            ignore_patterns=list(IGNORED_FILES),
            local_files_only=cached_only,
        )
    )
