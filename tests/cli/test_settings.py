"""What the options of ``wsframework run`` become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from wsframework import Limits
from wsframework.cli import main
from wsframework.cli.limit import Limit, parse_limit
from wsframework.cli.settings import Settings
from wsframework.cli.worker import worker_command

TARGET = "chat.py"


@pytest.mark.parametrize(
    ("options", "addresses"),
    [
        ({}, ["127.0.0.1:8000"]),
        ({"binds": ("0.0.0.0:80", "unix:/run/chat.sock")}, ["0.0.0.0:80", "unix:/run/chat.sock"]),
        ({"port": 9000}, ["127.0.0.1:9000"]),
        ({"port": 0}, ["127.0.0.1:0"]),
        ({"host": "0.0.0.0"}, ["0.0.0.0:8000"]),
        ({"host": "::", "port": 9000}, ["[::]:9000"]),
        ({"host": "[::1]", "port": 9000}, ["[::1]:9000"]),
    ],
)
def test_addresses(options: dict[str, Any], addresses: list[str]) -> None:
    """--bind as it is written, or --host and --port, each with a default."""
    assert Settings(target=TARGET, **options).config().bind == addresses


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"binds": ("127.0.0.1:80",), "port": 81}, "--host and --port are another way to write --bind"),
        ({"binds": ("127.0.0.1:80",), "host": "::1"}, "--host and --port are another way to write --bind"),
        ({"reload": True, "workers": 2}, "--reload and --workers do not go together"),
        ({"reload": True, "workers": 1}, "--reload and --workers do not go together"),
        ({"reload_dirs": (Path(),)}, "add --reload"),
        ({"reload_includes": ("*.html",)}, "add --reload"),
        ({"certfile": "cert.pem"}, "--certfile and --keyfile go together"),
        ({"keyfile": "key.pem"}, "--certfile and --keyfile go together"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    """One sentence says which, and what to do."""
    with pytest.raises(click.UsageError, match=message):
        Settings(target=TARGET, **options)


def test_limits() -> None:
    """Those that are named change, the others keep their defaults."""
    settings = Settings(target=TARGET, limit=(("message", 65536), ("ping_interval", None)))
    assert settings.limits() == Limits(message=65536, ping_interval=None)
    assert Settings(target=TARGET).limits() == Limits()


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, Limits().drain_timeout),
        ({"drain_timeout": 3.0}, 3),
        ({"limit": (("drain_timeout", 4.0),)}, 4),
        ({"drain_timeout": 3.0, "limit": (("drain_timeout", 4.0),)}, 3),
        ({"reload": True}, 0.5),
        ({"reload": True, "drain_timeout": 3.0}, 3),
        ({"reload": True, "limit": (("drain_timeout", 4.0),)}, 4),
    ],
)
def test_drain_timeout(options: dict[str, Any], seconds: float) -> None:
    """It has an option of its own, and is short where a person waits for it."""
    assert Settings(target=TARGET, **options).limits().drain_timeout == seconds


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("message=4194304", ("message", 4194304)),
        ("message=4MiB", ("message", 4 * 1024**2)),
        ("message=64 kib", ("message", 64 * 1024)),
        ("inbox_bytes=0.5GiB", ("inbox_bytes", 512 * 1024**2)),
        ("ping_timeout=2.5", ("ping_timeout", 2.5)),
        ("ping_interval=none", ("ping_interval", None)),
        ("connections=None", ("connections", None)),
        (" connections = 100 ", ("connections", 100)),
        ("bytes_per_second=1MiB", ("bytes_per_second", 1024**2)),
    ],
)
def test_parse_limit(text: str, limit: Limit) -> None:
    """Numbers, sizes with a unit, and none; a whole number stays one."""
    parsed = parse_limit(text)
    assert parsed == limit
    assert type(parsed[1]) is type(limit[1]) or limit[0] == "bytes_per_second"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("message", "'message' is no NAME=VALUE, such as message=4MiB."),
        ("size=3", "there is no limit 'size'; the limits are request_head, .*, drain_timeout."),
        ("message=", "message= is no number, and no size such as 64KiB or 4MiB."),
        ("message=big", "message=big is no number"),
        ("message=-1", "message=-1 is no number"),
        ("message=4MB", "message=4MB is no number"),
        ("message=0", r"Limits\(message=0\): a limit is a number above zero"),
        ("message=none", r"Limits\(message=None\): a limit is a number above zero"),
        ("message=1.5", "message=1.5 is no whole number."),
        ("ping_timeout=1KiB", "ping_timeout is a number of seconds, without a unit."),
    ],
)
def test_limit_that_cannot_be(text: str, message: str) -> None:
    """The sentence says what is wrong with it."""
    with pytest.raises(click.BadParameter, match=message):
        parse_limit(text)


def test_a_wrong_limit_is_refused_by_the_command() -> None:
    """It is shown as other wrong options are."""
    result = CliRunner().invoke(main, ["run", TARGET, "--limit", "message=0"])
    assert result.exit_code == 2
    assert "Error: Invalid value for '--limit': Limits(message=0)" in result.stderr


@pytest.mark.parametrize(
    ("options", "folders"),
    [
        ({}, [Path("chats")]),
        ({"target": "chats/app.py:chat"}, [Path("chats")]),
        ({"target": "chats.app:app"}, [Path()]),
        ({"target": "chats"}, [Path()]),
        ({"reload_dirs": (Path("elsewhere"),)}, [Path("elsewhere")]),
    ],
)
def test_what_reload_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], folders: list[Path]
) -> None:
    """The folder that the application is imported from, or those that are named."""
    (tmp_path / "chats").mkdir()
    (tmp_path / "chats" / "app.py").touch()
    monkeypatch.chdir(tmp_path)
    assert list(Settings(**{"target": "chats/app.py", "reload": True, **options}).folders) == folders


def test_worker_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is started as this process was, if it was started as the command, and else as a module."""
    monkeypatch.setattr("sys.executable", "/bin/python")
    arguments = ["chat.py", "--workers", "2"]
    monkeypatch.setattr("sys.orig_argv", ["python", "-X", "dev", "/bin/wsframework", "run", *arguments])
    assert worker_command(arguments) == ["/bin/python", "-X", "dev", "/bin/wsframework", "run", *arguments]
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", "pytest"])
    assert worker_command(arguments) == ["/bin/python", "-m", "wsframework", "run", *arguments]
