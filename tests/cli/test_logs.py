"""What ``wsframework run`` writes about its clients: lines of text, lines of JSON, or nothing."""

import json
import re
import signal
import urllib.request
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from tests.cli.command import PATIENCE, Served, serve
from tests.net.servers import ServedOverSockets
from wsframework.cli import main

APP = """
import time
from wsframework import App, WebSocketEndpoint

app = App()
@app.websocket("/")
class Slow(WebSocketEndpoint):
    async def on_receive(self, websocket, data):
        time.sleep(float(data))
        await websocket.send_text("done")

@app.route("/page")
async def page(request):
    print("somebody reads")
    return "a page"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def visit(served: Served, seconds: float = 0) -> None:
    """Send one message, which blocks the loop for so long, then ask for a page."""

    async def run() -> None:
        with trio.fail_after(PATIENCE):
            async with ServedOverSockets(served.url).connect("/?token=secret") as client:
                await client.send(str(seconds))
                assert await client.receive() == "done"
                await client.close(4000, "bye")

    trio.run(run)
    urllib.request.urlopen(f"{served.url}/page", timeout=PATIENCE).close()


def test_lines_of_text(folder: Path) -> None:
    """They go to standard output, each with its time; a WebSocket and a page have one each, without their queries."""
    with serve("app.py", folder=folder) as served:
        visit(served)
        result = served.stop(signal.SIGTERM)
    lines = sorted(re.findall(r'^[-\d]{10} [:\d]{8},\d{3} 127\.0\.0\.1:\d+ (".*)$', result.out, re.MULTILINE))
    assert re.fullmatch(r'"GET /" 101 -> 4000 \d\.\d{3}s in 1/18B out 1/13B "bye"', lines[0])
    assert re.fullmatch(r'"GET /page" 200 \d\.\d{3}s in 0B out 6B', lines[1])
    assert len(lines) == 2
    assert "secret" not in result.out + result.err
    assert "Traceback" not in result.err


def test_lines_of_json(folder: Path) -> None:
    """Standard output has nothing but JSON; what the application prints, and what we say, goes to standard error."""
    with serve("app.py", "--access-log", "json", folder=folder, announced_on_stderr=True) as served:
        visit(served)
        result = served.stop(signal.SIGTERM)
    lines = sorted((json.loads(line) for line in result.out.splitlines()), key=lambda line: str(line["type"]))
    assert [(line["type"], line["path"], line["status"]) for line in lines] == [
        ("http", "/page", 200),
        ("websocket", "/", 101),
    ]
    assert lines[1]["close_code"] == 4000
    assert "stopping" in result.err
    assert "somebody reads" in result.err


def test_no_lines(folder: Path) -> None:
    """Nothing is written about clients when nobody wants to know."""
    with serve("app.py", "--access-log", "off", folder=folder) as served:
        visit(served)
        result = served.stop(signal.SIGTERM)
    assert "GET" not in result.out + result.err


def test_a_level_hides_them(folder: Path) -> None:
    """A line is an INFO; who wants warnings only gets warnings only."""
    with serve("app.py", "--log-level", "warning", folder=folder) as served:
        visit(served)
        result = served.stop(signal.SIGTERM)
    assert "GET" not in result.out
    assert result.err == ""


def test_a_handler_that_blocks_is_named(folder: Path) -> None:
    """The warning comes on standard error, with the hook's name and its line; zero seconds are no watchdog."""
    errors = folder / "errors.txt"
    with serve("app.py", "--watchdog", "0.05", folder=folder, errors=errors) as served:
        for seconds in (0.5, 2, 10):  # a machine that is busy may not run the watchdog any sooner
            visit(served, seconds)
            if "WARNING" in errors.read_text():
                break
        served.stop(signal.SIGTERM)
    told = errors.read_text()
    assert re.search(r"WARNING wsframework\.server: the event loop has been blocked for \d+\.\d s", told)
    assert f"by Slow.on_receive ({folder / 'app.py'}:9)" in told
    with serve("app.py", "--watchdog", "0", folder=folder) as served:
        visit(served, 0.1)
        assert "WARNING" not in served.stop(signal.SIGTERM).err


def test_health(folder: Path) -> None:
    """The two paths are answered where they are asked for, and are not in the access log."""
    with serve("app.py", "--health", folder=folder) as served:
        for path in ("/healthz", "/readyz"):
            with urllib.request.urlopen(served.url + path, timeout=PATIENCE) as response:
                assert response.read() == b"ok\n"
        assert "healthz" not in served.stop(signal.SIGTERM).out


def test_a_wrong_choice_is_told() -> None:
    """The choices are shown."""
    result = CliRunner().invoke(main, ["run", "app.py", "--access-log", "xml"])
    assert result.exit_code == 2
    assert "'text', 'json', 'off'" in result.output
