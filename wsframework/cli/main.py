"""The ``wsframework`` command."""

from __future__ import annotations

from typing import Any

import click

from .._version import __version__
from .lifeline import Post
from .logs import set_up_logging
from .parent import serve_with_workers
from .serving import serve_alone, serve_as_worker
from .settings import Settings, with_settings

_ARGUMENTS = "wsframework.arguments"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wsframework")
def main() -> None:
    """WebSocket services on Trio.

    To serve the application in a file: wsframework run path/to/file.py
    """


class _Run(click.Command):
    """A command that keeps its arguments as they were written: workers are started with the same."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)


@main.command(cls=_Run)
@click.argument("target", metavar="APP")
@with_settings
@click.pass_context
def run(context: click.Context, /, **options: Any) -> None:
    """Serve an application until Ctrl+C.

    APP is the path of a file with an `app` in it, or module:app.

    \b
    Examples:
      wsframework run chat.py
      wsframework run chat.py --reload
      wsframework run chat.py --bind 0.0.0.0:8000 --workers 4
      wsframework run shop.main:app --bind unix:/run/shop.sock
    """
    settings = Settings(**options)
    post = Post.take()
    set_up_logging(settings)
    if post is not None:
        code = serve_as_worker(settings, post)
    elif settings.workers is not None or settings.reload:
        code = serve_with_workers(settings, context.meta[_ARGUMENTS])
    else:
        code = serve_alone(settings)
    context.exit(code)
