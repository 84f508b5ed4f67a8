"""Whatever the login shell is and however much it says: a whole turn goes through it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apollo.domain.fleet import Host
from apollo.domain.status import Outcome
from apollo.errors import NoShell
from apollo.hosts.session import SshHosts
from tests.support.bench import Bench
from tests.support.openssh import OpenSshFleet, OpenSshHost, openssh_fleet

NOISE = 'echo "Welcome! <<<apollo: it is not"; echo oops >&2'
SHELLS = {
    "dash": ("/bin/dash", ""),
    "bash": ("/bin/bash", "/root/.bashrc"),
    "tcsh": ("/usr/bin/tcsh", "/etc/csh.cshrc"),
    "fish": ("/usr/bin/fish", "/etc/fish/config.fish"),
}
"""Login shell → the file that it reads first, in which it is made to talk."""
NO_SHELLS = {"nologin": "/usr/sbin/nologin", "false": "/bin/false"}
SEVERAL_LINES = """
f=/etc/passwd
[ -r "$f" ] && { echo fine; }
"""


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> Iterator[OpenSshFleet]:
    program("tcsh")
    program("fish")
    folder = tmp_path_factory.mktemp("shells")
    with openssh_fleet(folder, [*SHELLS, *NO_SHELLS], program) as fleet:
        for name, host in fleet.hosts.items():
            shell, file = SHELLS.get(name) or (NO_SHELLS[name], "")
            give(host, shell, file)
        yield fleet


def give(host: OpenSshHost, shell: str, file: str) -> None:
    """Give root this shell, on this host only, and a banner."""
    users = Path("/etc/passwd").read_text(encoding="utf-8").splitlines()
    lines = [u if not u.startswith("root:") else f"root:x:0:0:root:/root:{shell}" for u in users]
    (host.folder / "passwd").write_text("\n".join(lines) + "\n")
    (host.folder / "noise").write_text(NOISE + "\n")
    (host.folder / "banner").write_text("Authorized use only\n")
    host.inside(f"mount --bind {host.folder}/passwd /etc/passwd")
    if file:
        host.inside(f"[ -e {file} ] && mount --bind {host.folder}/noise {file}")
    config = host.folder / "sshd_config"
    config.write_text(f"{config.read_text()}Banner {host.folder}/banner\n")
    host.restart_sshd()


def bench(fleet: OpenSshFleet, name: str, folder: Path) -> Bench:
    host = fleet.hosts[name]
    described = Host(name=name, location="lab1", address=host.address, user="root")
    return Bench(folder, described, host.host_key, fleet.key, "/srv/shop")


@pytest.mark.parametrize("name", SHELLS)
async def test_a_whole_turn_goes_through_it(fleet: OpenSshFleet, tmp_path: Path, name: str) -> None:
    desk = bench(fleet, name, tmp_path)
    odd = 'echo "it\'s $APOLLO_RELEASE" \'&\' \\$HOME >"$APOLLO_ROOT/said"'
    for version in ("1", "2"):
        record = await desk.run(desk.turn(await desk.release(version, start=odd)))
        assert record.outcome is Outcome.UPDATED, record
    assert (fleet.hosts[name].disk / "shop/said").read_text() == "it's 2 & $HOME\n"


@pytest.mark.parametrize("name", ["bash", "tcsh", "fish"])
async def test_the_control_shells_talk_and_do_not_all_read_lines_alike(
    fleet: OpenSshFleet, name: str
) -> None:
    desk = bench(fleet, name, fleet.folder)
    async with SshHosts(key=fleet.key).connect(desk.turn("0" * 64)) as session:
        said = (await session.run(SEVERAL_LINES)).decode()
    assert "Welcome! <<<apollo: it is not" in said
    assert ("fine" in said) is (name == "bash")


@pytest.mark.parametrize("name", NO_SHELLS)
async def test_no_shell_is_told(fleet: OpenSshFleet, tmp_path: Path, name: str) -> None:
    desk = bench(fleet, name, tmp_path)
    with pytest.raises(NoShell) as caught:
        await desk.run(desk.turn(await desk.release("1", start=":")))
    assert caught.value.unreachable
    assert "needs a shell" in caught.value.hint
