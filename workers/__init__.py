"""The processes that carry deployments out."""

if __name__ != "apollo.workers":
    raise ImportError("import apollo.workers: the top-level folder is only where it lies")
