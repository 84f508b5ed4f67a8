"""Tests of what needs no host, no network and no Temporal."""
