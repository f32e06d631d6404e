"""The ``wsframework`` command."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import trio
from hypercorn.config import Config

from .._version import __version__
from ..errors import StartupError
from ..server import serve
from .load import load_app


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wsframework")
def main() -> None:
    """WebSocket services on Trio.

    To serve the application in a file: wsframework run path/to/file.py
    """


@main.command()
@click.argument("target", metavar="APP")
@click.option(
    "--bind",
    "-b",
    "binds",
    multiple=True,
    metavar="ADDRESS",
    default=("127.0.0.1:8000",),
    show_default=True,
    help="Where to listen: host:port (port 0 takes a free one), unix:path or fd://number. May be given several times.",
)
@click.option(
    "--certfile", type=click.Path(exists=True, dir_okay=False), help="A certificate in PEM format, to serve with TLS."
)
@click.option("--keyfile", type=click.Path(exists=True, dir_okay=False), help="The private key of the certificate.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="The least that is logged.",
)
def run(target: str, binds: tuple[str, ...], certfile: str | None, keyfile: str | None, log_level: str) -> None:
    """Serve an application until Ctrl+C.

    APP is the path of a file with an `app` in it, or module:app.

    \b
    Examples:
      wsframework run chat.py
      wsframework run chat.py --bind 0.0.0.0:8000
      wsframework run shop.main:app --bind unix:/run/shop.sock
    """
    if (certfile is None) != (keyfile is None):
        raise click.UsageError("--certfile and --keyfile go together")
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    app = load_app(target)
    config = Config()
    config.bind = list(binds)
    config.errorlog = logging.getLogger("hypercorn.error")  # as it is: hypercorn would give it a handler of its own
    config.certfile = certfile
    config.keyfile = keyfile
    with _startup_errors():
        trio.run(_serve_until_told, app, config, target)


@contextmanager
def _startup_errors() -> Iterator[None]:
    """Turn what keeps the server from starting into one sentence."""
    try:
        yield
    except StartupError as error:
        raise click.ClickException(str(error)) from error
    except BaseExceptionGroup as group:
        refusals, rest = group.split(StartupError)
        if refusals is None or rest is not None:
            raise
        raise click.ClickException("\n".join(str(error) for error in _leaves(refusals))) from group


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def _serve_until_told(app: Any, config: Config, target: str) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(_stop_when_told, nursery.cancel_scope)
        urls = await nursery.start(_serve, app, config)
        click.echo(f"wsframework serves {target} on {', '.join(urls)} (Ctrl+C to stop)")


async def _stop_when_told(
    scope: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            break
    # Whoever asks a second time gets the system's answer, at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    click.echo("stopping")
    scope.cancel()


async def _serve(app: Any, config: Config, task_status: trio.TaskStatus[list[str]]) -> None:
    await serve(app, config, task_status=task_status)
