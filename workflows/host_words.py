"""What people say of single hosts of a running deployment: `skip` and `retry`."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from apollo.activities.steering import SteeringActivities
    from apollo.domain.deployment import HostsControl
    from apollo.domain.rollout import BatchControl
    from apollo.domain.steering import Action, Steered, SteeringInput, SteerInput
    from apollo.domain.turn import LEFT_OUT
    from apollo.workflows.controlled import NOWHERE, Controlled, Place
    from apollo.workflows.options import quick
    from apollo.workflows.words import update_id

HOSTS = 'JSON: {"hosts": "web3 | @failed"} or {"error": "HookFailed start exit 3"}'


class HostWords(Controlled):
    """They ask the catalog which hosts are meant; no batch begins meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.unreachable = 0
        self.due: set[Place] = set()
        """Batches with hosts that are due once more."""
        self.steering = 0
        """How many such words are being carried out."""
        self._left_out: dict[Place, tuple[str, ...]] = {}

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

    def word_for_batch(self, place: Place = NOWHERE) -> BatchControl:
        """What a batch must know; also who is left out of it."""
        word = super().word_for_batch(place)
        skip = self._left_out.get(place, ())
        return word.model_copy(update={"skip": skip}) if skip else word

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
        others = list(found.hosts)
        for place in self.places:
            now = found.of(place)
            names = tuple(each.host for each in now)
            if names:
                self._left_out[place] = (*self._left_out.get(place, ()), *names)
            others = [each for each in others if each not in now]
        if others:
            await workflow.execute_activity_method(
                SteeringActivities.skip_hosts,
                SteerInput(deployment=self.opened.deployment, hosts=tuple(others), why=LEFT_OUT),
                **quick(f"skip {len(others)} hosts"),
            )
        self.unreachable -= found.unreachable

    async def _retry(self, found: Steered) -> None:
        """What they counted for is taken back: it is their next turn that counts."""
        await workflow.execute_activity_method(
            SteeringActivities.retry_hosts,
            SteerInput(deployment=self.opened.deployment, hosts=found.hosts),
            **quick(f"retry {len(found.hosts)} hosts"),
        )
        names = {each.host for each in found.hosts}
        for place, left_out in self._left_out.items():
            self._left_out[place] = tuple(name for name in left_out if name not in names)
        self.failures -= found.failures
        self.unreachable -= found.unreachable
        self.due |= {(each.wave, each.batch) for each in found.hosts}
