"""What is asked of a promotion: a release on its way along the pipeline."""

from pydantic import ConfigDict, Field

from apollo.domain.base import Wire


class PromotionRequest(Wire):
    """What starts a promotion: from the command line, a client, a schedule or the Temporal UI.

    Only `application` must be given.
    """

    model_config = ConfigDict(populate_by_name=True)

    application: str = ""
    release: str | None = None
    """By default the newest that succeeded in `from`."""
    from_: str = Field(default="", alias="from")
    """The stage that the release has passed; by default the first stage is still to come."""
    to: str = ""
    """The last stage; by default the pipeline's last."""
    by: str = ""
    reason: str = ""
