"""Reads alarms: Prometheus, JSON documents, commands."""

from apollo.alarms.reader import AlarmReader

__all__ = ["AlarmReader"]
