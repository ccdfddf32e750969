"""The netlayer unix: whose folder, whose socket, whose process."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from captp.errors import Unreachable, UsageError
from captp.model.locator import PeerLocator
from captp.net.base import Conduit
from captp.net.unix import UnixNetlayer, is_trusted_user


@pytest.fixture
def folder() -> Iterator[Path]:
    # pytest's own folders have paths too long for a socket on some machines.
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def locator(path: Path) -> PeerLocator:
    return PeerLocator.make("unix", "daemon", {"path": str(path)})


async def echo(conduit: Conduit) -> None:
    while data := await conduit.receive():
        conduit.send_nowait(data)


async def start(nursery: trio.Nursery, path: Path) -> None:
    server = UnixNetlayer(str(path))
    await nursery.start(lambda *, task_status: server.serve(echo, task_status=task_status))


async def answers(path: Path) -> bool:
    conduit = await UnixNetlayer().dial(locator(path))
    conduit.send_nowait(b"hi")
    answer = await conduit.receive()
    await conduit.aclose()
    return answer == b"hi"


async def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        await UnixNetlayer(str(path)).serve(echo)
    return str(caught.value)


async def test_the_socket_is_for_its_owner_alone_and_goes_with_its_listener(folder: Path) -> None:
    path = folder / "sock"
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await start(nursery, path)

            assert stat.S_IMODE(path.lstat().st_mode) == 0o600
            assert await answers(path)
            nursery.cancel_scope.cancel()

    assert not path.exists()


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o704, 0o750, 0o777])
async def test_a_folder_open_to_others_is_refused_with_the_way_to_close_it(folder: Path, mode: int) -> None:
    os.chmod(folder, mode)

    text = await refusal(folder / "sock")

    assert text == (f"the folder {folder} is open to others (mode {mode:o}); close it: chmod 700 {folder}")
    assert not (folder / "sock").exists()


async def test_a_folder_that_is_missing_is_refused_with_the_way_to_make_it(folder: Path) -> None:
    text = await refusal(folder / "no" / "sock")

    assert text.endswith(f"make its folder: mkdir -m 700 {folder / 'no'}")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
async def test_a_folder_of_another_user_is_refused(folder: Path) -> None:
    os.chown(folder, 65534, 65534)

    assert "belongs to user 65534" in await refusal(folder / "sock")

    os.chown(folder, 0, 0)


async def test_the_socket_of_a_dead_daemon_is_replaced(folder: Path) -> None:
    path = folder / "sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await start(nursery, path)

            assert await answers(path)
            nursery.cancel_scope.cancel()


async def test_the_socket_of_a_live_daemon_is_left_alone(folder: Path) -> None:
    path = folder / "sock"
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await start(nursery, path)

            assert "a live daemon listens there; stop it first" in await refusal(path)

            assert await answers(path)
            nursery.cancel_scope.cancel()


async def test_a_live_daemon_too_busy_to_answer_is_left_alone(folder: Path) -> None:
    path = folder / "sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))

        assert "a live daemon listens there" in await refusal(path)
        with pytest.raises(Unreachable, match="too many connections waiting; try again"):
            await UnixNetlayer().dial(locator(path))


async def test_a_file_that_is_no_socket_is_left_alone(folder: Path) -> None:
    path = folder / "sock"
    path.write_text("precious")

    assert "it is a file that is no socket" in await refusal(path)

    assert path.read_text() == "precious"


async def test_a_listener_removes_only_its_own_socket(folder: Path) -> None:
    path = folder / "sock"
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await start(nursery, path)
            path.rename(folder / "old")
            path.write_text("somebody else's")
            nursery.cancel_scope.cancel()

    assert path.read_text() == "somebody else's"


@pytest.mark.parametrize("name", ["x" * 120, "nul\0"])
async def test_a_path_that_no_socket_can_have_is_refused(folder: Path, name: str) -> None:
    assert (await refusal(folder / name)).startswith("cannot listen at ")
    assert os.listdir(folder) == []
    with pytest.raises(Unreachable, match="cannot connect to"):
        await UnixNetlayer().dial(locator(folder / name))


async def test_dialling_says_what_is_missing(folder: Path) -> None:
    netlayer = UnixNetlayer()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "dead"))

    with pytest.raises(Unreachable, match="expected a hint, as in"):
        await netlayer.dial(PeerLocator.make("unix", "daemon"))
    with pytest.raises(Unreachable, match=r"there is no socket .*; is the daemon running\?"):
        await netlayer.dial(locator(folder / "none"))
    with pytest.raises(Unreachable, match=r"nobody listens at .*; is the daemon running\?"):
        await netlayer.dial(locator(folder / "dead"))
    with pytest.raises(UsageError, match="no path to serve at"):
        await netlayer.serve(echo)


def test_only_the_own_user_and_root_are_trusted() -> None:
    assert is_trusted_user(os.geteuid())
    assert is_trusted_user(0)
    assert not is_trusted_user(os.geteuid() + 1)


CLIENT = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as sock:
    sock.settimeout(5)
    sock.connect(sys.argv[1])
    try:
        sock.sendall(b"hi")
        print("closed" if sock.recv(2) == b"" else "answered")
    except (BrokenPipeError, ConnectionResetError):
        print("closed")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to start a process of another user")
@pytest.mark.parametrize(("uid", "outcome"), [(65534, "closed"), (0, "answered")])
async def test_a_process_of_another_user_is_closed_even_when_the_modes_let_it_in(
    folder: Path, uid: int, outcome: str
) -> None:
    path = folder / "sock"
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await start(nursery, path)
            os.chmod(folder, 0o777)
            os.chmod(path, 0o777)

            done = await trio.run_process(
                [sys.executable, "-I", "-c", CLIENT, str(path), str(uid)],
                capture_stdout=True,
                stdin=subprocess.DEVNULL,
                cwd="/",
            )

            assert done.stdout.decode().strip() == outcome
            nursery.cancel_scope.cancel()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to start a process of another user")
async def test_a_listener_of_another_user_is_not_talked_to(folder: Path) -> None:
    path = folder / "sock"
    os.chmod(folder, 0o777)
    listener = (
        "import os, socket, sys; os.setuid(65534)\n"
        "sock = socket.socket(socket.AF_UNIX); sock.bind(sys.argv[1]); sock.listen()\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-I", "-c", listener, str(path)]
    with trio.fail_after(10):
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert await process.stdout.receive_some() == b"ready\n"

        with pytest.raises(Unreachable, match="belongs to user 65534"):
            await UnixNetlayer().dial(locator(path))

        await process.stdin.aclose()
        await process.wait()
        await process.stdout.aclose()
