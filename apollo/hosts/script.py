"""Builds the remote commands of a host's turn; `apollo.hosts.answer` reads what they answer.

Pure: nothing here connects or runs anything. A command is a line for whatever login shell the host
has, and data for its standard input; secrets travel only in that data.
"""

import base64
import hashlib
import secrets
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources

from apollo.domain.release import Artifact
from apollo.hosts.job import Job

ACTIVATE_STEPS = ("stop", "silent", "switch", "start", "validate")
REVERT_STEPS = ("kill", "undo-stop", "undo-silent", "undo-switch", "undo-start", "undo-validate")

PARTS = (
    *("head", "records", "known", "answer", "fence", "begin", "fetch", "pull"),
    *("turn", "printed", "prune"),
    *("phases", "runner", "hooks", "steps", "archive", "unpack", "hand", "putback", "main"),
)
"""The script's parts, in `remote/`: all but the first and the last only define functions."""


@dataclass(frozen=True)
class RemoteCommand:
    """A command line for a host, the data it reads, and the nonce its answer is marked with."""

    line: str
    stdin: bytes = field(default=b"", repr=False)
    nonce: str = ""


@dataclass(frozen=True)
class Caller:
    """Who speaks to a host: one attempt at one turn of a deployment, on a root that it owns."""

    root: str
    owner: str
    """`<catalog uuid>/<application>/<environment>`."""
    deployment: str
    """The deployment's uuid."""
    turn: int
    grant_ms: int
    """When the environment's lease was granted."""
    attempt_ms: int
    """When this attempt began."""
    shell: str = "/bin/sh"
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))
    """What the answers to it are marked with."""

    @cached_property
    def words(self) -> str:
        """What every command begins with that belongs to a turn, after its name."""
        fence = [str(self.grant_ms), str(self.turn), str(self.attempt_ms)]
        who = [self.owner, *fence, self.deployment]
        return shlex.join([self.nonce, self.shell, self.root, *who])


@cache
def script() -> bytes:
    """The script that is brought to every host: its parts, one after the other."""
    folder = resources.files("apollo.hosts").joinpath("remote")
    return b"\n".join(folder.joinpath(f"{part}.sh").read_bytes() for part in PARTS)


@cache
def script_name() -> str:
    """Its name on a host, which changes with its text."""
    return hashlib.sha256(script()).hexdigest()[:16] + ".sh"


def quote(text: str) -> str:
    """A command line that makes /bin/sh run `text`, in any login shell."""
    encoded = base64.b64encode(text.encode()).decode()
    return f"""exec /bin/sh -c 'eval "$(echo {encoded} | base64 -d)"'"""


def install(root: str) -> RemoteCommand:
    """Bring the script to the host, after an answer that said `need_script`.

    `<root>/.apollo/apollo` then points to it, for whoever has to put the host back by hand.
    """
    nonce = secrets.token_hex(8)
    target = f".apollo/bin/{script_name()}"
    text = f"""
printf '<<<apollo:{nonce}\\n'
if why=$(umask 022; {{ mkdir -p {shlex.quote(root)} && cd {shlex.quote(root)} && umask 077 &&
  mkdir -p .apollo/bin && cat >{target}.$$ &&
  case $(sha256sum <{target}.$$) in {script_name()[:16]}*) ;; *) echo torn; false ;; esac &&
  mv -f {target}.$$ {target} &&
  ln -s bin/{script_name()} .apollo/apollo.$$ && mv -fT .apollo/apollo.$$ .apollo/apollo; }} 2>&1)
then echo 'installed yes'
else
  rm -f {shlex.quote(root)}/{target}.$$ {shlex.quote(root)}/.apollo/apollo.$$
  case $why in *torn) e=DigestMismatch ;; *space*) e=DiskFull ;; *) e=RootNotWritable ;; esac
  echo "error $e $(printf '%s' "$why" | base64 | tr -d '\\n')"
fi
printf 'apollo:{nonce}>>>\\n'
"""
    return RemoteCommand(quote(text), script(), nonce)


def begin(
    caller: Caller,
    *,
    manifest_digest: str,
    folder: str,
    artifact_sha256: str,
    job: Job,
    poll: int = 20,
    redeploy: bool = False,
) -> RemoteCommand:
    """Open the turn and stage the release, following for at most `poll` seconds.

    The answer says `same` (nothing to do), `need_artifact`, or what has become of staging.
    """
    words = [manifest_digest, folder, artifact_sha256, str(poll), "yes" if redeploy else "no"]
    return _command("begin", caller, words, job.encode())


def restart(caller: Caller) -> RemoteCommand:
    """Open the turn for what served last, wherever that came from; nothing is staged.

    The answer names it as `folder` and as `previous`; the error is `NothingRuns` where there is
    no such release.
    """
    return _command("begin", caller, ["-", "-", "-", "0", "restart"], Job(steps=()).encode())


