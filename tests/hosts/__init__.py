"""Tests on real SSH hosts and real balancers."""
