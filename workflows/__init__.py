"""The durable workflows: deployments, their batches, promotions."""

if __name__ != "apollo.workflows":
    raise ImportError("import apollo.workflows: the top-level folder is only where it lies")
