"""Telling a webhook that a deployment has come into a state."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from apollo.activities.explained import explained
from apollo.domain.notification import NotifyInput, Told, is_reference, message, shown_webhook
from apollo.errors import Undelivered
from apollo.ports import Secrets

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog

Post = Callable[[str, Mapping[str, Any], str], Awaitable[int]]


@dataclass
class NotificationActivities:
    """The control worker's part of notifications: it alone knows the webhooks' URLs."""

    catalog: "Catalog"
    secrets: Secrets
    link: Callable[[str], str]
    """The page of a workflow in Temporal's UI, if it is known."""
    post: Post

    @activity.defn
    @explained
    async def notify(self, given: NotifyInput) -> str:
        """Post to one webhook; who it was, and what it answered."""
        told = given.notification
        stored = await self.catalog.deployments.by_uuid(told.deployment)
        environment = await self.catalog.environments.planned(
            stored.application, stored.environment, stored.revision
        )
        webhook = environment.notify[given.hook].webhook
        body = message(
            told,
            Told(
                release=stored.release,
                previous_release=stored.previous_release,
                outcomes=await self.catalog.turns.counts(stored.uuid),
            ),
            self.link(told.workflow_id),
        )
        try:
            status = await self.post(self._url(webhook), body, given.key)
        except Undelivered as error:
            raise ApplicationError(
                error.message, type=error.code, next_retry_delay=error.after
            ) from None
        return f"{shown_webhook(webhook)} answered {status}"

    def _url(self, webhook: str) -> str:
        if not is_reference(webhook):
            return webhook
        try:
            return self.secrets.resolve({"webhook": webhook})["webhook"].strip()
        except ValueError as error:
            raise Undelivered(str(error)) from None
