"""Artifacts: how releases are packed, and where they and manifests are kept."""
