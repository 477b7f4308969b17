"""Base class of sections of TOML files: strict types, and error messages that list all faults."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from mirror.errors import MirrorError
from mirror.secrets import check_no_secret, without_secrets

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Level = Literal["word", "name", "sentence"]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
Precision = Literal["float32", "float16", "int8"]
"""In which numbers vectors are stored."""
Address = Annotated[str, AfterValidator(check_no_secret)]
"""A path or URL without a secret."""


class Section(BaseModel):
    """A frozen section of a TOML file: unknown keys and wrong types are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=()
    )

    @field_validator("*", mode="before")
    @classmethod
    def _lists_are_tuples(cls, value: Any) -> Any:
        """Convert lists to tuples, which TOML and JSON do not have and strict fields require."""
        return tuple(value) if isinstance(value, list) else value


S = TypeVar("S", bound=Section)


def read_section(path: Path, model: type[S], error_type: type[MirrorError]) -> S:
    """Read a TOML file as a section, with the file's name as its `name`.

    Raises:
        MirrorError: of `error_type`: the file cannot be read, or is invalid; all faults are listed.
    """
    content = read_toml(path, error_type)
    try:
        return model.model_validate({**content, "name": path.stem})
    except ValidationError as error:
        raise error_type(
            f"{path} has {error.error_count()} fault(s):\n{list_faults(error)}"
        ) from error


def read_toml(path: Path, error_type: type[MirrorError]) -> dict[str, Any]:
    """Return the content of a TOML file; raise an error of that type if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise error_type(f"{path} cannot be read as TOML: {error}") from error


def list_faults(error: ValidationError) -> str:
    """Return one line per fault that pydantic found, with key, fault and remedy."""
    return "\n".join(map(describe_fault, error.errors()))


def describe_fault(fault: ErrorDetails) -> str:
    """Return a line for a fault, with key, fault and remedy."""
    key = ".".join(str(part) for part in fault["loc"]) or "the file"
    match fault["type"]:
        case "extra_forbidden":
            return f"  {key}: unknown key; remove it or correct its spelling"
        case "missing":
            return f"  {key}: missing; add it"
        case _:
            message = without_secrets(fault["msg"].removeprefix("Value error, "))
            value = without_secrets(repr(fault["input"]))
            return f"  {key}: {message}; got {value:.80}"
