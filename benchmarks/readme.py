"""Writes a few of the numbers into the README, between two markers, so that they are those of the page."""

from pathlib import Path

from .goals import BROADCAST, HYPERCORN, UVICORN
from .jobs import JOBS
from .page import ratio_cell, table
from .report import Report

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- speed: written by python -m benchmarks --write-docs -->", "<!-- speed: end -->"

ROWS = ("echo-1", "echo-100", "echo-1000", "fan-1000", "fan-1000x16", "connect", "idle-10000")
COLUMNS = {
    UVICORN: "Starlette on uvicorn (uvloop)",
    HYPERCORN: "Starlette on hypercorn's Trio worker",
    BROADCAST: "websockets on uvloop",
    "picows": "picows (Cython)",
    "socketify": "socketify (C++)",
}


def make_table(report: Report) -> str:
    """Return the table in Markdown: how many times as fast, or as small, wsframework is."""
    rows = {(row.job, row.peer): row for row in report.summary}
    lines = [
        [f"{JOBS[job].title}", *(ratio_cell(rows.get((job, peer))) for peer in COLUMNS)]
        for job in ROWS
        if any((job, peer) in rows for peer in COLUMNS)
    ]
    return table(["", *COLUMNS.values()], lines)


def write_table(path: Path, report: Report) -> None:
    """Replace what is between the markers.

    Raises:
        ValueError: The markers are not there.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for the table, between {BEGIN} and {END}")
    machine = report.machine
    where = f"Measured on {machine['date']}, {machine['python']}, {machine['processor']}:"
    path.write_text(f"{before}{begin}\n{where}\n\n{make_table(report)}{end}{after}", encoding="utf-8")
