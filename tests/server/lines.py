"""The access log, as tests read it."""

from __future__ import annotations

import logging

from wsframework.access_log import AccessRecord


class Lines(logging.Handler):
    """Keeps what was logged, and formats it as text, or as a formatter says."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def text(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    @property
    def access(self) -> list[AccessRecord]:
        return [getattr(record, "access") for record in self.records]  # noqa: B009 - what a formatter does
