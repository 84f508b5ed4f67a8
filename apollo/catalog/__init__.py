"""The catalog: applications, environments, releases, deployments, hosts, and who did what."""

from apollo.catalog.catalog import Catalog

__all__ = ["Catalog"]
