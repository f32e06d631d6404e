"""``--workers`` and ``--reload`` with real processes: sockets are shared, nobody stays behind, options reach them."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme

from tests.cli.command import PATIENCE, Result, Served, run, serve
from tests.net.servers import ServedOverSockets
from wsframework import CloseCode
from wsframework.testing import Client

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sockets are passed on as descriptors")

APP = """
import os
from wsframework import App, WebSocketEndpoint

app = App()

@app.route("/")
async def index(request):
    return str(os.getpid())

@app.websocket("/")
class Pid(WebSocketEndpoint):
    async def on_connect(self, websocket):
        await websocket.accept()
        await websocket.send_text(str(os.getpid()))

    async def on_receive(self, websocket, message):
        if message == "crash":
            os._exit(3)
        if message == "environment":
            message = ",".join(name for name in os.environ if "WSFRAMEWORK_WORKER" in name)
        await websocket.send_text(message)
"""
STUBBORN = """
import time
from wsframework import App
app = App()

@app.websocket("/")
async def stubborn(websocket):
    await websocket.accept()
    await websocket.send_text("now")
    time.sleep(60)
"""

QUIET = ("--access-log", "off")
PATIENT = ("--workers", "1", "--drain-timeout", "100")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    (tmp_path / "broken.py").write_text("raise LookupError('where is my towel')")
    (tmp_path / "dying.py").write_text("import os\nos._exit(7)")
    (tmp_path / "plain.py").write_text("async def app(scope, receive, send): ...")
    return tmp_path


@asynccontextmanager
async def connected(served: Served) -> AsyncIterator[tuple[Client, int]]:
    """A client, and the process that serves it."""
    async with ServedOverSockets(served.url).connect() as client:
        yield client, int(str(await client.receive()))


async def meet(served: Served, stack: AsyncExitStack, count: int) -> dict[int, Client]:
    """Connect until so many processes have been met, and return a client of each."""
    clients: dict[int, Client] = {}
    while True:
        async with AsyncExitStack() as attempt:
            client, pid = await attempt.enter_async_context(connected(served))
            if pid not in clients:
                clients[pid] = client
                stack.push_async_exit(attempt.pop_all())
        if len(clients) == count:
            return clients
        # The system has several processes race for a connection, and one that has just served is the quickest.
        await trio.sleep(0.01)


async def told(client: Client) -> int:
    client.deadline = PATIENCE  # a new interpreter has to start before
    return (await client.wait_closed()).code


async def stop(served: Served, number: int) -> Result:
    return await trio.to_thread.run_sync(served.stop, number)


async def wait_gone(pid: int) -> None:
    """Wait until there is no such process."""
    while Path(f"/proc/{pid}/stat").exists() if Path("/proc").exists() else _exists(pid):  # noqa: ASYNC110, ASYNC240
        await trio.sleep(0.02)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


# They serve


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, CloseCode.SERVICE_RESTART), (signal.SIGINT, CloseCode.GOING_AWAY)]
)
async def test_two_workers_share_a_port(folder: Path, number: int, code: CloseCode) -> None:
    """One line says that both serve, both accept from a port that the system chose, and a signal drains both."""
    with serve("app.py", *QUIET, "--workers", "2", folder=folder) as served, trio.fail_after(PATIENCE):
        assert re.fullmatch(
            r"wsframework serves app\.py on http://127\.0\.0\.1:\d+ with 2 workers \(Ctrl\+C to stop\)\n", served.line
        )
        async with AsyncExitStack() as stack:
            clients = await meet(served, stack, 2)
            assert served.pid not in clients
            served.signal(number)
            assert [await told(client) for client in clients.values()] == [code, code]
        result = await trio.to_thread.run_sync(served.wait)
    assert (result.code, result.out) == (0, "stopping\n")
    for pid in clients:
        await wait_gone(pid)
    [warning] = re.findall(r".*WARNING.*", result.err)
    assert re.search(r" (\d+) WARNING wsframework\.server: 2 workers have a hub each", warning)[1] in map(str, clients)  # type: ignore[index]
    assert "Traceback" not in result.err
    assert "ERROR" not in result.err


async def test_one_worker_is_replaced_too(folder: Path) -> None:
    """--workers 1 has a parent, which is what replaces it, and no reason to warn."""
    with serve("app.py", "--workers", "1", folder=folder) as served, trio.fail_after(PATIENCE):
        assert "with 1 worker (" in served.line
        async with connected(served) as (client, first):
            await client.send("crash")
            assert await told(client) == CloseCode.ABNORMAL_CLOSURE
        async with connected(served) as (_, second):
            assert second != first
        result = await stop(served, signal.SIGTERM)
    assert result.code == 0
    assert re.search(rf"worker {first} ended with exit code 3; the next one starts in 0\.5 s", result.err)
    assert "WARNING" not in result.err


async def test_no_warning_without_a_hub(folder: Path) -> None:
    """An application that has no hub is not warned about one."""
    with serve("plain.py", "--workers", "2", folder=folder) as served:
        result = await stop(served, signal.SIGTERM)
    assert result.code == 0
    assert "WARNING" not in result.err


async def test_a_crash_does_not_hurt_the_other(folder: Path) -> None:
    """Clients of the other worker notice nothing, and new ones are served."""
    with serve("app.py", *QUIET, "--workers", "2", folder=folder) as served, trio.fail_after(PATIENCE):
        async with AsyncExitStack() as stack:
            (first, first_client), (second, second_client) = (await meet(served, stack, 2)).items()
            await first_client.send("crash")
            assert await told(first_client) == CloseCode.ABNORMAL_CLOSURE
            await second_client.send("still there?")
            assert await second_client.receive() == "still there?"
            [third] = set(await meet(served, stack, 2)) - {second}
            assert third != first
        assert (await stop(served, signal.SIGTERM)).code == 0


async def test_options_reach_the_workers(folder: Path) -> None:
    """A limit of the command line closes a client; the variable for the worker is not left in its environment."""
    options = ["--workers", "1", "--limit", "message=1KiB"]
    with serve("app.py", *options, folder=folder) as served, trio.fail_after(PATIENCE):
        async with connected(served) as (client, _):
            await client.send("environment")
            assert await client.receive() == ""
            await client.send("x" * 1025)
            assert await told(client) == CloseCode.MESSAGE_TOO_BIG


async def test_tls(folder: Path) -> None:
    """The workers have the certificate."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    options = ["--workers", "2", "--certfile", "certificate.pem", "--keyfile", "key.pem"]
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serve("app.py", *options, folder=folder) as served, trio.fail_after(PATIENCE):
        async with ServedOverSockets(served.url, context).connect() as client:
            assert int(str(await client.receive())) != served.pid


