"""What the models say about a value, in the words of the people who write the files."""

import difflib
from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from apollo.domain import base
from apollo.domain.environment import BalancerSpec, ConfigurationFile, FleetSpec
from apollo.domain.setup import Health, Setup
from apollo.files.mistakes import Mistake, one_line
from apollo.files.models import Model, keys, model_at
from apollo.files.positions import Part, Path
from apollo.files.unsupported import not_yet
from apollo.files.unsupported import words as not_yet_words

ONE_OF: dict[Model, tuple[str, ...]] = {
    FleetSpec: ("hosts", "inventory"),
    Health: ("http", "tcp", "command"),
    BalancerSpec: ("haproxy", "file"),
}
"""Models of which exactly one of these keys must be written."""

_TOLD_BY_CHECKS = ("expected exactly one of", "the last wave")

_EXAMPLES = {
    "application": "application: shop",
    "setup": "setup: {root: /srv/shop}",
    "root": "root: /srv/shop",
    "artifact": "artifact: dist/",
    "fleet": "fleet: {hosts: {web1: 10.0.1.1}}",
    "address": "address: 10.0.1.1",
    "share": "share: 10%",
    "run": "run: bin/start",
    "port": 'port: "8080"',
    "at": 'at: ["tcp:lb1:9999"]',
    "backends": "backends: [shop]",
    "from": "from: config/database.yml",
    "locations": "locations: {fra1: {hosts: {web1: 10.0.1.1}}}",
    "hosts": "hosts: {web1: 10.0.1.1}",
}


class Words(NamedTuple):
    """What was expected, and what to do about it."""

    expected: str
    hint: str


def pattern_of(annotation: Any) -> str:
    """The pattern of an annotated text of the domain."""
    pattern = annotation.__metadata__[0].pattern
    assert isinstance(pattern, str)
    return pattern


def _field_pattern(model: Model, name: str) -> str:
    return next(str(each.pattern) for each in model.model_fields[name].metadata)


_PATTERNS = {
    pattern_of(base.Name): Words(
        "a name of at most 63 lower-case letters, digits and '-'",
        "Write a name such as shop or web-1: it starts with a letter or digit.",
    ),
    pattern_of(base.HostName): Words(
        "a host's name of letters, digits, '.', '_' and '-'",
        "Write a name such as web1 or web1.example.com: it starts with a letter or digit.",
    ),
    pattern_of(base.Version): Words(
        "a version of letters, digits, '.', '_', '+' and '-'", "Write a version such as 2.4.1."
    ),
    pattern_of(base.VariableName): Words(
        "a variable's name of letters, digits and '_'",
        "Write a name such as LOG_LEVEL: it does not start with a digit.",
    ),
    pattern_of(base.Address): Words(
        "a host name or an IP address",
        "Write the address alone, such as 10.0.1.1; user and port have keys of their own.",
    ),
    _field_pattern(Setup, "root"): Words(
        "an absolute path", "Start the path with /, such as /srv/shop."
    ),
    _field_pattern(ConfigurationFile, "mode"): Words(
        "a file mode in octal", 'Write a mode such as "0640".'
    ),
}

_DURATION = Words("a duration such as 30s, 5m or 2h", "Write a number and ms, s, m, h or d.")
_SHARE = Words(
    "a count such as 3 or a percentage such as 20%", "Write a whole number, or 0% to 100%."
)
_KINDS = {
    "int_type": Words("a whole number", "Write digits only."),
    "int_parsing": Words("a whole number", "Write digits only."),
    "int_from_float": Words("a whole number", "Write digits only."),
    "finite_number": Words("a whole number", "Write digits only."),
    "int_parsing_size": Words("a whole number", "Write a smaller number."),
    "bool_type": Words("true or false", "Write true or false."),
    "bool_parsing": Words("true or false", "Write true or false."),
    "time_delta_type": _DURATION,
    "string_too_short": Words("text that is not empty", "Write a value, or take the key out."),
    "too_short": Words("at least one entry", "Write an entry."),
}


def mistakes_of(
    error: ValidationError, part: Part, model: Model, prefix: Path = ()
) -> list[Mistake]:
    """The mistakes that `model` finds in `part`, whose full path (see NOT_YET) is `prefix`."""
    return [
        _mistake(each, part, model, prefix)
        for each in error.errors(include_url=False)
        if not str(each.get("ctx", {}).get("error", "")).startswith(_TOLD_BY_CHECKS)
    ]


def _mistake(error: ErrorDetails, part: Part, model: Model, prefix: Path) -> Mistake:
    path: Path = error["loc"]
    kind = error["type"]
    if path and path[-1] == "[key]":
        words = _words(error)
        return part.mistake(path[:-1], found=describe(path[-2]), key=True, **words._asdict())
    if later := _later(error, prefix + path):
        return part.mistake(path, key=True, **not_yet_words(later))
    if kind == "extra_forbidden":
        return _unknown(part, path, model)
    if kind == "missing":
        return _missing(part, path)
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        return _no_mapping(part, path, model)
    if kind == "tuple_type":
        hint = f"Write a list, such as {_last(path)}: [{_short(error['input'])}]."
        return part.mistake(path, expected="a list", found=_found(part, path), hint=hint)
    if kind == "string_type":
        return _no_text(part, path)
    words = _words(error)
    return part.mistake(path, found=_found(part, path), **words._asdict())


