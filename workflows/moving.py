"""Workflows that move on to the newest build of the workers, where workers have builds."""

from temporalio import workflow
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo.domain.promotion import PromotionRequest, PromotionResult
    from apollo.workflows.promotion import Promotion


@workflow.defn(
    name="Promotion",
    failure_exception_types=[ValidationError],
    versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
)
class MovingPromotion(Promotion):
    """A promotion waits at gates for weeks: no old worker is kept for it.

    Its deployments begin on the build that is current then. Temporal refuses what is said here of
    a worker without a build, which therefore has the plain class.
    """

    @workflow.run
    async def run(self, request: PromotionRequest = PromotionRequest()) -> PromotionResult:
        """Carry the promotion out."""
        return await super().run(request)
