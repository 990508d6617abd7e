"""What goes wrong with stored bytes."""

from hypereal.kit.errors import Overloaded


class BucketAway(Overloaded):
    """The place for bytes does not answer, or refuses us. `why` is for operators; callers are told to try again."""

    def __init__(self, why: str) -> None:
        super().__init__("The storage does not answer at the moment. Please try again.")
        self.why = why


class StorageFull(Overloaded):
    """The disk of this host is."""

    def __init__(self) -> None:
        super().__init__("There is no room for this on the server at the moment.", retry_after_s=30)