async def test_unix_socket(folder: Path) -> None:
    """A worker that ends leaves the socket's file where it is; the parent takes it away."""
    path = folder / "app.sock"
    with (
        serve("app.py", "--workers", "1", "--bind", f"unix:{path}", folder=folder) as served,
        trio.fail_after(PATIENCE),
    ):
        async with connected(served) as (_, pid):
            os.kill(pid, signal.SIGTERM)
        await wait_gone(pid)
        assert path.exists()
        async with connected(served) as (_, other):
            assert other != pid
        assert (await stop(served, signal.SIGTERM)).code == 0
    assert not path.exists()


# They stop


async def test_a_killed_parent_takes_its_workers_with_it(folder: Path) -> None:
    """SIGKILL leaves the parent no time to say anything; the workers drain and end all the same."""
    with serve("app.py", *QUIET, "--workers", "2", folder=folder) as served, trio.fail_after(PATIENCE):
        async with AsyncExitStack() as stack:
            clients = await meet(served, stack, 2)
            served.signal(signal.SIGKILL)
            assert [await told(client) for client in clients.values()] == [CloseCode.SERVICE_RESTART] * 2
        for pid in clients:
            await wait_gone(pid)


async def test_a_signal_to_every_process_is_one_wish(folder: Path) -> None:
    """A service manager may tell all processes of a service to stop; it is no second signal for any of them."""
    with serve("app.py", *QUIET, "--workers", "2", folder=folder) as served, trio.fail_after(PATIENCE):
        async with AsyncExitStack() as stack:
            clients = await meet(served, stack, 2)
            served.signal(signal.SIGTERM)
            for pid in clients:
                os.kill(pid, signal.SIGTERM)
            assert [await told(client) for client in clients.values()] == [CloseCode.SERVICE_RESTART] * 2
        result = await trio.to_thread.run_sync(served.wait)
    assert result.code == 0
    assert "ERROR" not in result.err


