"""What every section of a TOML file has in common: strict types, and faults listed all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from mirror.secrets import check_no_secret, without_secrets

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Level = Literal["word", "name", "sentence"]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
Address = Annotated[str, AfterValidator(check_no_secret)]
"""A path, or an address without a secret."""


class Section(BaseModel):
    """A part of a recipe: frozen, and strict about keys, types and numbers without end."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=()
    )

    @field_validator("*", mode="before")
    @classmethod
    def _lists_are_tuples(cls, value: Any) -> Any:
        """TOML and JSON have no tuples, and strict fields take nothing else."""
        return tuple(value) if isinstance(value, list) else value


def list_faults(error: ValidationError) -> str:
    """All faults that pydantic found, a line each, with place and remedy."""
    return "\n".join(map(tell_fault, error.errors()))


def tell_fault(fault: ErrorDetails) -> str:
    """A line for one of them."""
    place = ".".join(str(part) for part in fault["loc"]) or "the file"
    match fault["type"]:
        case "extra_forbidden":
            return f"  {place}: unknown key; remove it or correct its spelling"
        case "missing":
            return f"  {place}: missing; add it"
        case _:
            message = without_secrets(fault["msg"].removeprefix("Value error, "))
            given = without_secrets(repr(fault["input"]))
            return f"  {place}: {message}; got {given:.80}"
