"""What people say of single hosts of a running deployment: `skip` and `retry`."""

from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from apollo.activities.steering import SteeringActivities
    from apollo.domain.deployment import HostsControl
    from apollo.domain.known import NOWHERE, Said
    from apollo.domain.steering import Action, Steered, SteeringInput, SteerInput
    from apollo.domain.turn import LEFT_OUT
    from apollo.workflows.controlled import Controlled
    from apollo.workflows.options import quick
    from apollo.workflows.words import update_id

ACCEPTED_BY_NAME = "those that are accepted are these"
RETRIED_WERE_ACCEPTED = "those that were to have another turn were accepted too"
IN_THEIR_OWN_WAVE = "who is due in a later wave waits for it"
HOSTS = 'JSON: {"hosts": "web3 | @failed"} or {"error": "HookFailed start exit 3"}'


class HostWords(Controlled):
    """They ask the catalog which hosts are meant; no batch begins meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.steering = 0
        """How many such words are being carried out."""

    @workflow.update(description=f"Leave hosts out; those in their turn end it. {HOSTS}")
    async def skip(self, word: HostsControl = HostsControl()) -> str:
        """Leave hosts out."""
        return await self._steer("skip", word)

    @workflow.update(description=f"Give hosts that failed another turn. {HOSTS}")
    async def retry(self, word: HostsControl = HostsControl()) -> str:
        """Give hosts another turn."""
        return await self._steer("retry", word)

    @skip.validator
    def _may_skip(self, word: HostsControl = HostsControl()) -> None:
        self._check_hosts("skip")

    @retry.validator
    def _may_retry(self, word: HostsControl = HostsControl()) -> None:
        self._check_hosts("retry")

    @property
    def said(self) -> Said:
        """How the controls stand, and whether a word about hosts is being carried out."""
        return replace(super().said, steering=self.steering > 0)

    def _check_hosts(self, action: Action) -> None:
        if not hasattr(self, "opened"):
            raise ApplicationError("it is not planned yet", type="Refused")
        self._check(action)

    async def _steer(self, action: Action, word: HostsControl) -> str:
        self.steering += 1
        try:
            found = await self._choose(action, word)
            await (self._skip(found) if action == "skip" else self._retry(found))
        except ActivityError as error:
            cause = error.cause
            text = cause.message if isinstance(cause, ApplicationError) else str(error)
            raise ApplicationError(text, type="Refused") from error
        finally:
            self.steering -= 1
        self._audit(action, word, update_id(), found.names)
        return f"{action}: {found.names}; it is {self.controls.state}"

    async def _choose(self, action: Action, word: HostsControl) -> Steered:
        (wave, batch), *beside = self.places or [NOWHERE]
        return await workflow.execute_activity_method(
            SteeringActivities.choose_hosts,
            SteeringInput(
                deployment=self.opened.deployment,
                action=action,
                hosts=word.hosts,
                error=word.error,
                wave=wave,
                batch=batch,
                beside=tuple(beside),
            ),
            **quick(f"which hosts to {action}"),
        )

    async def _skip(self, found: Steered) -> None:
        """Hosts of the batch that runs are left out by it: it knows which are in their turn."""
        places = self.places
        self.known = self.known.skipped(found, places)
        others = [each for each in found.hosts if (each.wave, each.batch) not in places]
        if others:
            await workflow.execute_activity_method(
                SteeringActivities.skip_hosts,
                SteerInput(deployment=self.opened.deployment, hosts=tuple(others), why=LEFT_OUT),
                **quick(f"skip {len(others)} hosts"),
            )
        accepted = self.known.accepted > 0
        replaced = accepted and found.unreachable and not workflow.patched(ACCEPTED_BY_NAME)
        again = accepted and found.unreachable_again
        if again and not workflow.patched(RETRIED_WERE_ACCEPTED):
            found = found.model_copy(update={"unreachable_again": 0})
        self.known = self.known.uncounted(found, accepts_others=bool(replaced))

    async def _retry(self, found: Steered) -> None:
        await workflow.execute_activity_method(
            SteeringActivities.retry_hosts,
            SteerInput(deployment=self.opened.deployment, hosts=found.hosts),
            **quick(f"retry {len(found.hosts)} hosts"),
        )
        due = self.known.begun(found.places, self.places)
        if due != found.places and not workflow.patched(IN_THEIR_OWN_WAVE):
            due = found.places
        self.known = self.known.retried(found, due)
