"""What the models say about a value, in the words of the people who write the files."""

import difflib
from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from apollo.domain.windows import NotAWindow
from apollo.files.mistakes import Mistake, one_line
from apollo.files.models import Model, keys, model_at
from apollo.files.phrases import (
    COMMAND,
    DURATION,
    EXAMPLES,
    KINDS,
    ONE_OF,
    PATTERNS,
    SHARE,
    SHORT,
    TOLD_BY_CHECKS,
    Words,
)
from apollo.files.positions import Part, Path
from apollo.files.scalars import text_of
from apollo.files.unsupported import not_yet
from apollo.files.unsupported import words as not_yet_words


def mistakes_of(
    error: ValidationError, part: Part, model: Model, prefix: Path = ()
) -> list[Mistake]:
    """The mistakes that `model` finds in `part`, whose full path (see NOT_YET) is `prefix`."""
    return [
        _mistake(each, part, model, prefix)
        for each in error.errors(include_url=False)
        if not str(each.get("ctx", {}).get("error", "")).startswith(TOLD_BY_CHECKS)
        and not _short_for_its_mistakes(each)
    ]


def _short_for_its_mistakes(error: ErrorDetails) -> bool:
    """Whether a list is only too short because its entries, told of by themselves, are wrong."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _mistake(error: ErrorDetails, part: Part, model: Model, prefix: Path) -> Mistake:
    path, kind = _as_written(error["loc"], part), error["type"]
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
        hint = f"Write a list, such as {_last(path)}: [{_short(error['input']) or '…'}]."
        return part.mistake(path, expected="a list", found=_found(part, path), hint=hint)
    if kind == "string_type":
        return _no_text(part, path)
    words = _words(error)
    return part.mistake(path, found=_found(part, path), **words._asdict())


def _as_written(path: Path, part: Part) -> Path:
    """Where the value stands that a model found in a short form, such as a host's address."""
    path = _without_places(path, part)
    while (
        path[-1:] != ("[key]",) and path[1:] and not isinstance(part.get(*path[:-1]), dict | list)
    ):
        path = path[:-1]
    return path


def _without_places(path: Path, part: Part) -> Path:
    """The path without the place of an entry that stands alone, where several may."""
    kept: Path = ()
    for each in path:
        above = part.get(*kept)
        if not (isinstance(each, int) and isinstance(above, dict) and each not in above):
            kept += (each,)
    return kept


def _later(error: ErrorDetails, path: Path) -> str | None:
    if error["type"] == "extra_forbidden":
        return not_yet(path)
    if error["type"] == "string_type" and isinstance(error["input"], dict):
        return next((f"{path[-1]} {key}" for key in error["input"] if not_yet((*path, key))), None)
    return None


def _words(error: ErrorDetails) -> Words:
    kind, context = error["type"], error.get("ctx", {})
    if kind in KINDS:
        return KINDS[kind]
    if kind == "string_pattern_mismatch" and context["pattern"] in PATTERNS:
        return PATTERNS[context["pattern"]]
    if kind == "literal_error":
        return _choice(str(context["expected"]), error["input"])
    if kind in {"greater_than_equal", "less_than_equal"}:
        bound = f"of at least {context['ge']}" if "ge" in context else f"of at most {context['le']}"
        return Words(f"a number {bound}", f"Write a number {bound}.")
    if isinstance(context.get("error"), NotAWindow):
        return Words(context["error"].expected, _sentence(context["error"].hint))
    if kind == "value_error":
        text = str(context["error"]).removeprefix("expected ")
        known = (DURATION, SHARE, COMMAND)
        return next((words for words in known if words.expected == text), _rule(text))
    return Words("another value", "Look the key up in the reference of the files.")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _rule(text: str) -> Words:
    return Words(text, "Change the value, or take it out.")


def _choice(expected: str, value: object) -> Words:
    choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
    told = f"{', '.join(choices[:-1])} or {choices[-1]}" if choices[1:] else choices[0]
    return Words(told, f"{did_you_mean(text_of(value), choices)}Write {told}.")


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
        hint=f"Add {EXAMPLES.get(name, name)}{_below(path)}.",
    )


def _no_mapping(part: Part, path: Path, model: Model) -> Mistake:
    owner = model_at(model, path)
    short = f"{SHORT[owner]}, or " if owner in SHORT else ""
    hint = f"Write keys below it: {', '.join(keys(owner))}." if owner else "Write NAME: VALUE."
    if _found(part, path) == "nothing":
        hint = f"{hint[:-1]}; or take {_last(path)} out."
    elif short and not isinstance(part.get(*path), list | dict):
        hint = _quote(part, path)
    expected = f"{short}keys and values"
    return part.mistake(path, expected=expected, found=_found(part, path), hint=hint)


def _no_text(part: Part, path: Path) -> Mistake:
    value, key = part.get(*path), _last(path)
    hint = f'Write one text, such as {key}: "…".'
    if isinstance(value, dict) and list(value.values()) == [None]:
        hint = f'Put it in quotes: {key}: "{{{next(iter(value))}}}".'
    elif isinstance(value, bool | int | float):
        hint = _quote(part, path)
    elif value is None:
        hint = f'Write a text, {key}: "" for an empty one, or take the key out.'
    return part.mistake(path, expected="text", found=_found(part, path), hint=hint)


def _quote(part: Part, path: Path) -> str:
    return f'Put it in quotes: {_last(path)}: "{part.document.written(part.base + path)}".'


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
    text = one_line(text_of(value))
    return text if len(text) <= 60 else f"{text[:59]}…"


def _last(path: Path) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "value")


def _below(path: Path) -> str:
    return f" below {_last(path[:-1])}" if path[:-1] else ""
