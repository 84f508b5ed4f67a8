"""Where a deployment is seen in Temporal's own pages."""

from apollo.links import temporal_link

__all__ = ["temporal_link"]
