"""What stops a start: one exception whose message tells a person what is wrong and what to do."""


class CannotServe(Exception):
    """The process cannot start or go on. The message is for the operator: what is wrong, then what to do."""
