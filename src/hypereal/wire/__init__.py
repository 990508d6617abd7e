"""Dialects: pure functions from bytes to bytes, no I/O. One module a wire format; `bridges/` holds translations."""
