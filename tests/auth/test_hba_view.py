"""The rows of pg_hba_file_rules, the bad ones in their place."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.hba_file import load_hba
from pgproxy.auth.hba_view import Row, hba_file_rules
from tests.auth.support import HBA, Files, parse_address


def view(files: Mapping[str, str]) -> tuple[Row, ...]:
    inside = Files({path: text.encode() for path, text in files.items()})
    file = load_hba(
        HBA,
        ssl=True,
        parse_address=parse_address,
        read=inside.read,
        list_directory=inside.list_directory,
    )
    return hba_file_rules(file.lines, file.problems)


def shown(rows: tuple[Row, ...]) -> list[tuple[int | None, str | None, int | None]]:
    """Return number, file and line of each row; those that are bad have an error."""
    for row in rows:
        assert (
            (row.rule is None) == (row.rule_number is None) == (row.error is not None)
        )
    return [
        (row.rule_number, row.file_name and row.file_name[8:], row.line_number)
        for row in rows
    ]


def test_good() -> None:
    (row,) = view({HBA: "\nhostssl app,x ana 10.0.0.0/8 cert map=m\n"})
    assert row.rule is not None
    assert (row.rule_number, row.file_name, row.line_number, row.error) == (
        *(1, HBA, 2),
        None,
    )
    assert (row.rule.type, row.rule.database) == ("hostssl", ("app", "x"))
    assert row.rule.options == ("map=m", "clientcert=verify-full")


def test_bad_lines_are_in_their_place() -> None:
    """They have no number, and the good ones are counted without them."""
    rows = view(
        {
            HBA: "bad1\nhost all all all md5\nbad3\n\nbad5\nhost a all all md5\nbad7\n",
        }
    )
    name = "pg_hba.conf"
    assert shown(rows) == [
        (None, name, 1),
        (1, name, 2),
        (None, name, 3),
        (None, name, 5),
        (2, name, 6),
        (None, name, 7),
    ]
    assert rows[0].error == 'invalid connection type "bad1"'


def test_a_line_has_one_row() -> None:
    """Whatever is wrong with it."""
    (row,) = view({HBA: "host samerole +x all md5\n"})
    assert row.error is not None
    assert row.error.count("cannot be matched without") == 2


def test_included_files() -> None:
    """In the place of the line that includes them; without a good line, last."""
    rows = view(
        {
            HBA: "host a all all md5\ninclude i.conf\nhost b all all md5\n"
            "include bad.conf\nhost c all all md5\ninclude none.conf\n",
            "/etc/pg/i.conf": "x\nhost i all all md5\ny\n",
            "/etc/pg/bad.conf": "x\ny\n",
        }
    )
    assert shown(rows) == [
        (1, "pg_hba.conf", 1),
        (None, "i.conf", 1),
        (2, "i.conf", 2),
        (None, "i.conf", 3),
        (3, "pg_hba.conf", 3),
        (4, "pg_hba.conf", 5),
        (None, "pg_hba.conf", 6),
        (None, "bad.conf", 1),
        (None, "bad.conf", 2),
    ]


def test_no_file() -> None:
    """Then there is no line to say where."""
    (row,) = view({})
    assert (row.file_name, row.line_number) == (None, None)
    assert row.error is not None
    assert "could not open file" in row.error


def test_bad_lines_alone() -> None:
    assert shown(view({HBA: "a\nb\n"})) == [
        (None, "pg_hba.conf", 1),
        (None, "pg_hba.conf", 2),
    ]


@given(st.lists(st.booleans(), min_size=1))
def test_order_and_numbers(good: list[bool]) -> None:
    """Of one file: the lines, one after the other."""
    text = "".join("host all all all md5\n" if one else "bad\n" for one in good)
    rows = view({HBA: text})
    assert [row.line_number for row in rows] == list(range(1, len(good) + 1))
    numbers = [row.rule_number for row in rows if row.rule_number is not None]
    assert numbers == list(range(1, sum(good) + 1))
    assert [row.error is None for row in rows] == good
