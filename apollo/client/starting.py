"""What the client starts: deployments, restarts, syncs, looks and promotions."""

from typing import Literal
from uuid import uuid4

from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from apollo import names
from apollo.client.asking import Asking
from apollo.client.connection import Connection
from apollo.client.deployments import DeploymentHandle
from apollo.client.promotions import PromotionHandle, start_promotion
from apollo.client.requests import refuse_other
from apollo.client.talk import result_of, start
from apollo.domain.deployment import DeploymentRequest
from apollo.domain.keys import KeysFound, Scanned, ScanRequest
from apollo.domain.promotion import PromotionRequest
from apollo.domain.sync import Drift, LookRequest
from apollo.domain.turn import Stop
from apollo.errors import Unavailable
from apollo.workflows.deployment import Deployment
from apollo.workflows.look import Look
from apollo.workflows.scan import ScanKeys

IfBusy = Literal["refuse", "wait", "supersede"]


class Starting(Connection):
    """Words that start workflows. The same `request` starts the same deployment only once.

    A request that was used by a deployment that has ended, or that asks for something else, is
    refused; one that asks for the same and still runs is what is returned.
    """

    async def deploy(
        self,
        application: str,
        environment: str,
        release: str | None = None,
        *,
        limit: str | None = None,
        redeploy: bool = False,
        override: str = "",
        stop: Stop = "running",
        if_busy: IfBusy = "refuse",
        reason: str = "",
        request: str | None = None,
    ) -> DeploymentHandle:
        """Start a deployment; `override` says why it keeps to no window and waits for no approval.

        `stop` says whose stop hook is used: that of the release that runs, of the `new` one, or
        `ignore`: that of the one that runs, which may fail.

        Raises:
            Refused: The request was used by another deployment.
            Unavailable: Temporal does not answer.
        """
        given = DeploymentRequest(
            application=application,
            environment=environment,
            release=release,
            limit=limit,
            redeploy=redeploy,
            override=override,
            stop=stop,
            if_busy=if_busy,
            by=self.settings.who,
            reason=reason,
        )
        return await self._start(given, release or "current", request)

    async def restart(
        self,
        application: str,
        environment: str,
        *,
        limit: str | None = None,
        if_busy: IfBusy = "refuse",
        reason: str = "",
        request: str | None = None,
    ) -> DeploymentHandle:
        """Stop and start what each host runs, by all the rules of a deployment.

        Raises:
            Refused: The request was used by another deployment.
            Unavailable: Temporal does not answer.
        """
        given = DeploymentRequest(
            application=application,
            environment=environment,
            restart=True,
            limit=limit,
            if_busy=if_busy,
            by=self.settings.who,
            reason=reason,
        )
        return await self._start(given, "restart", request)

    async def go_back(
        self,
        application: str,
        environment: str,
        release: str | None = None,
        *,
        limit: str | None = None,
        if_busy: IfBusy = "refuse",
        reason: str = "",
        request: str | None = None,
    ) -> DeploymentHandle:
        """Take back what the last deployment changed, or bring this release as a rollback does.

        At the pace of rollbacks (`rollback_max_unavailable`), held by no gate, window or alarm.

        Raises:
            Refused: The request was used by another deployment.
            Unavailable: Temporal does not answer.
        """
        given = DeploymentRequest(
            application=application,
            environment=environment,
            release=release,
            rollback=True,
            limit=limit,
            if_busy=if_busy,
            by=self.settings.who,
            reason=reason,
        )
        return await self._start(given, f"back{f' to {release}' if release else ''}", request)

    async def sync(
        self,
        application: str,
        environment: str,
        *,
        limit: str | None = None,
        reason: str = "",
        request: str | None = None,
    ) -> DeploymentHandle:
        """Bring the current release to hosts that are new, missed it, or run it no longer.

        When there is nothing to do the result has no label, and no deployment is in the catalog.

        Raises:
            Refused: The request was used by another deployment.
            Unavailable: Temporal does not answer.
        """
        given = DeploymentRequest(
            application=application,
            environment=environment,
            only="outdated",
            limit=limit,
            by=self.settings.who,
            reason=reason,
        )
        return await self._start(given, "sync", request)

    async def look(self, application: str, environment: str, *, limit: str | None = None) -> Drift:
        """How the hosts compare with the current release, as found on them; changes nothing.

        Raises:
            ApolloError: Nobody knows the environment, or the limit matches nothing.
            Unavailable: Temporal does not answer.
        """
        client = await self.temporal()
        workflow_id = names.look_id(names.deployment_id(application, environment, str(uuid4())))
        given = LookRequest(application=application, environment=environment, limit=limit)
        summary = f"what {application}/{environment} runs"
        await start(client, Look.run, given, workflow_id, summary, "look")
        return await result_of(client, workflow_id, Drift, "look")

    async def scan_keys(self, application: str, environment: str) -> list[Scanned]:
        """The SSH keys that the hosts show to the workers that reach them; trusts none.

        Raises:
            NotFound: Nobody knows the environment.
            Unavailable: Temporal does not answer, or no worker does.
        """
        client = await self.temporal()
        found: list[Scanned] = []
        first: int | None = 0
        while first is not None:
            workflow_id = names.scan_id(application, environment, str(uuid4()))
            given = ScanRequest(application=application, environment=environment, first=first)
            summary = f"the host keys of {application}/{environment}"
            await start(client, ScanKeys.run, given, workflow_id, summary, "scan", patient=False)
            keys = await result_of(client, workflow_id, KeysFound, "scan")
            found += keys.hosts
            first = keys.next
        return found

    async def promote(
        self,
        application: str,
        release: str | None = None,
        *,
        from_: str = "",
        to: str = "",
        reason: str = "",
    ) -> PromotionHandle:
        """Start taking a release along the pipeline.

        Without `release` it is the newest that succeeded in `from_`, or the newest that was made,
        and there may be nothing to do.

        Raises:
            NotFound: Nobody knows the application, the release or an environment.
            Refused: The release is being promoted already, or may not go there.
        """
        request = PromotionRequest.model_validate(
            {"application": application, "release": release, "from": from_, "to": to}
        ).model_copy(update={"by": self.settings.who, "reason": reason})
        client = await self.temporal()
        workflow_id, run_id = await start_promotion(self.catalog, client, request)
        return PromotionHandle(self.catalog, client, self.settings.who, workflow_id, run_id)

    async def _start(
        self, given: DeploymentRequest, what: str, request: str | None
    ) -> DeploymentHandle:
        client = await self.temporal()
        application, environment = given.application, given.environment
        workflow_id = names.deployment_id(application, environment, request or str(uuid4()))
        await self._trace()
        asking = Asking.begin(workflow_id)
        given = given.model_copy(update={"traceparent": asking.traceparent})
        try:
            await client.start_workflow(
                Deployment.run,
                given,
                id=workflow_id,
                task_queue=names.CONTROL_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"{application}/{environment} {what}"[:200],
            )
        except WorkflowAlreadyStartedError:
            await refuse_other(client, workflow_id, given)
        except RPCError as error:
            await asking.end(given, failed=str(error))
            raise Unavailable(f"Temporal does not start the deployment: {error}") from error
        else:
            await asking.end(given)
        return DeploymentHandle(self, workflow_id)
