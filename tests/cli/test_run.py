"""``wsframework run`` as a person meets it: what it prints, how it stops, and what it says when it cannot start."""

import importlib
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trustme
from click.testing import CliRunner

from tests.cli.command import PATIENCE, Result, run, serve
from tests.net.servers import ServedOverSockets
from wsframework import CloseCode
from wsframework.cli import main
from wsframework.cli.command import ELSEWHERE
from wsframework.cli.limit import parse_limit

ECHO = Path(__file__).parents[2] / "examples" / "echo" / "app.py"
CLOSING = """
from wsframework import App, WebSocketEndpoint

app = App()

@app.route("/")
async def index(request):
    return "a front page"

@app.websocket("/")
class Noisy(WebSocketEndpoint):
    async def on_connect(self, websocket):
        await websocket.accept()
        await websocket.send_text("welcome")

    async def on_disconnect(self, websocket, close_code):
        print("gone with", close_code, flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place with programs of which most cannot be served."""
    for name, text in {
        "good.py": CLOSING,
        "good_neighbour.py": "from good import app",
        "bare.py": "greeting = 'hello'",
        "named.py": "from wsframework import App\nchat = App()",
        "number.py": "app = 3",
        "factory.py": "def make_app(): ...",
        "wsgi.py": "def app(environ, start_response): ...",
        "syntax.py": "def app(:",
        "imports.py": "import no_such_thing",
        "raises.py": "def work():\n    raise LookupError('where is my towel')\nwork()",
        "notes.txt": "app",
        "lifespan.py": "from wsframework import App\nfrom contextlib import asynccontextmanager\n"
        "@asynccontextmanager\nasync def lifespan(app):\n    raise LookupError('where is my towel')\n    yield\n"
        "app = App(lifespan=lifespan)",
        "endless.py": "from wsframework import App\nfrom contextlib import asynccontextmanager\nimport trio\n"
        "@asynccontextmanager\nasync def lifespan(app):\n    print('http://starting', flush=True)\n"
        "    await trio.sleep_forever()\n    yield\n"
        "app = App(lifespan=lifespan)",
        "package/__init__.py": "",
        "package/inside.py": "from good import app as served",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "plain").mkdir()
    return tmp_path


@pytest.fixture
def invoke(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command in this process, which is quicker, for when it ends by itself."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in [path.stem for path in folder.glob("*.py")] + ["package", "package.inside"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(main, arguments, prog_name="wsframework", catch_exceptions=False)
        return Result(result.exit_code, result.stdout, result.stderr)

    return invoke


def check_refused(result: Result, message: str) -> None:
    """It said this one sentence, without a traceback and without serving."""
    assert result.code not in (0, None)
    assert result.out == ""
    *usage, sentence = result.err.strip().splitlines()
    assert sentence == f"Error: {message}"
    # click shows how to use a command when it is the options that are wrong.
    assert all(line.startswith(("Usage: ", "Try ")) or not line for line in usage)


# It serves


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, CloseCode.GOING_AWAY), (signal.SIGTERM, CloseCode.SERVICE_RESTART)]
)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other ways to end a process")
def test_serves_until_told_to_stop(folder: Path, number: int, code: CloseCode) -> None:
    """It prints one line with the URL and serves; a signal has it say goodbye to its clients and exit with 0.

    Ctrl+C is for good, and SIGTERM is how services are restarted: clients may come back.
    """
    with serve("good.py", "--access-log", "off", folder=folder) as served:
        assert re.fullmatch(
            r"wsframework serves good\.py on http://127\.0\.0\.1:\d+ \(Ctrl\+C to stop\)\n", served.line
        )
        with urllib.request.urlopen(served.url, timeout=PATIENCE) as page:
            assert page.read() == b"a front page"

        async def stay() -> Result:
            results: list[Result] = []

            async def stop() -> None:
                results.append(await trio.to_thread.run_sync(served.stop, number))

            with trio.fail_after(PATIENCE):
                async with trio.open_nursery() as nursery, ServedOverSockets(served.url).connect() as client:
                    assert await client.receive() == "welcome"
                    nursery.start_soon(stop)
                    assert (await client.wait_closed()).code == code
            return results[0]

        result = trio.run(stay)
    assert (result.code, result.out) == (0, f"stopping\ngone with {int(code)}\n")
    assert not re.search("WARNING|ERROR|Traceback", result.err)


@pytest.mark.parametrize("target", ["good", "good:app", "good.py:app", "good_neighbour.py", "package.inside:served"])
def test_ways_to_name_an_application(folder: Path, target: str) -> None:
    """A module, a file, with a name or without; a file finds its neighbours."""
    with serve(target, folder=folder) as served, urllib.request.urlopen(served.url, timeout=PATIENCE) as page:
        assert page.read() == b"a front page"


