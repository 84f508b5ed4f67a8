"""A project as it is being read, with what was found wrong in it so far."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath

from apollo.domain.fleet import Host
from apollo.files.inventory import Sketch
from apollo.files.mistakes import FileWarning, Mistake
from apollo.files.positions import Document, Part, Path
from apollo.files.yaml import Unreadable, parse, read_text


@dataclass
class EnvironmentDraft:
    """An environment as it is being read."""

    name: str
    part: Part
    path: Path = ()
    """Where it lies in the project: `environments`, name; used to tell features of the design."""
    sketch: Sketch | None = None
    """None: its inventory cannot be read, or none is named."""
    chosen: list[Host] | None = None
    """The hosts that `select` picks; None: they are not known."""
    texts: dict[str, dict[str, Document]] = field(default_factory=dict)
    """Path in the release → `from`, as it is for some hosts → the template."""
    calendars: dict[str, str] = field(default_factory=dict)
    """Path → the text of a calendar of freezes."""


@dataclass
class Draft:
    """A project as it is being read."""

    folder: FilePath
    top: Part
    environments: dict[str, EnvironmentDraft] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    """Environments whose own file cannot be read."""
    inventories: dict[str, Document | None] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    warnings: list[FileWarning] = field(default_factory=list)

    def read_yaml(self, file: str, named: tuple[Part, Path] | None = None) -> Document | None:
        """Read and parse a file; None, and a mistake is noted, if that cannot be done."""
        document = self.read_text(file, named)
        if document is None:
            return None
        try:
            self.mistakes += parse(document)
        except Unreadable as error:
            self.mistakes.append(error.mistake)
            return None
        return document

    def read_text(self, file: str, named: tuple[Part, Path] | None = None) -> Document | None:
        """Read a text file, relative to the project's folder; `named` is where it is asked for."""
        path = self.folder / file
        part, where = named or (self.top, ())
        found, hint = "", "Check the path: it is relative to the folder of apollo.yaml."
        try:
            if path.is_dir():
                found, hint = f"the folder {file}", "Name a file in it."
            else:
                self.documents[file] = read_text(path, file)
                return self.documents[file]
        except FileNotFoundError:
            found = f"no file {file}"
        except (OSError, ValueError) as error:
            found = f"{file}, which cannot be read: {getattr(error, 'strerror', None) or error}"
        except Unreadable as error:
            self.mistakes.append(error.mistake)
            return None
        self.mistakes.append(part.mistake(where, expected="a file", found=found, hint=hint))
        return None

    def told(self) -> list[Mistake]:
        """The mistakes; what turned out to be secret since they were noted is not shown."""
        return [
            replace(mistake, source_line=self.documents[mistake.file].shown(mistake.line))
            if mistake.file in self.documents
            else mistake
            for mistake in self.mistakes
        ]

    def fleets(self) -> Iterator[tuple[EnvironmentDraft, Sketch, list[Host]]]:
        """The environments whose hosts are known: environment, whole inventory, picked hosts."""
        for environment in self.environments.values():
            if environment.sketch is not None and environment.chosen is not None:
                yield environment, environment.sketch, environment.chosen
