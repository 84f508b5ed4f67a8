"""Histories of past versions, replayed by the workflows as they are now."""
