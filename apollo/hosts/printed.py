"""Reads what the hooks of a host's turn print, while they run. Nothing is changed there."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass

from apollo.domain.logs import HostLog, LogPart, LogRead
from apollo.errors import ConnectFailed, SecretUnavailable
from apollo.hosts import script
from apollo.hosts.answer import Answer, StepRecord, StepStatus
from apollo.hosts.root import read_answer
from apollo.hosts.secrets import clean, clean_end
from apollo.ports import Hosts, Reach, Secrets

TIMEOUT = 60.0
"""Seconds for all of it, the wait for something new included."""
HELD_BACK = 8192
"""Bytes of a line that has no end yet: it is shown when it has one, or when it is longer."""
LINE = 8
"""Characters of a line of a secret that is looked for by itself."""


@dataclass(frozen=True)
class PrintedReader:
    """Reads outputs over the worker's connections."""

    hosts: Hosts
    secrets: Secrets

    async def __call__(self, given: LogRead) -> HostLog:
        """What came since.

        Raises:
            TurnError: The host cannot be reached, or its secrets could not be told from the rest.
        """
        request, target = given.request, given.target
        assert target.host
        name = target.host.name
        reach = Reach(
            host=target.host,
            host_keys=target.host_keys,
            first_use=target.first_use,
            application=request.application,
            environment=request.environment,
        )
        command = script.printed(
            target.root, target.deployment, request.turn, request.seen, poll=request.poll
        )
        try:
            async with asyncio.timeout(TIMEOUT), self.hosts.connect(reach) as session:
                output = await session.run(command.line, command.stdin)
        except TimeoutError as error:
            text = f"{name} did not answer within {TIMEOUT:g} s"
            raise ConnectFailed(text, host=name, step="logs") from error
        answer = read_answer(command, output, name, "logs")
        values = self._values(name, answer)
        steps = sorted(answer.steps.values(), key=lambda step: step.start or 0)
        same = answer.turn == request.turn
        return HostLog(
            label=target.label,
            deployment=target.deployment,
            turn=answer.turn,
            under_way=target.under_way,
            running=answer.running or "",
            parts=tuple(
                part_of(step, request.seen.get(step.name, 0) if same else 0, values)
                for step in steps
            ),
        )

    def _values(self, name: str, answer: Answer) -> list[str]:
        """The secrets of all releases whose hooks may have run; each line of a long one, too."""
        values: list[str] = []
        for manifest in (answer.manifest, answer.new_manifest, answer.previous_manifest):
            try:
                references = json.loads(manifest)["secrets"] if manifest else {}
                values += self.secrets.resolve(references).values()
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise SecretUnavailable(
                    f"{name}: outputs are not shown, for they may hold secrets: {error}",
                    host=name,
                    step="logs",
                    hint="give the worker the secret, or allow its reference",
                ) from error
        return [*values, *(line for v in values for line in v.splitlines() if len(line) >= LINE)]


def part_of(step: StepRecord, seen: int, values: Iterable[str]) -> LogPart:
    """The whole lines that a step has printed; a line that has no end yet is held back."""
    known = list(values)
    running, output = step.status is StepStatus.RUNNING, step.output
    if running:
        output = _whole_lines(output, known)
    text = (clean_end if step.cut > seen else clean)(output, known)
    return LogPart(
        step=step.name,
        text=text,
        begin=step.cut,
        end=step.cut + (len(output) if running else step.size),
        exit=step.exit,
        running=running,
    )


def _whole_lines(output: bytes, values: list[str]) -> bytes:
    end = output.rfind(b"\n") + 1
    if len(output) - end <= HELD_BACK:
        return output[:end]
    longest = max((len(value.encode()) for value in values), default=1)
    return output[: len(output) - longest + 1]
