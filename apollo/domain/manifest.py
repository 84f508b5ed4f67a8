"""Release and configuration together: exactly what a host runs."""

import hashlib
import json
import re
import string
from collections.abc import Iterable, Mapping
from functools import lru_cache

from apollo.domain.base import Wire
from apollo.domain.environment import Environment
from apollo.domain.fleet import Host
from apollo.domain.release import Artifact, Release
from apollo.domain.setup import Health, Hooks

KEPT = 128
"""Manifests that a worker keeps as it has read them: hosts alike run the same."""
_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class ManifestFile(Wire):
    """A configuration file, its text with all names replaced but those of secrets."""

    text: str
    mode: str


class Manifest(Wire):
    """What one host runs: everything that a turn needs, except secrets' values."""

    application: str
    environment: str
    release: str
    artifact: Artifact
    root: str
    keep: int = 5
    shared: tuple[str, ...] = ()
    env_file: str | None = None
    variables: dict[str, str] = {}
    secrets: dict[str, str] = {}
    """Name → reference, such as `file:/etc/apollo/secrets/db`."""
    files: dict[str, ManifestFile] = {}
    hooks: Hooks = Hooks()
    health: Health | None = None

    def canonical(self) -> bytes:
        """The manifest as the bytes that its digest is taken of: JSON with sorted keys."""
        return json.dumps(
            self.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":")
        ).encode()

    @property
    def digest(self) -> str:
        """sha256 of the canonical form, in hexadecimal."""
        return hashlib.sha256(self.canonical()).hexdigest()


@lru_cache(maxsize=KEPT)
def read_manifest(canonical: bytes) -> Manifest:
    """The manifest again.

    Raises:
        ValidationError: The bytes are none.
    """
    return Manifest.model_validate_json(canonical)


def expand(text: str, values: Mapping[str, str], where: str) -> str:
    """Replace `{NAME}` by the value of that variable.

    Raises:
        ValueError: A name is unknown; the message says where.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise ValueError(f"{where}: {{{match[1]}}} is no variable of this host")
        return values[match[1]]

    return _PLACE.sub(value, text)


def source_of(written: str, host: Host, where: str = "from") -> str:
    """The configuration file that a host has, where `from` names role, location or host.

    Raises:
        ValueError: It names something else; the message says where.
    """
    return expand(written, host.place, where)


def build_manifest(release: Release, environment: Environment, host: Host) -> Manifest:
    """What this host runs when it runs this release in this environment.

    Variables: setup < role < environment < location < host. `{role}`, `{location}` and `{host}`
    in the `from` of a file and in references to secrets are the host's.

    Raises:
        ValueError: A name in `root`, `health` or a file is unknown, or a secret has no reference.
    """
    setup = release.setup.for_role(host.role)
    variables = {
        **setup.variables,
        **environment.variables,
        **environment.location_variables.get(host.location, {}),
        **host.variables,
    }
    missing = [name for name in setup.secrets if name not in environment.secrets]
    if missing:
        raise ValueError(f"secrets: {environment.label} has no reference for {', '.join(missing)}")
    names = {**variables, **host.place}
    health_names = {**names, "release": release.version}
    return Manifest(
        application=release.application,
        environment=environment.name,
        release=release.version,
        artifact=release.artifact,
        root=expand(environment.root or setup.root, names, "root"),
        keep=setup.keep,
        shared=setup.shared,
        env_file=setup.env_file,
        variables=variables,
        secrets={
            name: expand(environment.secrets[name], names, f"secrets.{name}")
            for name in setup.secrets
        },
        files={
            path: ManifestFile(text=_fill(text, variables, setup.secrets, path), mode=mode)
            for path, (text, mode) in _files(environment, host).items()
        },
        hooks=setup.hooks,
        health=_expand_health(setup.health, health_names),
    )


def build_manifests(
    release: Release, environment: Environment, hosts: Iterable[Host]
) -> dict[str, Manifest]:
    """What each host runs, by its name: as `build_manifest`, quickly for large fleets.

    Hosts of one role and location with the same variables run the same, unless their names stand
    in it. Two of them show whether that is so: their names differ, so what names them differs.

    Raises:
        ValueError: As `build_manifest` does.
    """
    alike: dict[object, list[Host]] = {}
    for host in hosts:
        own = tuple(sorted(host.variables.items()))
        alike.setdefault((host.role, host.location, own), []).append(host)
    named = any("{host}" in file.from_ for file in environment.files_by_host.values())
    built: dict[str, Manifest] = {}
    for group in alike.values():
        first = build_manifest(release, environment, group[0])
        same = not named and first == build_manifest(release, environment, group[-1])
        for host in group:
            built[host.name] = first if same else build_manifest(release, environment, host)
    return built


def _files(environment: Environment, host: Host) -> dict[str, tuple[str, str]]:
    """The templates of a host: path in the release → (text, mode)."""
    own = {}
    for path, file in environment.files_by_host.items():
        source = source_of(file.from_, host, f"files.{path}.from")
        if source not in file.texts:
            raise ValueError(f"files.{path}: {source} was not applied; apply again")
        own[path] = file.texts[source], file.mode
    return {**environment.files, **own}


def _fill(text: str, variables: Mapping[str, str], secrets: tuple[str, ...], path: str) -> str:
    names = {**variables, **{name: f"${{{name}}}" for name in secrets}}
    try:
        return string.Template(text).substitute(names)
    except (KeyError, ValueError) as error:
        raise ValueError(f"files.{path}: {error} is no variable of this host") from error


def _expand_health(health: Health | None, names: Mapping[str, str]) -> Health | None:
    if health is None:
        return None
    update: dict[str, object] = {}
    if health.http:
        http = health.http
        fields = {"port": http.port, "path": http.path, "host": http.host}
        fields |= {"body": http.body} if http.body else {}
        headers = _each(http.headers, names, "health.http.headers")
        expanded: dict[str, object] = {**_each(fields, names, "health.http"), "headers": headers}
        update["http"] = http.model_copy(update=expanded)
    if health.tcp:
        fields = {"port": health.tcp.port, "host": health.tcp.host}
        update["tcp"] = health.tcp.model_copy(update=_each(fields, names, "health.tcp"))
    return health.model_copy(update=update)


def _each(fields: Mapping[str, str], names: Mapping[str, str], where: str) -> dict[str, str]:
    return {key: expand(value, names, f"{where}.{key}") for key, value in fields.items()}
