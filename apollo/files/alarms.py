"""Checks of `alarms`: of each exactly one kind, where it is asked, and a name that is its own."""

import re
from collections.abc import Iterator

from apollo.domain.alarms import Alarm
from apollo.domain.base import parse_duration
from apollo.files.hooks import host_of
from apollo.files.mistakes import FileWarning, Mistake
from apollo.files.positions import Mark, Part, Path
from apollo.files.words import describe, one_of

_REFERENCE = re.compile(r"env:\w+|file:/[^\n]+|command:\S[^\n]*")
_ASKED = ("prometheus", "http")


def mask_tokens(part: Part) -> None:
    """Keep what stands where a reference is wanted out of every message."""
    for path, value in _tokens(part):
        if not _REFERENCE.fullmatch(value):
            part.document.masked.add(Mark(*part.document.mark(part.base + path)))


def check_alarms(part: Part) -> Iterator[Mistake]:
    """Note what no model can see."""
    seen: set[str] = set()
    for index, alarm in enumerate(part.sequence("alarms")):
        path: Path = ("alarms", index)
        yield from one_of(part, path, Alarm)
        for kind in _ASKED:
            url = part.get(*path, kind, "url")
            if isinstance(url, str) and url and not host_of(url):
                yield part.mistake(
                    (*path, kind, "url"),
                    expected="a URL of https or http",
                    found=describe(url),
                    hint="Write it such as http://prometheus:9090.",
                )
        name = alarm.get("name") if isinstance(alarm, dict) else None
        if isinstance(name, str) and name in seen:
            hint = "Give each alarm a name of its own, or none."
            found = f"{name} again"
            yield part.mistake((*path, "name"), expected="each name once", found=found, hint=hint)
        elif isinstance(name, str):
            seen.add(name)
    for path, value in _tokens(part):
        if not _REFERENCE.fullmatch(value):
            yield part.mistake(
                path,
                expected="a reference to a token, never the token",
                found="a value",
                hint="Write file:/etc/apollo/secrets/… or env:APOLLO_SECRET_….",
            )


def warn_of_alarms(part: Part) -> Iterator[FileWarning]:
    """Without a bake nobody waits for an alarm to notice."""
    if not part.sequence("alarms"):
        return
    waves = part.sequence("strategy", "waves")
    if not any(isinstance(wave, dict) and _lasts(wave.get("bake")) for wave in waves):
        message = "alarms are watched while hosts are upgraded, and no wave bakes after that"
        hint = "Give waves time: strategy: {waves: [{share: 1, bake: 10m}, 100%]}."
        yield part.warning(("alarms",), message, hint, key=True)


def _lasts(bake: object) -> bool:
    try:
        return bool(parse_duration(bake))
    except ValueError:
        return True  # that is told elsewhere


def _tokens(part: Part) -> Iterator[tuple[Path, str]]:
    for index in range(len(part.sequence("alarms"))):
        for kind in _ASKED:
            path: Path = ("alarms", index, kind, "token")
            value = part.get(*path)
            if isinstance(value, str):
                yield path, value
