"""The Python client: the same words as the command line."""

from apollo.client.apollo import Apollo
from apollo.client.deployments import DeploymentHandle, Status
from apollo.client.promotions import PromotionHandle

__all__ = ["Apollo", "DeploymentHandle", "PromotionHandle", "Status"]
