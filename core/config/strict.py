"""What every file that a user writes shares: fields that are known, and faults told in one way."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails


class Strict(BaseModel):
    """A frozen group of fields that refuses names that it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, protected_namespaces=()
    )


def root_faults(error: ValidationError) -> list[ErrorDetails]:
    """The faults of ``error`` without "too short" for a list whose items are at fault."""
    faults = error.errors()
    inner = {fault["loc"][:k] for fault in faults for k in range(len(fault["loc"]))}
    return [f for f in faults if f["type"] != "too_short" or f["loc"] not in inner]


def fault_text(fault: ErrorDetails, unknown: str, place: str = "") -> str:
    """One of pydantic's faults in a line: the field, its value and what is valid.

    Args:
        unknown: what is said of a name that the model does not know.
        place: the field; empty where the caller names it, or where a rule between fields does.
    """
    if fault["type"] == "extra_forbidden":
        return unknown
    if fault["type"] == "missing":  # its input is what lacks it
        return f"{place}: is missing" if place else "is missing"
    message = str(fault["msg"]).removeprefix("Value error, ")
    message = message.replace("a valid tuple", "a list")  # what users write
    if place:
        return f"{place}={fault['input']!r:.80}: {message}"
    return message if fault["type"] == "value_error" else f"{fault['input']!r:.80}: {message}"
