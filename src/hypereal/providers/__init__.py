"""Upstreams: where to send and how to sign, as data."""
