"""Whether a deployment kept the fifteen rules, told from the catalog's rows alone.

Nothing here imports what plans or carries out deployments: the judge shares no code with the
judged. What the rows cannot show is said not to be recorded, never to have been kept.
"""

from apollo.catalog.evidence import Evidence
from apollo.proof.budgets import budgets
from apollo.proof.emergencies import emergencies
from apollo.proof.ending import control, nothing_lost
from apollo.proof.facts import Facts
from apollo.proof.hosts import hooks_once, put_back, skip
from apollo.proof.lease import one_at_a_time
from apollo.proof.order import order
from apollo.proof.progress import progress
from apollo.proof.rollback import rollback
from apollo.proof.room import capacity
from apollo.proof.stripes import stripes
from apollo.proof.verdict import Breach, Judgement, Verdict
from apollo.proof.waves import bake, waves

__all__ = ["Breach", "Judgement", "Verdict", "prove"]

RULES = (
    capacity,
    stripes,
    order,
    waves,
    budgets,
    put_back,
    rollback,
    skip,
    hooks_once,
    nothing_lost,
    one_at_a_time,
    control,
    bake,
    progress,
    emergencies,
)


def prove(evidence: Evidence) -> tuple[Judgement, ...]:
    """Judge a deployment by each rule, in their order."""
    facts = Facts(evidence)
    return tuple(rule(facts) for rule in RULES)
