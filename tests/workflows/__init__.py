"""The workflows on a real Temporal server and a real catalog; only the hosts are played."""
