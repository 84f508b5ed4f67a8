"""Real OpenSSH hosts on one machine: each has its own network, processes and /srv (needs root)."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PORT = 8080
CONFIG = """\
Port 22
ListenAddress {address}
HostKey {folder}/hostkey
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
UseDNS no
Subsystem sftp internal-sftp
"""


def run(*command: str, check: bool = True) -> str:
    """Run a command of this machine."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@dataclass
class OpenSshHost:
    """One host; its root user logs in with the fleet's key."""

    name: str
    address: str
    folder: Path
    link: str
    sshd: str
    boot: str = ""
    """What its process 1 starts after sshd, at each boot."""
    within: str = ""
    """The network namespace that its line leads into; else this machine's."""
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def host_key(self) -> str:
        """The public host key, as an inventory has it."""
        return " ".join((self.folder / "hostkey.pub").read_text().split()[:2])

    @property
    def disk(self) -> Path:
        """Its /srv, which outlives a reboot."""
        return self.folder / "srv"

    def make(self, outside: str, srv_size: str) -> None:
        """Make its network and its disk, and start it."""
        self.disk.mkdir(parents=True)
        run("mount", "-t", "tmpfs", "-o", f"size={srv_size},mode=755", "tmpfs", str(self.disk))
        run("ip", "netns", "add", self.link)
        self._outside(f"ip link add {self.link} type veth peer name eth0 netns {self.link}")
        self._outside(f"ip addr add {outside}/24 dev {self.link}")
        self._outside(f"ip link set {self.link} up")
        for inside in (
            f"ip addr add {self.address}/24 dev eth0",
            "ip link set eth0 up",
            "ip link set lo up",
        ):
            run("ip", "netns", "exec", self.link, *inside.split())
        self.rekey()
        (self.folder / "sshd_config").write_text(
            CONFIG.format(address=self.address, folder=self.folder)
        )
        run("mkdir", "-p", "/run/sshd")
        self.start()

    def start(self) -> None:
        """Boot it."""
        script = (
            f"mount --bind {self.disk} /srv && : >{self.folder}/nothing && "
            "for file in /root/.bashrc /root/.profile; do "  # they are this machine's
            f"[ ! -e $file ] || mount --bind {self.folder}/nothing $file; done && "
            f"{self.sshd} -f {self.folder}/sshd_config && {self.boot or ':'}\n"
            "while :; do sleep 60 & wait; done"
        )
        command = ["ip", "netns", "exec", self.link, "unshare", "--mount", "--pid", "--fork"]
        command += ["--kill-child", "--mount-proc", "sh", "-c", script]
        with (self.folder / "init.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._until_it_listens()

    def kill(self) -> None:
        """Take its power away: all its processes are gone at once."""
        assert self.process
        for child in self._children():
            os.kill(int(child), signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def reboot(self) -> None:
        """All its processes go, its disk stays, and process 1 is another."""
        self.kill()
        time.sleep(0.05)  # process 1's start counts in hundredths of a second
        self.start()

    def rekey(self) -> None:
        """Give it a new host key; sshd reads it at its next start."""
        (self.folder / "hostkey").unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "hostkey"))

    def inside(self, script: str) -> str:
        """Run a script in the host's namespaces."""
        deadline = time.monotonic() + 20
        while not (children := self._children()) and time.monotonic() < deadline:
            time.sleep(0.05)  # it has just been started
        (child,) = children
        return run("nsenter", "-t", child, "-m", "-p", "-n", "sh", "-c", script)

    def restart_sshd(self) -> None:
        """Start sshd anew, with another configuration or key."""
        self.inside(f"kill -s HUP $(cat {self.folder}/sshd.pid)")
        time.sleep(0.3)
        self._until_it_listens()

    def cut(self) -> None:
        """Take its line away."""
        self._outside(f"ip link set {self.link} down")

    def heal(self) -> None:
        """Give its line back."""
        self._outside(f"ip link set {self.link} up")

    def serving(self) -> str:
        """The version that the application answers with, asked inside the host."""
        url = f"http://127.0.0.1:{PORT}/"
        code = f"from urllib.request import urlopen; print(urlopen('{url}').read().decode())"
        answer = self.inside(f'{sys.executable} -c "{code}"')
        return answer.partition('"version": "')[2].partition('"')[0]

    def remove(self) -> None:
        """End all its processes and take its network away."""
        if self.process:
            self.kill()
        run("umount", "--lazy", str(self.disk), check=False)
        self._outside(f"ip link del {self.link}", check=False)
        run("ip", "netns", "del", self.link, check=False)

    def _outside(self, command: str, *, check: bool = True) -> None:
        """Run a command where its line ends."""
        where = ("ip", "netns", "exec", self.within) if self.within else ()
        run(*where, *command.split(), check=check)

    def _children(self) -> list[str]:
        assert self.process
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        return children.read_text(encoding="ascii").split() if children.exists() else []

    def _until_it_listens(self) -> None:
        for _ in range(200):
            listening = run("ip", "netns", "exec", self.link, "ss", "-Htln", check=False)
            if f"{self.address}:22" in listening:
                return
            time.sleep(0.05)
        said = (self.folder / "init.log").read_text(encoding="utf-8", errors="replace")
        raise AssertionError(f"sshd of {self.name} does not listen: {said}")


@dataclass
class OpenSshFleet:
    """Hosts, and the key that they let in."""

    folder: Path
    hosts: dict[str, OpenSshHost]

    @property
    def key(self) -> Path:
        """The private key of the one who logs in."""
        return self.folder / "id"


@contextmanager
def openssh_fleet(
    folder: Path,
    names: Sequence[str],
    program: Callable[[str], str],
    srv_size: str = "64m",
    boot: Mapping[str, str] | None = None,
    within: Mapping[str, str] | None = None,
) -> Iterator[OpenSshFleet]:
    """Hosts of these names; nothing of them is left afterwards.

    `boot` says what some start, `within` into which network namespaces the lines of some lead.
    """
    sshd = program("sshd")
    for needed in ("ip", "ss", "unshare", "nsenter"):
        program(needed)
    if os.geteuid() != 0:
        pytest.skip("hosts out of namespaces need root")
    token, net = secrets.token_hex(3), free_net()
    folder.mkdir(parents=True, exist_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "id"))
    hosts: dict[str, OpenSshHost] = {}
    try:
        for number, name in enumerate(names, 1):
            address, link = f"10.{net}.{number}.1", f"ap{token}n{number}"
            more = (boot or {}).get(name, ""), (within or {}).get(name, "")
            host = OpenSshHost(name, address, folder / name, link, sshd, *more)
            hosts[name] = host
            host.make(f"10.{net}.{number}.254", srv_size)
            shutil.copy(folder / "id.pub", host.folder / "authorized_keys")
        yield OpenSshFleet(folder, hosts)
    finally:
        for host in hosts.values():
            host.remove()


def start_worker(folder: Path, fleet: OpenSshFleet, **more: str) -> "subprocess.Popen[bytes]":
    """A worker that logs in with the fleet's key; its home and its log are in the folder."""
    environment = {
        **os.environ,
        "APOLLO_HOME": str(folder / "home"),
        "APOLLO_SSH_KEY": str(fleet.key),
        "APOLLO_GRACE": "1",
        **more,
    }
    with (folder / "worker.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "apollo.workers"], env=environment, stdout=log, stderr=log
        )


def free_net() -> int:
    """The second number of addresses that no other fleet on this machine has."""
    taken = run("ip", "-4", "-oneline", "addr")
    return secrets.choice([net for net in range(100, 200) if f" 10.{net}." not in taken])
