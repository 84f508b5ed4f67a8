"""Judges that share no code with the planner."""
