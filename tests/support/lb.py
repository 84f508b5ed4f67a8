"""A command for HAProxy, as a team would write it: one server of one backend, by its socket.

`python lb.py SOCKET BACKEND/SERVER find|drain|restore`. All it knows of Apollo is APOLLO_FOUND.
"""

import os
import socket
import sys
from pathlib import Path


def ask(place: str, line: str) -> str:
    """One command, and HAProxy's answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(place)
        connection.sendall(f"{line}\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def state(place: str, server: str) -> str:
    """`ready`, `drain` or `maint`."""
    backend, name = server.split("/")
    lines = ask(place, f"show servers state {backend}").splitlines()
    names = lines[1].split()[1:]
    for line in lines[2:]:
        row = dict(zip(names, line.split(), strict=False))
        if row.get("srv_name") == name:
            bits = int(row["srv_admin_state"])
            return "maint" if bits & 1 else "drain" if bits & 8 else "ready"
    sys.exit(f"{place} has no server {server}")


def become(place: str, server: str, wanted: str) -> None:
    """Set it and see that it is so."""
    answer = ask(place, f"set server {server} state {wanted}").strip()
    found = state(place, server)
    if answer or found != wanted:
        sys.exit(f"{server} is {found} and not {wanted}: {answer}")


def main(place: str, server: str, act: str) -> None:
    """What was asked for, and a line in a journal beside the socket."""
    with Path(place).with_name("said").open("a", encoding="utf-8") as said:
        said.write(f"{act} {os.environ.get('APOLLO_FOUND', '')}".rstrip() + "\n")
    if act == "find":
        print(state(place, server))
    elif act == "drain":
        if state(place, server) == "ready":
            become(place, server, "drain")
    else:
        become(place, server, os.environ["APOLLO_FOUND"])


if __name__ == "__main__":
    main(*sys.argv[1:])
