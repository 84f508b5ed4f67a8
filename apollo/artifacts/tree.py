"""What a release may hold: files, folders and links that stay within it."""

import posixpath
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from apollo.errors import InvalidFiles

RESERVED = ".apollo-manifest.json"
"""The file in which a host keeps what it runs."""
_ALWAYS_EXCLUDED = (".git",)
_MOST_LINKS = 40


class Readable(Protocol):
    """What can be read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


Content = AbstractContextManager[tuple[Readable, int]]
"""A file's content while it is open, and its size."""


@dataclass(frozen=True)
class Entry:
    """A file, folder or link, by its path within the release (`bin/start`)."""

    path: str
    kind: Literal["file", "folder", "link"]
    executable: bool = False
    target: str = ""
    content: Callable[[], Content] | None = None


class Excluded:
    """Patterns of what is left out, as `exclude:` has them.

    A pattern without a slash is of names anywhere (`*.pyc`), one with a slash of whole paths
    (`docs/*.md`); a slash at its end means folders only. What lies in an excluded folder is
    excluded too.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [*_ALWAYS_EXCLUDED, *(each.removeprefix("**/") for each in patterns)]

    def __call__(self, path: str, *, folder: bool) -> bool:
        """Whether the path, or a folder that it lies in, is excluded."""
        parts = path.split("/")
        paths = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        return any(self._matches(each, folder=folder or each != path) for each in paths)

    def _matches(self, path: str, *, folder: bool) -> bool:
        for pattern in self._patterns:
            if pattern.endswith("/") and not folder:
                continue
            wanted = pattern.rstrip("/")
            subject = path if "/" in wanted else posixpath.basename(path)
            if fnmatchcase(subject, wanted.removeprefix("./").removeprefix("/")):
                return True
        return False


def clean_path(name: str, where: str) -> str:
    """A name in an archive as a path within the release; empty for the release itself.

    Raises:
        InvalidFiles: It lies outside the release.
    """
    if name.startswith("/"):
        raise refusal(where, name, "is an absolute path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise refusal(where, name, "goes up with `..`")
    return "/".join(parts)


def checked(entries: Iterable[Entry], where: str) -> list[Entry]:
    """The entries with all the folders that they lie in, in the order in which they are packed.

    Raises:
        InvalidFiles: A name is reserved, lies beneath a file or link, or a link leaves the release.
    """
    tree = {entry.path: entry for entry in entries}
    if not any(entry.kind == "file" for entry in tree.values()):
        raise InvalidFiles(
            f"{where} holds no file to deploy",
            hint="see release.artifact and release.exclude, and whether the build made anything",
        )
    for entry in list(tree.values()):
        _add_folders(tree, entry, where)
    if RESERVED in tree:
        raise refusal(where, RESERVED, "is a name that Apollo uses itself")
    links = {entry.path: entry.target for entry in tree.values() if entry.kind == "link"}
    for path in links:
        _check_link(path, links, where)
    return sorted(tree.values(), key=lambda entry: entry.path.encode(errors="surrogateescape"))


def refusal(where: str, name: str, why: str) -> InvalidFiles:
    """The error for something that no release may hold."""
    return InvalidFiles(
        f"{where}: {name!r} {why}", hint="leave it out: name it in release.exclude, or in the build"
    )


def _add_folders(tree: dict[str, Entry], entry: Entry, where: str) -> None:
    above = posixpath.dirname(entry.path)
    while above:
        found = tree.setdefault(above, Entry(above, "folder"))
        if found.kind != "folder":
            raise refusal(where, entry.path, f"lies beneath {above!r}, which is a {found.kind}")
        above = posixpath.dirname(above)


def _check_link(path: str, links: Mapping[str, str], where: str) -> None:
    """Follow the link as a host would: names on the way may be links themselves."""
    at: list[str] = path.split("/")[:-1]
    ahead = _steps(path, links[path], where)
    followed = 1
    while ahead:
        step = ahead.pop(0)
        if step == "..":
            if not at:
                raise refusal(where, path, f"is a link that leaves the release: {links[path]!r}")
            at.pop()
            continue
        through = "/".join([*at, step])
        if through not in links:
            at.append(step)
            continue
        followed += 1
        if followed > _MOST_LINKS:
            raise refusal(where, path, "is a link that goes in circles")
        ahead = [*_steps(path, links[through], where), *ahead]


def _steps(path: str, target: str, where: str) -> list[str]:
    if target.startswith("/"):
        raise refusal(where, path, f"is a link to an absolute path: {target!r}")
    return [part for part in target.split("/") if part not in ("", ".")]
