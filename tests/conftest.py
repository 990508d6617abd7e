"""Fixtures that every test may ask for."""

pytest_plugins = ["tests.support.database", "tests.support.mailbox", "tests.support.server"]
