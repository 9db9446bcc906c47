"""``max_connections``, held over all workers: a page of memory that they share."""

import mmap
from typing import Final

PAGE: Final = 65536
SLOTS: Final = PAGE // 8 - 1
"""Workers there can be at a time, those included that only see their sessions off."""


class Seats:
    """
    How many sessions each worker has.

    ::

        Int64   the highest slot that was ever given out
        Int64   sessions of the worker in slot 1
        Int64   sessions of the worker in slot 2       and so on

    The postmaster gives out the slots; then each is written by its worker alone, so
    there is nothing to lock. Made before the workers are, which share it by fork.

    Args:
        limit: How many sessions there may be of all workers together.

    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts = memoryview(mmap.mmap(-1, PAGE)).cast("q")
        self._given: set[int] = set()

    def give(self) -> "Seat | None":
        """Return a slot for a new worker; None if there is none left."""
        slot = next((n for n in range(1, SLOTS + 1) if n not in self._given), None)
        if slot is None:
            return None
        self._given.add(slot)
        self._counts[slot] = 0
        self._counts[0] = max(self._counts[0], slot)
        return Seat(self, slot)

    def take_back(self, seat: "Seat") -> None:
        """Forget a worker that is gone, and the sessions that it had."""
        self._counts[seat.slot] = 0
        self._given.discard(seat.slot)

    def total(self) -> int:
        """Return how many sessions there are of all workers."""
        return sum(self._counts[1 : self._counts[0] + 1])

    def add(self, slot: int, change: int) -> None:
        """Count for the worker in *slot*."""
        self._counts[slot] += change

    @property
    def limit(self) -> int:
        """How many there may be."""
        return self._limit


class Seat:
    """What one worker has of the page."""

    def __init__(self, seats: Seats, slot: int) -> None:
        self._seats = seats
        self.slot = slot

    def admit(self) -> bool:
        """
        Count one more session, if there may be one.

        It is counted before it is compared: of two workers that do so at once both
        may turn their client away, and never do both take the last place.
        """
        self._seats.add(self.slot, 1)
        if self._seats.total() <= self._seats.limit:
            return True
        self._seats.add(self.slot, -1)
        return False

    def release(self) -> None:
        """Count one session less."""
        self._seats.add(self.slot, -1)
