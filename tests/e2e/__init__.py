"""Deployments from end to end: real Temporal, real hosts, real balancers, real traffic."""
