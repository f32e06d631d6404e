"""What ``wsframework run`` was told: every option in one place.

An option is one field of `Settings`: its name, its type, and what click has to know. `with_settings` gives them to a
command, in this order. All processes of a service parse the same command line, so an option reaches the workers
without more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import attrs
import click
from hypercorn.config import Config

from ..forwarded import TRUSTED, ForwardedHeaders, Kind
from ..limits import Limits
from ..server.watchdog import PATIENCE
from .command import Option
from .limit import Limit, parse_limits

_DEFAULT_BIND = "127.0.0.1:8000"
_OPTION = "click"

# A person waits for the server of --reload to come back, and the clients are that person's own.
_DRAIN_TO_RELOAD = 0.5


def option(*names: str, **settings: Any) -> Any:
    """Make a field of `Settings` out of what ``click.option`` takes, except for the name of the parameter.

    The first option of a group has its ``heading``.
    """
    default = () if settings.get("multiple") else settings.get("default", False if settings.get("is_flag") else None)
    return attrs.field(default=default, metadata={_OPTION: (names, settings)})


@attrs.frozen(kw_only=True)
class Settings:
    """The command line of ``wsframework run``."""

    target: str

    binds: tuple[str, ...] = option(
        "--bind",
        "-b",
        heading="Where to listen",
        multiple=True,
        metavar="ADDRESS",
        help="Where to listen: host:port (port 0 takes a free one), unix:path or fd://number. May be given several "
        f"times.  [default: {_DEFAULT_BIND}]",
    )
    host: str | None = option(
        "--host", metavar="ADDRESS", help="The address to listen on, 127.0.0.1 by default. --bind takes both in one."
    )
    port: int | None = option(
        "--port", type=click.IntRange(0, 65535), metavar="NUMBER", help="The port to listen on, 8000 by default."
    )
    certfile: str | None = option(
        "--certfile",
        heading="TLS",
        type=click.Path(exists=True, dir_okay=False),
        help="A certificate in PEM format, to serve with TLS.",
    )
    keyfile: str | None = option(
        "--keyfile", type=click.Path(exists=True, dir_okay=False), help="The private key of the certificate."
    )

    workers: int | None = option(
        "--workers",
        heading="Processes",
        type=click.IntRange(1, 1024),
        metavar="NUMBER",
        help="Serve with so many processes, which share the sockets and have a hub each. One that crashes is replaced.",
    )
    reload: bool = option(
        "--reload",
        heading="While you develop",
        is_flag=True,
        help="For development: start anew when a source file changes.",
    )
    reload_dirs: tuple[Path, ...] = option(
        "--reload-dir",
        multiple=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="A folder to watch, with all below it, instead of the application's own. May be given several times.",
    )
    reload_includes: tuple[str, ...] = option(
        "--reload-include",
        multiple=True,
        metavar="PATTERN",
        help="Other files to watch besides *.py, such as '*.html'. May be given several times.",
    )

    proxy_headers: bool = option(
        "--proxy-headers",
        heading="Proxies",
        is_flag=True,
        help="Believe a proxy in front about the client's address and the scheme: X-Forwarded-For and "
        "X-Forwarded-Proto.",
    )
    forwarded_header: bool = option(
        "--forwarded-header", is_flag=True, help="With --proxy-headers, believe Forwarded (RFC 7239) instead of them."
    )
    forwarded_host: bool = option(
        "--forwarded-host",
        is_flag=True,
        help="With --proxy-headers, believe X-Forwarded-Host too. The proxy must set it, or clients choose the host.",
    )
    forwarded_allow_ips: str | None = option(
        "--forwarded-allow-ips",
        metavar="LIST",
        help="With --proxy-headers, whom to believe: addresses and networks with commas between them, unix for peers "
        f"on a Unix socket, '*' for everybody who can connect.  [default: {','.join(TRUSTED)}]",
    )

    limit: tuple[Limit, ...] = option(
        "--limit",
        heading="What clients may do",
        multiple=True,
        metavar="NAME=VALUE",
        callback=parse_limits,
        help="Change a limit, such as message=4MiB or ping_interval=none. May be given several times.",
    )
    compression: Literal["deflate", "off"] | None = option(
        "--compression",
        type=click.Choice(["deflate", "off"]),
        help="Compress messages for clients that can read that, where the application does not say.  [default: off]",
    )

    log_level: str = option(
        "--log-level",
        heading="Logging",
        type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
        default="info",
        show_default=True,
        help="The least that is logged.",
    )
    access_log: str = option(
        "--access-log",
        type=click.Choice(["text", "json", "off"]),
        default="text",
        show_default=True,
        help="How to print a line on standard output for every connection that has ended, and for HTTP requests.",
    )

    drain_timeout: float | None = option(
        "--drain-timeout",
        heading="Operation",
        type=click.FloatRange(0, min_open=True),
        metavar="SECONDS",
        help="How long clients and handlers have to end when the server stops.  [default: 10]",
    )
    health: bool = option(
        "--health",
        is_flag=True,
        help="Answer /healthz and, with 503 while the server stops, /readyz.",
    )
    watchdog: float = option(
        "--watchdog",
        type=click.FloatRange(0),
        metavar="SECONDS",
        default=PATIENCE,
        show_default=True,
        help="Warn, with its name, of a handler that blocks the event loop for so long; 0 does not.",
    )

    def __attrs_post_init__(self) -> None:
        """Refuse what does not go together.

        Raises:
            click.UsageError: with one sentence that says what to leave out, or to add.
        """
        if (self.certfile is None) != (self.keyfile is None):
            raise click.UsageError("--certfile and --keyfile go together")
        if self.binds and (self.host is not None or self.port is not None):
            raise click.UsageError("--host and --port are another way to write --bind; use one of the two ways")
        if self.reload and self.workers is not None:
            raise click.UsageError(
                "--reload and --workers do not go together: --reload is for development, with one process that serves"
            )
        more = self.forwarded_header or self.forwarded_host or self.forwarded_allow_ips is not None
        if more and not self.proxy_headers:
            raise click.UsageError(
                "--forwarded-header, --forwarded-host and --forwarded-allow-ips say what --proxy-headers believes, "
                "and whom; add --proxy-headers"
            )
        if self.forwarded_header and self.forwarded_host:
            raise click.UsageError(
                "--forwarded-host is for X-Forwarded-Host, and --forwarded-header ignores it: leave one of them out"
            )
        self.behind_proxy(None)  # what is wrong about it is said now, and not when a worker starts
        if (self.reload_dirs or self.reload_includes) and not self.reload:
            raise click.UsageError("--reload-dir and --reload-include say what --reload watches; add --reload")

    @property
    def folders(self) -> tuple[Path, ...]:
        """What ``--reload`` watches: by itself the folder that the application is imported from."""
        if self.reload_dirs:
            return self.reload_dirs
        place = self.target.rpartition(":")[0] or self.target
        path = Path(place)
        return (path.parent,) if path.is_file() else (Path(),)

    def addresses(self) -> list[str]:
        """Where to listen, in the form of hypercorn's ``Config.bind``."""
        if self.host is None and self.port is None:
            return list(self.binds or (_DEFAULT_BIND,))
        host, port = _DEFAULT_BIND.split(":")
        host = host if self.host is None else self.host
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return [f"{host}:{port if self.port is None else self.port}"]

    def behind_proxy(self, app: Any) -> Any:
        """Put the middleware for ``--proxy-headers`` around an application, if that was asked for.

        Raises:
            click.UsageError: ``--forwarded-allow-ips`` has an entry that is no address.
        """
        if not self.proxy_headers:
            return app
        trusted = TRUSTED if self.forwarded_allow_ips is None else self.forwarded_allow_ips
        try:
            kind: Kind = "forwarded" if self.forwarded_header else "x-forwarded"
            return ForwardedHeaders(app, trusted, kind, host=self.forwarded_host)
        except ValueError as error:
            raise click.UsageError(f"--forwarded-allow-ips: {error}") from error

    def config(self) -> Config:
        """Make hypercorn's configuration, which `serve` takes."""
        config = Config()
        config.bind = self.addresses()
        config.certfile = self.certfile
        config.keyfile = self.keyfile
        return config

    def limits(self) -> Limits:
        """Make the limits of the server."""
        chosen: dict[str, Any] = dict(self.limit)
        if self.drain_timeout is not None:
            chosen["drain_timeout"] = self.drain_timeout
        elif self.reload:
            chosen.setdefault("drain_timeout", _DRAIN_TO_RELOAD)
        return Limits(**chosen)


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give every option to a function that click makes a command of; it is called with them as keywords."""
    for field in reversed(attrs.fields(Settings)):
        if _OPTION in field.metadata:
            names, settings = field.metadata[_OPTION]
            command = click.option(*names, field.name, cls=Option, **settings)(command)
    return command
