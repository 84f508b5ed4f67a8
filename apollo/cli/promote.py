"""`apollo promote`: takes a release along the pipeline."""

from typing import Annotated

from cyclopts import Parameter

from apollo.cli.ask import agreed
from apollo.cli.following_promotion import follow_promotion, leave_promotion
from apollo.cli.misuse import Misused
from apollo.cli.options import JsonLines, Reason, Yes
from apollo.cli.places import application
from apollo.cli.render.terminal import show_json, talk
from apollo.cli.session import connected
from apollo.client import Apollo
from apollo.domain.promotion import PromotionRequest, PromotionState
from apollo.errors import Refused
from apollo.promoting import Way, find_way

Release = Annotated[
    str,
    Parameter(
        help="`1.4.2` beside an apollo.yaml, `shop/1.4.2` anywhere; by default the newest that "
        "succeeded in --from, or the newest that was made."
    ),
]
From = Annotated[str, Parameter(name="--from", help="The stage that it has passed.")]
To = Annotated[str, Parameter(help="The last stage; by default the pipeline's last.")]
Application = Annotated[str, Parameter(help="By default that of the apollo.yaml here.")]
Detach = Annotated[bool, Parameter(help="Start it and leave.")]


async def promote(
    release: Release = "",
    /,
    *,
    from_: From = "",
    to: To = "",
    application: Application = "",
    reason: Reason = "",
    detach: Detach = False,
    yes: Yes = False,
    json: JsonLines = False,
) -> int:
    """Take a release along the pipeline and follow it."""
    owner, version = _named(release, application)
    request = PromotionRequest.model_validate(
        {"application": owner, "release": version or None, "from": from_, "to": to}
    )
    async with connected() as apollo:
        way = await find_way(apollo.catalog, request)
        if way.nothing:
            return _nothing(owner, way, json)
        talk(f"{owner} {way.release}: {await _described(apollo, owner, way)}")
        if not agreed(f"Promote {way.release}?", yes=yes):
            raise Refused("nothing was promoted")
        handle = await apollo.promote(owner, version or None, from_=from_, to=to, reason=reason)
        if detach:
            return await leave_promotion(handle, owner, json=json)
        return await follow_promotion(handle, owner, json=json)


def _named(release: str, given: str) -> tuple[str, str]:
    owner, slash, version = release.rpartition("/")
    if slash and not (owner and version):
        raise Misused(f"{release!r} names no release", hint="write 1.4.2 or shop/1.4.2")
    if owner and given and owner != given:
        raise Misused(f"{release} is not a release of {given}", hint="name one application")
    return owner or given or application(), version


def _nothing(owner: str, way: Way, json: bool) -> int:
    if json:
        state = PromotionState.NOTHING_TO_DO
        show_json({"application": owner, "state": state, "detail": way.nothing})
    else:
        talk(f"Nothing to promote: {way.nothing}.")
    return 0


async def _described(apollo: Apollo, owner: str, way: Way) -> str:
    """`dev → staging (bake 1h) → prod (approval)`."""
    parts = []
    for stage in way.stages:
        applied = await apollo.catalog.environments.get(owner, stage.environment)
        parts.append(f"{stage}{' (approval)' if applied.environment.approval else ''}")
    return " → ".join(parts)