def _later(error: ErrorDetails, path: Path) -> str | None:
    if error["type"] == "extra_forbidden":
        return not_yet(path)
    if error["type"] == "string_type" and isinstance(error["input"], dict):
        return next((f"{path[-1]} {key}" for key in error["input"] if not_yet((*path, key))), None)
    return None


def _words(error: ErrorDetails) -> Words:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind == "string_pattern_mismatch" and context["pattern"] in _PATTERNS:
        return _PATTERNS[context["pattern"]]
    if kind == "literal_error":
        return _choice(str(context["expected"]), error["input"])
    if kind in {"greater_than_equal", "less_than_equal"}:
        bound = f"of at least {context['ge']}" if "ge" in context else f"of at most {context['le']}"
        return Words(f"a number {bound}", f"Write a number {bound}.")
    if kind == "value_error":
        text = str(context["error"]).removeprefix("expected ")
        return next((words for words in (_DURATION, _SHARE) if words.expected == text), _rule(text))
    return Words("another value", "Look the key up in the reference of the files.")


def _rule(text: str) -> Words:
    return Words(text, "Change the value, or take it out.")


def _choice(expected: str, value: object) -> Words:
    choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
    told = f"{', '.join(choices[:-1])} or {choices[-1]}" if choices[1:] else choices[0]
    return Words(told, f"{did_you_mean(str(value), choices)}Write {told}.")


def _unknown(part: Part, path: Path, model: Model) -> Mistake:
    owner = model_at(model, path[:-1])
    allowed = keys(owner) if owner else []
    return part.mistake(
        path,
        expected="a known key",
        found=describe(path[-1]),
        hint=f"{did_you_mean(str(path[-1]), allowed)}Known here: {', '.join(allowed)}.",
        key=True,
    )


def _missing(part: Part, path: Path) -> Mistake:
    name = str(path[-1])
    there = part.mapping(*path[:-1])
    return part.mistake(
        path,
        expected=f"the key {name}",
        found=f"only {', '.join(there)}" if there else "nothing",
        hint=f"Add {_EXAMPLES.get(name, name)}{_below(path)}.",
    )


def _no_mapping(part: Part, path: Path, model: Model) -> Mistake:
    owner = model_at(model, path)
    hint = f"Write keys below it: {', '.join(keys(owner))}." if owner else "Write NAME: VALUE."
    if _found(part, path) == "nothing":
        hint = f"{hint[:-1]}; or take {_last(path)} out."
    return part.mistake(path, expected="keys and values", found=_found(part, path), hint=hint)


def _no_text(part: Part, path: Path) -> Mistake:
    value, key = part.get(*path), _last(path)
    hint = f'Write one text, such as {key}: "…".'
    if isinstance(value, dict) and list(value.values()) == [None]:
        hint = f'Put it in quotes: {key}: "{{{next(iter(value))}}}".'
    elif isinstance(value, bool | int | float):
        hint = f'Put it in quotes: {key}: "{part.document.written(part.base + path)}".'
    elif value is None:
        hint = f'Write a text, {key}: "" for an empty one, or take the key out.'
    return part.mistake(path, expected="text", found=_found(part, path), hint=hint)


def one_of(part: Part, path: Path, model: Model) -> list[Mistake]:
    """The mistake of writing none or several of the keys of which exactly one is wanted."""
    value = part.get(*path)
    kinds = ONE_OF[model]
    if not isinstance(value, dict):
        return []
    there = [kind for kind in kinds if value.get(kind) is not None]
    wanted = f"exactly one of {', '.join(kinds[:-1])} and {kinds[-1]}"
    known = [*keys(model), *(key for key in value if key.startswith("x-"))]
    misspelt = not there and any(key not in known for key in value)
    if len(there) == 1 or misspelt:
        return []
    hint = f"Take {' or '.join(there)} out." if there else f"Add {' or '.join(kinds)}."
    found = " and ".join(there) or "none of them"
    return [part.mistake(path, expected=wanted, found=found, hint=hint, key=True)]


def describe(value: object) -> str:
    """A value as a mistake names it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, list | dict):
        kind = "list" if isinstance(value, list) else "mapping"
        return f"a {kind}" if value else f"an empty {kind}"
    return f"'{_short(value)}'" if value else "empty text"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`Did you mean max_failures? `, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean {near[0]}? " if near else ""


def _found(part: Part, path: Path) -> str:
    return describe(part.get(*path))


def _short(value: object) -> str:
    text = one_line(str(value))
    return text if len(text) <= 60 else f"{text[:59]}…"


def _last(path: Path) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "value")


def _below(path: Path) -> str:
    return f" below {_last(path[:-1])}" if path[:-1] else ""
