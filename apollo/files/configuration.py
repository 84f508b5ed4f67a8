"""Configuration files: their templates are read, one for all hosts or several for some."""

from collections.abc import Iterator

from apollo.domain.environment import ConfigurationTexts, EnvironmentSpec
from apollo.domain.manifest import source_of
from apollo.files.draft import Draft, EnvironmentDraft
from apollo.files.mistakes import some
from apollo.files.positions import Path

Texts = dict[str, dict[str, str]]
"""Path in the release → `from`, as it is for some hosts → text."""


def read_templates(draft: Draft, environment: EnvironmentDraft) -> None:
    """Read the files that `files` names, for each host its own."""
    part = environment.part
    for path in part.mapping("files"):
        where: Path = ("files", path, "from")
        written = part.get(*where)
        if not isinstance(written, str):
            continue
        for source in _sources(draft, environment, where, written):
            if text := draft.read_text(source, (part, where)):
                environment.texts.setdefault(path, {})[source] = text


def _sources(
    draft: Draft, environment: EnvironmentDraft, where: Path, written: str
) -> Iterator[str]:
    """The files that hosts of the environment have there; where none is known, what is written."""
    if "{" not in written:
        yield written
        return
    found: dict[str, None] = {}
    lacking: list[str] = []
    for host in environment.chosen or ():
        try:
            found[source_of(written, host)] = None
        except ValueError:
            lacking.append(host.name)
    if lacking:
        more = f" and {some(len(lacking) - 1, 'more host')}" if lacking[1:] else ""
        draft.mistakes.append(
            environment.part.mistake(
                where,
                expected="{host}, {location} or {role} in braces, which every host has",
                found=f"{written}, which makes no name for {lacking[0]}{more}",
                hint="Label the hosts with a role, or name another file.",
            )
        )
    yield from found


def applied(
    spec: EnvironmentSpec, texts: Texts
) -> tuple[dict[str, tuple[str, str]], dict[str, ConfigurationTexts]]:
    """Files that are the same for all hosts, and those that are not."""
    same: dict[str, tuple[str, str]] = {}
    by_host: dict[str, ConfigurationTexts] = {}
    for path, file in spec.files.items():
        read = texts.get(path, {})
        if "{" in file.from_:
            by_host[path] = ConfigurationTexts(**{"from": file.from_}, mode=file.mode, texts=read)
        else:
            same[path] = read[file.from_], file.mode
    return same, by_host
