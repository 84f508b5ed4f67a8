"""Hosts: SSH, the script that works on them, its journal."""
