"""A project: `apollo.yaml`, its environments and their inventories, checked as a whole."""

import re
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from apollo.domain.base import FileModel, Name, without_free_keys
from apollo.domain.environment import EnvironmentSpec
from apollo.domain.pipeline import Pipeline, Stage, names_of
from apollo.domain.setup import Setup
from apollo.files.alarms import mask_tokens
from apollo.files.checks import check_project, mask_secrets
from apollo.files.configuration import Texts, read_templates
from apollo.files.draft import Draft, EnvironmentDraft
from apollo.files.fleets import check_fleets, read_fleet
from apollo.files.freezes import read_freezes
from apollo.files.hooks import mask_webhooks
from apollo.files.inventory import InventoryFile
from apollo.files.mistakes import FileWarning, InvalidFiles, Mistake
from apollo.files.phrases import pattern_of
from apollo.files.positions import Document, Part, Path
from apollo.files.templates import check_templates
from apollo.files.words import describe, mistakes_of

FILE = "apollo.yaml"
_NAME = re.compile(pattern_of(Name))
_Model = TypeVar("_Model", bound=BaseModel)
_START = (
    "Write at least: {application: shop, setup: {root: /srv/shop}, "
    "environments: {dev: {fleet: {hosts: {web1: 10.0.1.1}}}}}"
)


class ReleaseSpec(FileModel):
    """How a release is made of the application's working tree."""

    build: str | None = Field(default=None, min_length=1)
    artifact: str = Field(min_length=1)
    exclude: tuple[str, ...] = ()


class ProjectFile(FileModel):
    """`apollo.yaml` as users write it."""

    application: Name
    release: ReleaseSpec | None = None
    setup: Setup
    environments: Annotated[dict[Name, EnvironmentSpec], BeforeValidator(without_free_keys)] = {}
    pipeline: Pipeline = ()


@dataclass(frozen=True)
class Project:
    """What the files of an application say; free of mistakes."""

    folder: FilePath
    application: str
    release: ReleaseSpec | None
    setup: Setup
    environments: dict[str, EnvironmentSpec]
    stages: tuple[Stage, ...]
    """Of the pipeline."""
    inventories: dict[str, InventoryFile]
    """By the path that `fleet.inventory` has."""
    texts: dict[str, Texts]
    """Environment → path in the release → the template's text."""
    calendars: dict[str, dict[str, str]]
    """Environment → path → the text of a calendar of freezes."""
    warnings: tuple[FileWarning, ...] = ()

    @property
    def pipeline(self) -> tuple[str, ...]:
        """The names of the pipeline's environments."""
        return names_of(self.stages)


def load_project(where: FilePath | str) -> Project:
    """Read the project in a folder, or the one that a file describes.

    Raises:
        InvalidFiles: All mistakes of all its files.
    """
    path = FilePath(where)
    is_file = path.is_file() or path.suffix in {".yaml", ".yml"}
    file, folder = (path.name, path.parent) if is_file else (FILE, path)
    draft = Draft(folder, Part(Document(file, "")))
    if not (folder / file).exists():
        raise InvalidFiles([_nothing(folder, file)])
    document = draft.read_yaml(file)
    readable = document is not None and not _no_mapping(draft, document, _START)
    if document is not None:
        draft.top = Part(document)
    _find_environments(draft)
    for environment in draft.environments.values():
        mask_secrets(environment.part)
        mask_webhooks(environment.part)
        mask_tokens(environment.part)
        read_fleet(draft, environment)
        read_templates(draft, environment)
        read_freezes(draft, environment)
    if readable:
        check_project(draft)
        check_templates(draft)
    check_fleets(draft)
    return _build(draft, readable)


def _nothing(folder: FilePath, file: str) -> Mistake:
    near = folder / "apollo.yml"
    hint = f"Rename {near} to {FILE}." if near.exists() else _START
    return Mistake(file, 0, 0, "", f"{file} in {folder.resolve()}", "no such file", hint)