def test_file_in_another_folder(folder: Path) -> None:
    """A path from elsewhere works, and the file still finds its neighbours."""
    with (
        serve(str(folder / "good_neighbour.py"), folder=folder / "plain") as served,
        urllib.request.urlopen(served.url, timeout=PATIENCE) as page,
    ):
        assert page.read() == b"a front page"


def test_several_binds_and_tls(folder: Path) -> None:
    """Every bind is in the line, and with a certificate the URLs are https."""
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    options = ["--certfile", "certificate.pem", "--keyfile", "key.pem", "-b", "127.0.0.1:0", "-b", "127.0.0.1:0"]
    with serve("good.py", *options, folder=folder) as served:
        assert len(re.findall(r"https://127\.0\.0\.1:\d+", served.line)) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other ways to end a process")
def test_stop_while_starting(folder: Path) -> None:
    """Ctrl+C stops an application that never finishes its startup."""
    with serve("endless.py", folder=folder) as served:
        assert served.line == "http://starting\n"
        assert served.stop(signal.SIGINT) == Result(0, "stopping\n", "")


# It says why not


def test_bad_input_in_a_process_of_its_own(folder: Path) -> None:
    """One sentence is really all that comes out, and the exit status tells of it."""
    message = "there is no module 'missing' here; write module:app or path/to/file.py"
    check_refused(run("run", "missing:app", folder=folder), message)
    syntax = run("run", "syntax.py", folder=folder)
    assert syntax.code == 1
    assert syntax.err.startswith("Error: syntax.py cannot be loaded:\n  File ")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("missing:app", "there is no module 'missing' here; write module:app or path/to/file.py"),
        ("missing.inside:app", "there is no module 'missing' here; write module:app or path/to/file.py"),
        ("package.missing:app", "there is no module 'package.missing' here; write module:app or path/to/file.py"),
        ("package", "there is no 'app' in package; name the application as in package:name"),
        ("bare.py", "there is no 'app' in bare.py; name the application as in bare.py:name"),
        ("bare:greeting.wrong", "there is no 'greeting.wrong' in bare; name the application as in bare:name"),
        ("named.py", "there is no 'app' in named.py; write named.py:chat"),
        ("missing.py", "there is no file missing.py"),
        ("elsewhere/missing.py:app", "there is no file elsewhere/missing.py"),
        ("plain", "plain is a folder; name the file in it, such as plain/app.py"),
        ("./plain", "plain is a folder; name the file in it, such as plain/app.py"),
        ("package/", "package is a folder; name the file in it, such as package/app.py"),
        ("notes.txt", "notes.txt is no Python file, which ends in .py"),
        ("number.py", "'app' in number.py is no application, but of type int"),
        ("wsgi:app", "'app' in wsgi is no ASGI application: it does not take scope, receive, send"),
        (
            "factory.py:make_app",
            "'make_app' in factory.py is no ASGI application: it does not take scope, receive, send. "
            "If it makes one, write `app = make_app()` in factory.py, and name that",
        ),

        ("", "'' does not name an application; write module:app or path/to/file.py"),
        (":app", "':app' does not name an application; write module:app or path/to/file.py"),
        ("good.py:", "'good.py:' does not name an application; write module:app or path/to/file.py"),
    ],
)  # fmt: skip
@pytest.mark.skipif(sys.platform == "win32", reason="the paths are written with slashes")
def test_no_application(invoke: Callable[..., Result], target: str, message: str) -> None:
    """What does not name an application gets one sentence."""
    check_refused(invoke("run", target), message)


