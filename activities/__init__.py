"""What workflows do to the world: open and close deployments, give hosts their turns."""

if __name__ != "apollo.activities":
    raise ImportError("import apollo.activities: the top-level folder is only where it lies")
