"""Which keys a host may show, and what is wrong when it shows another."""

from dataclasses import dataclass, field

import asyncssh

from apollo.errors import HostKeyChanged, HostKeyUnknown
from apollo.ports import Reachable

AUTHORITY = "@cert-authority"
PLAIN = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""The kinds of keys that are asked for, the liked ones first."""
CERTIFIED = tuple(f"{kind}-cert-v01@openssh.com" for kind in PLAIN)


@dataclass(frozen=True)
class KnownKeys:
    """The keys of one host, and the authorities that may vouch for it.

    Lines are `TYPE KEY` or, as in `known_hosts`, `@cert-authority PATTERN TYPE KEY`; an authority
    counts when its pattern fits the host's name or its address.
    """

    keys: tuple[asyncssh.SSHKey, ...] = ()
    authorities: tuple[asyncssh.SSHKey, ...] = ()

    @classmethod
    def of(cls, host: Reachable) -> "KnownKeys":
        """What is trusted for a host.

        Raises:
            HostKeyUnknown: A line cannot be read.
        """
        try:
            marked = [line for line in host.host_keys if line.startswith("@")]
            plain = [line for line in host.host_keys if not line.startswith("@")]
            known = asyncssh.import_known_hosts("".join(f"{line}\n" for line in marked))
            name, address = host.host.name, host.host.address
            authorities = [
                authority
                for asked in dict.fromkeys((name, address))
                for authority in asyncssh.match_known_hosts(known, asked, "", None)[1]
            ]
            return cls(
                tuple(asyncssh.import_public_key(line) for line in plain),
                tuple(dict.fromkeys(authorities)),
            )
        except (asyncssh.KeyImportError, ValueError) as error:
            raise HostKeyUnknown(
                f"{host.host.name}: a trusted host key cannot be read: {error}",
                host=host.host.name,
                step="connect",
                left="nothing was changed on the host",
                hint="a line is TYPE KEY, or @cert-authority PATTERN TYPE KEY",
            ) from error

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What the host is asked to show: what can be checked, then any, to tell what it shows."""
        kinds = [
            algorithm.decode()
            for key in self.keys
            for algorithm in key.sig_algorithms
            if algorithm.decode() in PLAIN
        ]
        return tuple(dict.fromkeys((*(CERTIFIED if self.authorities else ()), *kinds, *PLAIN)))

    def names(self, host: Reachable) -> tuple[str | None, ...]:
        """The names that a certificate may hold: one of them is enough."""
        if not self.authorities:
            return (None,)
        return tuple(dict.fromkeys((host.host.name, host.host.address)))


@dataclass
class KeyCheck(asyncssh.SSHClient):
    """Sees what a host shows that is not trusted; accepts it only where that was asked for."""

    accept: bool = False
    offered: asyncssh.SSHKey | None = None
    signed_by: asyncssh.SSHKey | None = None
    accepted: str = field(default="", init=False)
    reached: bool = field(default=False, init=False)
    """The host has answered: what went wrong before that is its jump host's."""

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """The line to the host stands."""
        self.reached = True

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Whether to go on with a key that is not trusted."""
        self.offered = key
        if self.accept:
            self.accepted = bare(key.export_public_key().decode())
        return self.accept

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Never go on with a certificate of somebody who is not trusted."""
        self.signed_by = key
        return False


def refusal(
    host: Reachable, known: KnownKeys, check: KeyCheck, error: Exception, where: str
) -> HostKeyUnknown | HostKeyChanged:
    """Why a host's key was refused: nobody has ever trusted one, or it is not the trusted one."""
    label = f"{host.application}/{host.environment}"
    told = {"host": host.host.name, "step": "connect", "left": "nothing was changed on the host"}
    shown = check.offered.get_fingerprint() if check.offered else "no plain key"
    if known.keys:
        trusted = ", ".join(key.get_fingerprint() for key in known.keys)
        return HostKeyChanged(
            f"{where}: the host key is not the known one: known {trusted}, shown {shown}",
            hint=f"if the host was rebuilt: apollo hosts trust {label} --replace {host.host.name}",
            **told,
        )
    if known.authorities:
        return HostKeyUnknown(
            f"{where}: no trusted authority vouches for it: {_certificate(host, check, error)}",
            hint="have its host certificate signed anew for its name or address "
            "(HostCertificate in sshd_config)",
            **told,
        )
    return HostKeyUnknown(
        f"{where}: no host key is known; it shows {shown}",
        hint=f"compare the key, then: apollo hosts trust {label}",
        **told,
    )


def _certificate(host: Reachable, check: KeyCheck, error: Exception) -> str:
    """What is wrong with the certificate that a host shows, if it shows one."""
    if check.signed_by:
        return f"its certificate is signed by {check.signed_by.get_fingerprint()}"
    if check.offered:
        return f"it shows no certificate, only the key {check.offered.get_fingerprint()}"
    return f"{error} (asked for {host.host.name} and {host.host.address})"


def bare(line: str) -> str:
    """A key's line without its comment."""
    return " ".join(line.split()[:2])
