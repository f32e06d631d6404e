"""The ``wsframework`` command."""

from __future__ import annotations

from typing import Any

import click

from .._version import __version__
from .command import ServeCommand, arguments_of
from .lifeline import Post
from .logs import set_up_logging
from .parent import serve_with_workers
from .serving import serve_alone, serve_as_worker
from .settings import Settings, with_settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wsframework")
def main() -> None:
    """WebSocket services on Trio.

    To serve the application in a file: wsframework run path/to/file.py
    """


@main.command(cls=ServeCommand)
@click.argument("target", metavar="APP")
@with_settings
@click.pass_context
def run(context: click.Context, /, **options: Any) -> None:
    """Serve an application until Ctrl+C.

    APP is the path of a file with an `app` in it, or module:app. For another name add it, as in chat.py:chat_app.

    \b
    Examples:
      wsframework run chat.py                       on http://127.0.0.1:8000
      wsframework run chat.py --port 0              on a free port, printed
      wsframework run chat.py --reload              anew when a file changes
      wsframework run shop.main:app --host 0.0.0.0  for other machines too
      wsframework run shop.main:app --workers 4     with four processes
    """
    settings = Settings(**options)
    post = Post.take()
    set_up_logging(settings)
    if post is not None:
        code = serve_as_worker(settings, post)
    elif settings.workers is not None or settings.reload:
        code = serve_with_workers(settings, arguments_of(context))
    else:
        code = serve_alone(settings)
    context.exit(code)
