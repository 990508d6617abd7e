"""Fixtures that every test may ask for; and logs in plain text, since drawing a traceback's locals takes seconds."""

import structlog

pytest_plugins = [
    "tests.support.buckets",
    "tests.support.database",
    "tests.support.mailbox",
    "tests.support.server",
]

structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)
