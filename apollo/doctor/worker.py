"""Whether a worker is alive; quick, since containers ask it all the time."""

from pathlib import Path

from apollo.doctor.finding import Finding, bad, good
from apollo.pulse import DEAD, last_beat


def check_pulse(home: Path, role: str) -> list[Finding]:
    """Whether the worker of that role on this machine is alive: its event loop turns."""
    what, passed = f"worker {role}", last_beat(home, role)
    expected = f"one within {DEAD:.0f}s"
    hint = "see its log; Temporal being away does not matter here, apollo doctor looks at that"
    if passed is None:
        return [bad(what, f"no sign of life in {home / 'alive'}", expected, hint)]
    if passed > DEAD:
        return [bad(what, f"the last sign of life {passed:.0f}s ago", expected, hint)]
    return [good(what, f"a sign of life {passed:.0f}s ago")]