async def test_a_second_signal_forces(folder: Path) -> None:
    """A worker that does not listen any more is killed, and the exit code says that not all went well."""
    with serve("stubborn.py", *QUIET, *PATIENT, folder=folder) as served, trio.fail_after(PATIENCE):
        async with ServedOverSockets(served.url).connect() as client:
            assert await client.receive() == "now"
            served.signal(signal.SIGINT)
            assert await trio.to_thread.run_sync(served.next_line) == "stopping\n"
            await trio.sleep(0.4)  # sooner, it would count as the same wish
            result = await stop(served, signal.SIGINT)
    assert (result.code, result.out) == (1, "stopping at once\n")
    assert "has not ended in time; it is killed" in result.err


async def test_restart_on_sighup(folder: Path) -> None:
    """Every worker is replaced, and there is always one that serves."""
    with serve("app.py", *QUIET, "--workers", "2", folder=folder) as served, trio.fail_after(PATIENCE):
        async with AsyncExitStack() as stack:
            old = await meet(served, stack, 2)
            served.signal(signal.SIGHUP)
            assert [await told(client) for client in old.values()] == [CloseCode.SERVICE_RESTART] * 2
        for pid in old:
            await wait_gone(pid)
        async with AsyncExitStack() as stack:
            new = await meet(served, stack, 2)
        assert not set(old) & set(new)
        assert (await stop(served, signal.SIGTERM)).code == 0


# They do not start


@pytest.mark.parametrize("option", [["--workers", "3"], ["--reload"]])
def test_an_application_that_cannot_start(folder: Path, option: list[str]) -> None:
    """It is said once, and that is the end of it."""
    result = run("run", "broken.py", "--port", "0", *option, folder=folder)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Error: broken.py cannot be loaded:\nTraceback")
    assert result.err.count("LookupError: where is my towel") == 1
    assert result.err.count("Traceback") == 1
    result = run("run", "missing.py", "--port", "0", *option, folder=folder)
    assert result == Result(1, "", "Error: there is no file missing.py\n")


def test_a_worker_that_dies_without_a_word(folder: Path) -> None:
    """There is no restart loop for an application that has never served."""
    result = run("run", "dying.py", "--port", "0", "--workers", "1", folder=folder)
    assert result.code == 1
    assert re.fullmatch(r"Error: worker \d+ ended with exit code 7 before it served\n", result.err)


def test_an_address_that_is_taken(folder: Path) -> None:
    """The parent binds, so it is the parent that says it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("run", "app.py", "--workers", "2", "--bind", address, folder=folder)
    assert result == Result(1, "", f"Error: cannot listen on {address}: the address is in use by another program\n")


# They reload


async def answer(served: Served) -> str:
    """Ask a new connection, and another one if the first meets a server that is just going."""
    while True:
        try:
            # The client never notices that a server closes the connection without any answer to its handshake.
            with trio.move_on_after(5):
                async with ServedOverSockets(served.url).connect() as client:
                    return str(await client.receive())
        except* Exception:
            await trio.sleep(0.02)


async def test_reload(folder: Path) -> None:
    """A save closes the clients with 1012, and who comes back meets the new program; a broken one waits for a save."""
    program = folder / "app.py"
    first = APP.replace("str(os.getpid())", "'first'")
    program.write_text(first)
    errors = folder / "errors.txt"
    with serve("app.py", *QUIET, "--reload", folder=folder, errors=errors) as served, trio.fail_after(2 * PATIENCE):
        assert "and reloads (" in served.line
        async with ServedOverSockets(served.url).connect() as client:
            assert await client.receive() == "first"
            begun = trio.current_time()
            program.write_text(first.replace("first", "second"))
            assert await told(client) == CloseCode.SERVICE_RESTART
        assert await answer(served) == "second"
        assert trio.current_time() - begun < PATIENCE  # less than one second on a machine that has time
        async with ServedOverSockets(served.url).connect() as client:
            assert await client.receive() == "second"
            program.write_text("app = App(")
            assert await told(client) == CloseCode.SERVICE_RESTART
        async with trio.open_nursery() as nursery:
            waiting: list[str] = []

            async def wait() -> None:
                waiting.append(await answer(served))

            nursery.start_soon(wait)  # it is not refused meanwhile
            while "waiting for a change" not in errors.read_text():  # noqa: ASYNC110
                await trio.sleep(0.02)
            assert waiting == []
            program.write_text(first.replace("first", "third"))
        assert waiting == ["third"]
        result = await stop(served, signal.SIGINT)
    assert (result.code, result.out) == (0, "stopping\n")
    assert "app.py changed, starting anew" in errors.read_text()
    assert "SyntaxError: '(' was never closed\nwaiting for a change" in errors.read_text()
    assert "Traceback" not in errors.read_text()
