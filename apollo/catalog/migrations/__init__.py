"""Alembic's scripts for the catalog."""