def put(caller: Caller, sha256: str, artifact: bytes, *, room: int | None = None) -> RemoteCommand:
    """Bring an artifact into the host's cache; unpacked it takes `room` bytes."""
    size = len(artifact)
    words = [sha256, str(size), str(3 * size if room is None else room)]
    return _command("put", caller, words, artifact)


def part(caller: Caller, artifact: Artifact) -> RemoteCommand:
    """Make the file into which this attempt brings the artifact, with what an earlier one left.

    The answer names it and says its size, unless the artifact is there already.
    """
    words = [artifact.sha256, str(artifact.size), str(artifact.room)]
    return _command("part", caller, words)


def keep(caller: Caller, artifact: Artifact) -> RemoteCommand:
    """Check the digest of what this attempt has brought, and keep it as the artifact."""
    return _command("keep", caller, [artifact.sha256, str(artifact.size)])


def run(caller: Caller, phase: str, job: Job | None, *, poll: int = 20) -> RemoteCommand:
    """Start a phase, or attach to it, and follow it for at most `poll` seconds.

    Without a job it only follows. `revert` is a decision: after it nothing goes forward again.
    """
    return _command("run", caller, [phase, str(poll)], job.encode() if job else b"")


def drain(
    caller: Caller,
    found: str = "",
    *,
    offline: str | None = None,
    steps: Sequence[str] = (*ACTIVATE_STEPS, *REVERT_STEPS),
    by_hand: bytes = b"",
) -> RemoteCommand:
    """Journal the balancer's state as found and make room for every record still to be written.

    `offline` names the file balancer's file, which is then taken away. It goes before the balancer
    is asked to drain. `by_hand` is the job of putting back without Apollo (`jobs.by_hand`).
    """
    encoded = base64.b64encode(found.encode()).decode() or "-"
    return _command("drain", caller, [encoded, offline or "-", *steps], by_hand)


def settle(caller: Caller, verdict: str, *, keep: int, online: str | None = None) -> RemoteCommand:
    """Journal the verdict (`verified`, `reverted`, `broken`), then restore the file and prune."""
    return _command("settle", caller, [verdict, str(keep), online or "-"])


def fence(caller: Caller) -> RemoteCommand:
    """Make sure that nobody newer has taken the host over."""
    return _command("fence", caller, [])


def adopt(caller: Caller) -> RemoteCommand:
    """Take over a root that belongs to somebody else."""
    return _command("adopt", caller, [])


def look(
    root: str, *, deployment: str = "-", turn: int | None = None, shell: str = "/bin/sh"
) -> RemoteCommand:
    """Read the host's state without any lock; works where Apollo has never been.

    Without a turn, the one that last touched the host is shown.
    """
    nonce = secrets.token_hex(8)
    words = ["look", nonce, shell, root, deployment, "-" if turn is None else str(turn)]
    text = f"""
f={shlex.quote(root)}/.apollo/bin/{script_name()}
[ -r "$f" ] && exec {shell} "$f" {shlex.join(words)}
exec {shell} -s -- {shlex.join(words)}
"""
    return RemoteCommand(quote(text), script(), nonce)


def printed(
    root: str,
    deployment: str,
    turn: int | None = None,
    seen: Mapping[str, int] | None = None,
    *,
    poll: int = 0,
    shell: str = "/bin/sh",
) -> RemoteCommand:
    """Read what the steps of the deployment's last turn have printed, without any lock.

    `seen` says how many bytes of each step of `turn` are not needed again; with `poll` the host
    waits so many seconds at the most for something new.
    """
    nonce = secrets.token_hex(8)
    known = [f"{step}={size}" for step, size in (seen or {}).items()]
    words = ["printed", nonce, shell, root, deployment]
    words += ["-" if turn is None else str(turn), str(poll), *known]
    text = f"""
f={shlex.quote(root)}/.apollo/bin/{script_name()}
[ -r "$f" ] && exec {shell} "$f" {shlex.join(words)}
exec {shell} -s -- {shlex.join(words)}
"""
    return RemoteCommand(quote(text), script(), nonce)


def _command(name: str, caller: Caller, words: Iterable[str], stdin: bytes = b"") -> RemoteCommand:
    nonce = caller.nonce
    text = f"""
f={shlex.quote(caller.root)}/.apollo/bin/{script_name()}
[ -r "$f" ] && exec {caller.shell} "$f" {name} {caller.words} {shlex.join(words)}
printf '<<<apollo:{nonce}\\nneed-script yes\\napollo:{nonce}>>>\\n'
"""
    return RemoteCommand(quote(text), stdin, nonce)
