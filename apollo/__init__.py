"""Apollo puts releases on fleets of hosts over SSH while they serve traffic.

>>> from apollo import Apollo
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apollo.client import Apollo as Apollo
    from apollo.client import DeploymentHandle as DeploymentHandle
    from apollo.client import PromotionHandle as PromotionHandle
    from apollo.client import Status as Status
    from apollo.errors import ApolloError as ApolloError
    from apollo.settings import Settings as Settings

__version__ = "0.1.0"
__all__ = [
    "Apollo",
    "ApolloError",
    "DeploymentHandle",
    "PromotionHandle",
    "Settings",
    "Status",
    "__version__",
]

_HOMES = {
    "Apollo": "apollo.client",
    "ApolloError": "apollo.errors",
    "DeploymentHandle": "apollo.client",
    "PromotionHandle": "apollo.client",
    "Settings": "apollo.settings",
    "Status": "apollo.client",
}
"""Loaded when they are asked for: the command line's help needs none of them."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
