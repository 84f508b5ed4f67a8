"""A piece of a manifest or an artifact, for a host worker that has no access to the store."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo.activities.lending import LendingActivities
    from apollo.domain.lending import PieceRequest
    from apollo.workflows.inputs import one_input
    from apollo.workflows.options import lending


@workflow.defn(failure_exception_types=[ValidationError])
class Piece:
    """Reads a piece where the store is. Whoever asked deletes its history afterwards."""

    @workflow.init
    @one_input(least=0)
    def __init__(self, request: PieceRequest = PieceRequest()) -> None:
        pass

    @workflow.run
    async def run(self, request: PieceRequest = PieceRequest()) -> bytes:
        """The piece."""
        request = PieceRequest.model_validate(request)  # it may have been given anything
        return await workflow.execute_activity_method(
            LendingActivities.lend_piece, request, **lending(request)
        )
