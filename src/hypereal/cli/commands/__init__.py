"""One module a command, with its `app`; `app.py` has the list."""
