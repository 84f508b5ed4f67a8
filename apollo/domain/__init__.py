"""What Apollo is about, as pure values and functions: no clock, no randomness, no I/O."""
