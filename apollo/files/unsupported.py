"""What the design has and this version of Apollo does not carry out yet."""

from typing import Any

from apollo.files.mistakes import Told
from apollo.files.positions import Path

_ENVIRONMENT = ("environments", "*")

NOT_YET: tuple[Path, ...] = (
    *((*_ENVIRONMENT, "fleet", kind) for kind in ("ansible", "script", "url")),
    *((*_ENVIRONMENT, "fleet", "inventory", kind) for kind in ("ansible", "script", "url")),
)
"""Keys by their path, `*` for any name. Unlike unknown keys they are not misspelt."""


def not_yet(path: Path) -> str | None:
    """The key at `path` if the design has it and this version has not."""
    for known in NOT_YET:
        if len(known) == len(path) and all(
            want in ("*", part) for want, part in zip(known, path, strict=True)
        ):
            return str(path[-1])
    return None


def words(what: str) -> Told:
    """What is said about a feature that is not there yet."""
    return {
        "expected": f"no {what}",
        "found": what,
        "hint": f"This version of Apollo does not have {what} yet: take it out.",
    }


def not_yet_values(kind: str, value: Any) -> Told | None:
    """The same for values: `kind` is the key, such as `secrets`."""
    text = value if isinstance(value, str) else ""
    if kind == "inventory" and "://" in text:
        return words("inventories from a URL")
    return None
