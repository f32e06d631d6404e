"""A command of click with headings above its options, which knows what those of other servers are called here."""

from __future__ import annotations

from typing import Any

import click

_ARGUMENTS = "wsframework.arguments"

_NOTHING = "nothing, since there is no choice"

# The options of uvicorn, hypercorn, daphne and gunicorn that people have in their scripts and fingers.
ELSEWHERE = {
    "--uds": "--bind unix:/path/of/the.sock",
    "-u": "--bind unix:/path/of/the.sock",
    "--fd": "--bind fd://3",
    "-p": "--port",
    "-w": "--workers",
    "--factory": "the module calls it: write `app = create_app()` there, and name module:app",
    "--app-dir": "the path of the file, as in `wsframework run src/chat.py`",
    "--ssl-certfile": "--certfile",
    "--ssl-keyfile": "--keyfile",
    "--timeout-graceful-shutdown": "--drain-timeout",
    "--graceful-timeout": "--drain-timeout",
    "--ws-max-size": "--limit message=16MiB",
    "--websocket-max-message-size": "--limit message=16MiB",
    "--ws-max-queue": "--limit inbox_messages=64",
    "--ws-ping-interval": "--limit ping_interval=20",
    "--websocket-ping-interval": "--limit ping_interval=20",
    "--ws-ping-timeout": "--limit ping_timeout=20",
    "--ws-per-message-deflate": "--compression deflate",
    "--limit-concurrency": "--limit connections=1000",
    "--no-access-log": "--access-log off",
    "--access-logfile": "--access-log text, which goes to standard output",
    "--no-proxy-headers": "nothing, since no proxy is believed without --proxy-headers",
    "--loop": _NOTHING,
    "--http": _NOTHING,
    "--ws": _NOTHING,
    "--interface": _NOTHING,
    "--lifespan": _NOTHING,
    "--worker-class": _NOTHING,
    "-k": _NOTHING,
}


class Option(click.Option):
    """An option with a heading above it in ``--help``, if one begins there."""

    def __init__(self, *args: Any, heading: str | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.heading = heading


class ServeCommand(click.Command):
    """A command that serves. It keeps its arguments as they were written: workers are started with the same."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name not in ELSEWHERE:
                raise
            told = f"There is no option {error.option_name} here. In its place: {ELSEWHERE[error.option_name]}"
            raise click.UsageError(told, ctx) from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings, in the order in which they were given."""
        sections: dict[str, list[tuple[str, str]]] = {}
        heading = "Options"
        for parameter in self.get_params(ctx):
            heading = getattr(parameter, "heading", None) or heading
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                sections.setdefault(heading, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def arguments_of(context: click.Context) -> list[str]:
    """Return the arguments of a `ServeCommand` as they were written."""
    arguments: list[str] = context.meta[_ARGUMENTS]
    return arguments