def _no_mapping(draft: Draft, document: Document, hint: str) -> bool:
    """Note that a file holds no keys, unless it does."""
    if isinstance(document.data, dict):
        return False
    found = "an empty file" if document.data is None else describe(document.data)
    draft.mistakes.append(document.mistake((), expected="keys and values", found=found, hint=hint))
    return True


def _find_environments(draft: Draft) -> None:
    for name in without_free_keys(draft.top.mapping("environments")):
        path: Path = ("environments", name)
        draft.environments[name] = EnvironmentDraft(name, Part(draft.top.document, path), path)
    for file in sorted((draft.folder / "environments").glob("*.y*ml")):
        shown = f"environments/{file.name}"
        if file.suffix != ".yaml":
            hint = f"Rename it to {file.stem}.yaml."
            draft.warnings.append(FileWarning(shown, 1, 1, "", f"{shown} is not read", hint))
        elif file.stem in draft.top.mapping("environments"):
            draft.mistakes.append(_in_both(draft, file.stem, shown))
        else:
            _environment_file(draft, file.stem, shown)
    if not draft.environments and not draft.mistakes:
        hint = "Add environments: {dev: {fleet: {hosts: {web1: 10.0.1.1}}}}."
        path = ("environments",)
        draft.mistakes.append(
            draft.top.mistake(path, expected="at least one environment", found="none", hint=hint)
        )


def _in_both(draft: Draft, name: str, file: str) -> Mistake:
    return draft.top.mistake(
        ("environments", name),
        expected=f"{name} in one place",
        found=f"it here and in {file}",
        hint=f"Take it out here, or delete {file}.",
        key=True,
    )


def _environment_file(draft: Draft, name: str, shown: str) -> None:
    document = draft.read_yaml(shown)
    hint = "Write at least: fleet: {hosts: {web1: 10.0.1.1}}"
    if document is None or _no_mapping(draft, document, hint):
        draft.unreadable.add(name)
        return
    if not _NAME.fullmatch(name):
        expected, found = "a file named after its environment", f"{name}.yaml"
        hint = "Name it such as prod.yaml: lower-case letters, digits and '-'."
        draft.mistakes.append(document.mistake((), expected=expected, found=found, hint=hint))
    draft.environments[name] = EnvironmentDraft(name, Part(document), ("environments", name))


def _build(draft: Draft, readable: bool) -> Project:
    file = _validate(draft, draft.top, ProjectFile) if readable else None
    environments = dict(file.environments) if file else {}
    for name, each in draft.environments.items():
        if each.part.document is not draft.top.document:
            spec = _validate(draft, each.part, EnvironmentSpec, each.path)
            environments |= {name: spec} if spec else {}
    inventories: dict[str, InventoryFile] = {}
    for path, document in draft.inventories.items():
        hint = "Write at least: locations: {fra1: {hosts: {web1: 10.0.1.1}}}"
        if document is not None and not _no_mapping(draft, document, hint):
            inventory = _validate(draft, Part(document), InventoryFile)
            inventories |= {path: inventory} if inventory else {}
    if draft.mistakes or file is None:
        raise InvalidFiles(draft.told())
    return Project(
        folder=draft.folder,
        application=file.application,
        release=file.release,
        setup=file.setup,
        environments=environments,
        stages=file.pipeline,
        inventories=inventories,
        texts={
            name: {
                path: {source: text.text for source, text in read.items()}
                for path, read in each.texts.items()
            }
            for name, each in draft.environments.items()
        },
        calendars={name: each.calendars for name, each in draft.environments.items()},
        warnings=tuple(draft.warnings),
    )


def _validate(draft: Draft, part: Part, model: type[_Model], prefix: Path = ()) -> _Model | None:
    try:
        return model.model_validate(part.get())
    except ValidationError as error:
        draft.mistakes += mistakes_of(error, part, model, prefix)
        return None
