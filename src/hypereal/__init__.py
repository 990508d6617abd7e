"""Hypereal: one API, one key and one prepaid wallet for every AI model. Start reading at docs/architecture.md."""

__version__ = "0.1.0"
