"""How many bytes of request bodies a process holds at once."""

from collections.abc import Callable

BODIES_BYTES_MAX = 256 * 1024 * 1024


class BodyBudget:
    """Bytes of request bodies held by all connections of a process; over the bound, further bodies wait to be read."""

    def __init__(self, bytes_max: int = BODIES_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self.bytes_held = 0
        self._waiting: list[tuple[int, Callable[[], None]]] = []

    def take(self, size_bytes: int, go: Callable[[], None]) -> bool:
        """Reserve SIZE_BYTES. False: not now; GO is called once there is room (it is then already reserved)."""
        if self.bytes_held and self.bytes_held + size_bytes > self.bytes_max:
            self._waiting.append((size_bytes, go))
            return False
        self.bytes_held += size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """A body is no longer held."""
        self.bytes_held -= size_bytes
        while self._waiting and self.bytes_held + self._waiting[0][0] <= max(self.bytes_max, self._waiting[0][0]):
            size, go = self._waiting.pop(0)
            self.bytes_held += size
            go()


budget = BodyBudget()
