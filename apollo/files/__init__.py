"""The files that users write: YAML with positions, read into the domain."""
