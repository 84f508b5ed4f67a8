"""The SSH fleet behaves as hosts do."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncssh
import pytest

from apollo.testing.fleet import SshFleet


async def eventually(condition: Callable[[], bool], rounds: int = 400) -> None:
    """Wait for something that must come true."""
    for _ in range(rounds):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come true")


async def connect(fleet: SshFleet, name: str) -> asyncssh.SSHClientConnection:
    host = fleet.host(name)
    return await asyncssh.connect(
        host.address,
        host.port,
        username=host.user,
        client_keys=[str(fleet.client_key)],
        known_hosts=asyncssh.import_known_hosts(f"[{host.address}]:{host.port} {host.host_key}\n"),
        config=None,
        agent_path=None,
    )


Run = Callable[..., Awaitable[asyncssh.SSHCompletedProcess]]


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[SshFleet]:
    async with SshFleet(tmp_path / "fleet", {"fra1": 2, "ams1": 1}) as fleet:
        yield fleet


async def test_a_command_runs_in_the_hosts_own_home(fleet: SshFleet) -> None:
    async with await connect(fleet, "fra1-02") as connection:
        result = await connection.run('pwd; echo "$HOME $USER"; exit 7')

    folder = fleet.host("fra1-02").folder
    assert (7, f"{folder}\n{folder} deploy\n") == (result.exit_status, result.stdout)


async def test_a_signal_is_reported(fleet: SshFleet) -> None:
    async with await connect(fleet, "fra1-01") as connection:
        result = await connection.run("kill -KILL $$")

    assert result.exit_signal is not None
    assert result.exit_signal[0] == "KILL"


async def test_standard_input_and_output_are_binary_clean(fleet: SshFleet) -> None:
    data = bytes(range(256)) * 20_000
    async with await connect(fleet, "fra1-01") as connection:
        result = await connection.run("tee copy; echo no >&2", input=data, encoding=None)

    assert data == result.stdout
    assert result.stderr == b"no\n"
    assert data == (Path(fleet.host("fra1-01").folder) / "copy").read_bytes()


async def test_a_command_that_does_not_read_its_input_ends(fleet: SshFleet) -> None:
    async with await connect(fleet, "fra1-01") as connection:
        result = await connection.run("exit 3", input=b"x" * 3_000_000, encoding=None)

    assert result.exit_status == 3


async def test_hosts_are_reached_side_by_side(fleet: SshFleet) -> None:
    async with await connect(fleet, "fra1-01") as one, await connect(fleet, "ams1-01") as other:
        results = await asyncio.gather(*(c.run("pwd") for c in (one, other) * 10))

    assert {Path(str(r.stdout).strip()).name for r in results} == {"fra1-01", "ams1-01"}


async def test_the_wrong_client_key_is_refused(fleet: SshFleet) -> None:
    host = fleet.host("fra1-01")
    stranger = asyncssh.generate_private_key("ssh-ed25519")

    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(
            host.address, host.port, username=host.user, client_keys=[stranger], known_hosts=None
        )


async def test_a_port_of_the_host_is_reached_through_the_connection(fleet: SshFleet) -> None:
    host = fleet.host("fra1-01")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello " + await reader.readline())
        writer.close()

    async with (
        await asyncio.start_server(answer, "127.0.0.1", host.app_port),
        await connect(fleet, "fra1-01") as connection,
    ):
        reader, writer = await connection.open_connection("127.0.0.1", host.app_port)
        writer.write(b"there\n")
        assert await reader.read() == b"hello there\n"
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("192.0.2.1", 80)


async def test_a_refusing_host_accepts_again_on_the_same_port(fleet: SshFleet) -> None:
    connection = await connect(fleet, "fra1-01")
    await fleet.refuse("fra1-01")
    await asyncio.wait_for(connection.wait_closed(), 10)

    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await connect(fleet, "fra1-01")
    async with await connect(fleet, "fra1-02") as other:
        assert (await other.run("true")).exit_status == 0
    await fleet.accept("fra1-01")
    async with await connect(fleet, "fra1-01") as again:
        assert (await again.run("true")).exit_status == 0


async def test_another_host_key_is_noticed(fleet: SshFleet) -> None:
    host = fleet.host("fra1-01")
    await fleet.rekey("fra1-01")

    assert host.host_key != fleet.host("fra1-01").host_key
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect(
            host.address,
            host.port,
            username=host.user,
            client_keys=[str(fleet.client_key)],
            known_hosts=asyncssh.import_known_hosts(
                f"[{host.address}]:{host.port} {host.host_key}\n"
            ),
        )
    async with await connect(fleet, "fra1-01") as connection:
        assert (await connection.run("true")).exit_status == 0


async def test_a_command_outlives_its_connection(fleet: SshFleet) -> None:
    folder = Path(fleet.host("fra1-01").folder)
    connection = await connect(fleet, "fra1-01")
    process = await connection.create_process("echo on; sleep 1; echo done >result")
    assert await process.stdout.readline() == "on\n"
    await fleet.cut("fra1-01")
    await connection.wait_closed()

    assert not (folder / "result").exists()
    await eventually((folder / "result").exists)


async def test_the_input_of_a_command_ends_with_its_connection(fleet: SshFleet) -> None:
    folder = Path(fleet.host("fra1-01").folder)
    connection = await connect(fleet, "fra1-01")
    process = await connection.create_process("echo on; cat >input; echo done >result")
    assert await process.stdout.readline() == "on\n"
    await fleet.cut("fra1-01")

    await eventually((folder / "result").exists)


async def test_everything_on_a_host_is_killed_and_nothing_elsewhere(fleet: SshFleet) -> None:
    # A daemon in a session of its own, with an environment that was cleaned.
    daemon = (
        'env -i HOME="$HOME" PATH="$PATH" setsid sh -c \'echo $$ >pid; exec sleep 600\''
        " </dev/null >/dev/null 2>&1 & while ! test -s pid; do sleep 0.01; done; cat pid"
    )
    pids: dict[str, int] = {}
    for name in ("fra1-01", "fra1-02"):
        async with await connect(fleet, name) as connection:
            pids[name] = int(str((await connection.run(daemon, check=True)).stdout))
    assert all(alive(pid) for pid in pids.values())

    assert await fleet.kill_processes("fra1-01") >= 1

    assert not alive(pids["fra1-01"])
    assert alive(pids["fra1-02"])
    await fleet.close()
    assert not alive(pids["fra1-02"])


def alive(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


async def test_sessions_are_limited_where_asked_for(tmp_path: Path) -> None:
    async with (
        SshFleet(tmp_path, {"fra1": 1}, max_sessions=1) as fleet,
        await connect(fleet, "fra1-01") as connection,
    ):
        process = await connection.create_process("cat")
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("true")
        process.stdin.write_eof()
        await process.wait()


async def test_a_folder_is_used_again_with_the_same_keys(tmp_path: Path) -> None:
    async with SshFleet(tmp_path, {"fra1": 1}) as fleet:
        before = fleet.host("fra1-01").host_key
    async with SshFleet(tmp_path, {"fra1": 1}) as fleet:
        assert before == fleet.host("fra1-01").host_key
        async with await connect(fleet, "fra1-01") as connection:
            assert (await connection.run("true")).exit_status == 0


async def test_a_fleet_as_a_program_obeys_and_stops(tmp_path: Path) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "apollo.testing.fleet", str(tmp_path), "--locations", "fra1:2,ams1:1", "--control"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    try:
        ready = json.loads(await program.stdout.readline())
        assert [host["name"] for host in ready["hosts"]] == ["fra1-01", "fra1-02", "ams1-01"]
        assert ready["inventory"] == str(tmp_path / "inventory.yaml")
        program.stdin.write(b"refuse fra1-01\n")
        assert json.loads(await program.stdout.readline())["done"]
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", ready["hosts"][0]["port"])
    finally:
        program.stdin.close()
    assert await asyncio.wait_for(program.wait(), 20) == 0
