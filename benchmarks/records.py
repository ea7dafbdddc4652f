"""The head that every record of a measurement has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

RECORD_SCHEMA = 1


def record_head(kind: str, name: str) -> dict[str, Any]:
    """``kind``, ``schema``, ``created`` (UTC, ISO 8601) and the ``name`` of what was measured."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return {"kind": kind, "schema": RECORD_SCHEMA, "created": created, "name": name}