@pytest.mark.parametrize(
    ("target", "last"),
    [
        ("syntax.py", "SyntaxError: invalid syntax"),
        ("imports.py", "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("imports", "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("raises.py", "LookupError: where is my towel"),
        ("lifespan.py", "LookupError: where is my towel"),
    ],
)
def test_error_in_the_program(invoke: Callable[..., Result], target: str, last: str) -> None:
    """An error in the program's own code is shown where it is, without our own code around it."""
    result = invoke("run", target)
    assert result.code == 1
    assert result.out == ""
    first, *_, end = result.err.strip().splitlines()
    assert end == last
    assert first in (f"Error: {target} cannot be loaded:", "Error: the application cannot start:")
    assert target.removesuffix(".py") + '.py", line' in result.err
    assert "click" not in result.err
    assert "importlib" not in result.err


def test_address_that_is_taken(folder: Path) -> None:
    """A port in use is named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("run", "good.py", "--bind", address, folder=folder)
    check_refused(result, f"cannot listen on {address}: the address is in use by another program")


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        ("8000", "cannot listen on 8000: write host:port, such as 127.0.0.1:8000"),
        ("", "cannot listen on '': write host:port, such as 127.0.0.1:8000"),
        ("localhost:http", "cannot listen on localhost:http: 'http' is no port, which is a number up to 65535"),
        ("127.0.0.1:70000", "cannot listen on 127.0.0.1:70000: '70000' is no port, which is a number up to 65535"),
        ("203.0.113.1:8000", "cannot listen on 203.0.113.1:8000: this machine has no such address"),
        ("nobody.invalid:8000", "cannot listen on nobody.invalid:8000: this host name is not known"),
        ("::1:8000", "cannot listen on ::1:8000: an IPv6 address stands in brackets, such as [::1]:8000"),
        (
            "http://[::1]",
            "cannot listen on http://[::1]: write host:port and nothing before it, such as 127.0.0.1:8000",
        ),
        ("unix:", "cannot listen on unix:: write unix: and a path, such as unix:/run/chat.sock"),
        ("fd://x", "cannot listen on fd://x: write fd:// and the number of an open descriptor, such as fd://3"),
    ],
)
def test_address_that_cannot_work(invoke: Callable[..., Result], bind: str, message: str) -> None:
    """An address that cannot be bound is named, with the reason."""
    check_refused(invoke("run", "good.py", "--bind", bind), message)


def test_certificate_and_key(invoke: Callable[..., Result]) -> None:
    """They come together, exist, and are what they are said to be."""
    together = "--certfile and --keyfile go together"
    check_refused(invoke("run", "good.py", "--certfile", "notes.txt"), together)
    check_refused(invoke("run", "good.py", "--keyfile", "notes.txt"), together)
    files = ["--certfile", "notes.txt", "--keyfile", "missing.pem"]
    missing = "Invalid value for '--keyfile': File 'missing.pem' does not exist."
    check_refused(invoke("run", "good.py", *files), missing)
    files = ["--certfile", "notes.txt", "--keyfile", "notes.txt"]
    result = invoke("run", "good.py", "--bind", "127.0.0.1:0", *files)
    check_refused(result, "notes.txt and notes.txt are no certificate and its key in PEM format")


def test_wrong_options(invoke: Callable[..., Result]) -> None:
    """click's own sentences do for a missing argument, an unknown option and an unknown command."""
    check_refused(invoke("run"), "Missing argument 'APP'.")
    check_refused(invoke("run", "good.py", "--colour", "1"), "No such option '--colour'.")
    assert invoke("serve").code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--uds", "x.sock"], "There is no option --uds here. In its place: --bind unix:/path/of/the.sock"),
        (["-w", "4"], "There is no option -w here. In its place: --workers"),
        (["--loop", "uvloop"], "There is no option --loop here. In its place: nothing, since there is no choice"),
    ],
)
def test_options_of_other_servers(invoke: Callable[..., Result], arguments: list[str], words: str) -> None:
    """What people are used to writing is said in the words of this command."""
    check_refused(invoke("run", "good.py", *arguments), words)


def test_what_stands_for_them_works() -> None:
    """The options that the hints name are there, and a limit has such a name and such a value."""
    for hint in ELSEWHERE.values():
        option, _, value = hint.partition(" ")
        if option.startswith("-"):
            assert any(option in parameter.opts for parameter in main.commands["run"].params), hint
        if option == "--limit":
            parse_limit(value)


def test_help_and_version(invoke: Callable[..., Result]) -> None:
    """The help names the command, its argument and its options; the version is the package's."""
    overview = invoke("--help")
    assert overview.code == 0
    assert "wsframework run path/to/file.py" in overview.out
    assert "run  Serve an application until Ctrl+C." in overview.out
    details = invoke("run", "-h")
    assert details.code == 0
    for words in ("APP is the path of a file", "--bind", "default:", "127.0.0.1:8000", "--certfile", "--log-level"):
        assert words in details.out
    assert re.fullmatch(r"wsframework, version \d+\.\d+\.\d+\n", invoke("--version").out)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_the_limit_of_open_files(tmp_path: Path) -> None:
    """It is raised as far as the system lets us: a connection is an open file."""
    import resource

    program = "import resource\nprint('files', resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    (tmp_path / "limits.py").write_text(program, "utf-8")  # without an application, so the command ends
    hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 4096)
    done = subprocess.run(
        [sys.executable, "-m", "wsframework", "run", "limits.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard)),
        check=False,
    )
    assert f"files ({hard}, {hard})" in done.stdout
