"""Loggers whose messages have fields: structlog's, which pass them on to `logging`.

`web.log_lines` decides how they are written. What is bound to the context
(`structlog.contextvars`), such as the job that runs, is in each line that is written meanwhile.
"""

from __future__ import annotations

import logging
from typing import Final

import structlog
from structlog.typing import Processor

# What every line has besides its message, also that of a library which uses `logging`.
SHARED: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of this name."""
    made: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return made
