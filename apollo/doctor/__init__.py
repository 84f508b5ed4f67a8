"""What Apollo needs, looked at piece by piece: found, expected, what to do next."""
