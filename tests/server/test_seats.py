"""The page that the workers count on."""

import os

from pgproxy.server.seats import SLOTS, Seats


def test_limit() -> None:
    seats = Seats(2)
    one, two = seats.give(), seats.give()
    assert one is not None
    assert two is not None
    assert one.slot != two.slot
    assert [one.admit(), two.admit(), one.admit(), two.admit()] == [
        True,
        True,
        False,
        False,
    ]
    assert seats.total() == 2
    two.release()
    assert one.admit()
    assert (seats.total(), seats.limit) == (2, 2)


def test_what_a_dead_worker_had_is_forgotten() -> None:
    seats = Seats(1)
    dead = seats.give()
    assert dead is not None
    assert dead.admit()
    seats.take_back(dead)
    next_one = seats.give()
    assert next_one is not None
    assert next_one.slot == dead.slot
    assert next_one.admit()


def test_one_page_for_all_processes() -> None:
    seats = Seats(5)
    mine, its = seats.give(), seats.give()
    assert mine is not None
    assert its is not None
    pid = os.fork()
    if pid == 0:
        os._exit(0 if its.admit() and its.admit() else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert mine.admit()
    assert seats.total() == 3


def test_no_slot_is_left() -> None:
    seats = Seats(1)
    given = [seats.give() for _ in range(SLOTS)]
    assert all(given)
    assert seats.give() is None
