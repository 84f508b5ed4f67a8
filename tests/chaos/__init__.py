"""Deployments whose machinery is killed."""
