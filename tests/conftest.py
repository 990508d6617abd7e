"""Fixtures that every test may ask for."""

pytest_plugins = ["tests.support.buckets", "tests.support.database", "tests.support.server"]
