"""What a simulated host remembers, in the words of the host script's answers."""

import base64
import time

from tests.scale.fate import Fate, printed

FIRST = "20260101T000000Z-1.0"
FAILED = "failed"
"""A step that has printed so much that it is made up anew for each answer."""
_STEPS = ("hook", "switch", "silent", "kill")


class Journal:
    """The root of one host: what serves, and how far the turn that last came has got."""

    __slots__ = (
        "_manifest",
        "_new",
        "_phases",
        "_previous",
        "_reverting",
        "_steps",
        "_turn",
        "_verdict",
        "drained",
        "ends",
        "serves",
    )

    def __init__(self, digest: str, manifest: str) -> None:
        """`manifest` is the one that serves, in base64, as all manifests here."""
        self.serves = (FIRST, digest)
        self._manifest = manifest
        self.ends = 0.0
        """When the phase that was started last ends, by the monotonic clock."""
        self._open("", None)

    def _open(self, turn: str, new: tuple[str, str, str] | None) -> None:
        self._turn = turn
        self._new = new
        self._previous = (*self.serves, self._manifest)
        self._steps: dict[str, str] = {}
        self._phases: set[str] = set()
        self._verdict = "-"
        self._reverting = self.drained = False

    def begin(
        self, turn: str, digest: str, folder: str, manifest: str, redeploy: bool, job: str
    ) -> bool:
        """Open a turn, or find it open; whether a release is staged now."""
        if turn == self._turn:
            return False
        if digest == self.serves[1] and not redeploy:
            self._open(turn, None)
            return False
        assert "\nurl " in job, "simulated hosts pull their artifacts"
        self._open(turn, (folder, digest, manifest))
        for name in _names(job):
            self._steps[name] = _step(name, 0, b"")
        return True

    def drain(self) -> None:
        """Out of service."""
        self.drained = True

    def started(self, phase: str) -> bool:
        """Whether the phase has begun."""
        return phase in self._phases

    def run(self, phase: str, job: str, fate: Fate) -> None:
        """Begin a phase, which ends when its work is done."""
        self._phases.add(phase)
        self._reverting = self._reverting or phase == "revert"
        self.ends = time.monotonic() + fate.work
        for name in _names(job):
            fails = fate.fails and name == "start"
            self._steps[name] = FAILED if fails else _step(name, 0, f"{name}: well\n".encode())
            if fails:
                break

    def settle(self, verdict: str) -> None:
        """The turn ends."""
        self._verdict = verdict
        if verdict == "verified":
            assert self._new
            folder, digest, self._manifest = self._new
            self.serves = folder, digest

    def report(self) -> list[str]:
        """Everything that the host's script says in answer to any command."""
        folder, digest = self.serves
        deployment, _, turn = self._turn.partition(" ")
        status = "changing" if self.drained and self._verdict == "-" else "serving"
        lines = [
            f"now {time.time():.3f}",
            "boot b/1",
            "free 1000000",
            f"current {folder}",
            f"state {status} {folder} {digest} {deployment} {turn} 1.0",
            f"manifest {self._manifest}",
            "running -",
        ]
        lines += ["balancer -"] if self.drained else []
        if self._new is None:
            return [*lines, "same yes"]
        lines += [f"folder {self._new[0]}", f"previous {self._previous[0]}"]
        lines += [f"previous-manifest {self._previous[2]}", f"verdict {self._verdict}"]
        lines += ["staged yes", "cached yes"]
        lines += ["reverting yes"] if self._reverting else []
        return lines + [
            self._failed(name) if step is FAILED else step for name, step in self._steps.items()
        ]

    def _failed(self, name: str) -> str:
        return _step(name, 3, printed(self._turn))


def _names(job: str) -> list[str]:
    return [line.split()[1] for line in job.splitlines() if line.startswith(_STEPS)]


def _step(name: str, code: int, output: bytes) -> str:
    now = time.time()
    times = f"start={now:.3f} end={now:.3f} n=1 late=no cut=0"
    return f"step {name} ended exit={code} {times} size={len(output)} output={_word(output)}"


def _word(data: bytes) -> str:
    return base64.b64encode(data).decode() or "-"
