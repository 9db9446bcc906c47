"""
Configuration files that include others: the rules that all of them share.

postgresql.conf, pg_hba.conf and pg_ident.conf are read in different ways, and include
files in the same.

Source: conffiles.c and conffiles.h in PostgreSQL.
"""

import posixpath
from collections.abc import Callable, Iterable
from typing import Final

from pgproxy.protocol.errors import SqlState, errcode_for_file_access

CONF_FILE_MAX_DEPTH: Final = 10
"""How many files deep files may be included."""

Read = Callable[[str], bytes]
"""Returns what is in the file with this path; may raise OSError."""

ListDirectory = Callable[[str], Iterable[str]]
"""
Returns the names in the directory with this path; may raise OSError.

Names of directories are left out: what is a directory is not included.
"""


class ConfFilesError(Exception):
    """
    A directory cannot be included.

    Args:
        message: Why, in PostgreSQL's words.
        sqlstate: What goes with it.

    """

    def __init__(self, message: str, sqlstate: SqlState) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate


def absolute_config_location(location: str, calling_file: str) -> str:
    """
    Return the path of *location*, as it is written in *calling_file*.

    What is relative is so to the directory of that file; what is absolute, or written
    in no file (an empty *calling_file*), stays as it is.

    Source: ``AbsoluteConfigLocation`` in conffiles.c.
    """
    if posixpath.isabs(location) or not calling_file:
        return location
    return _join(posixpath.dirname(calling_file), location)


def get_conf_files_in_dir(
    includedir: str, calling_file: str, list_directory: ListDirectory
) -> list[str]:
    """
    Return the paths of the files that ``include_dir`` includes, in order (HBA-18).

    They end in ``.conf`` and do not begin with a dot (so ``.conf`` is none), and are
    in the order of their bytes: ``02.conf``, ``10.conf``, ``A.conf``, ``a.conf``.

    Args:
        includedir: As it is written in *calling_file*.
        calling_file: The file with the directive.
        list_directory: How to list a directory.

    Raises:
        ConfFilesError: The name is empty, or it cannot be listed.

    Source: ``GetConfFilesInDir`` in conffiles.c.

    """
    if is_blank(includedir):
        # Or it would be the directory of the calling file.
        raise ConfFilesError(
            f'empty configuration directory name: "{includedir}"',
            SqlState.INVALID_PARAMETER_VALUE,
        )
    directory = absolute_config_location(includedir, calling_file)
    try:
        names = list(list_directory(directory))
    except OSError as error:
        raise ConfFilesError(
            f'could not open configuration directory "{directory}": '
            f"{error_text(error)}",
            errcode_for_file_access(error),
        ) from error
    wanted = [n for n in names if n.endswith(".conf") and not n.startswith(".")]
    wanted.sort(key=lambda name: name.encode("utf-8", "surrogateescape"))
    return [_join(directory, name) for name in wanted]


def is_blank(name: str) -> bool:
    r"""Return whether *name* is nothing but blanks, as ``strspn(s, " \t\r\n")``."""
    return not name.strip(" \t\r\n")


def error_text(error: OSError) -> str:
    """Return what C's ``%m`` prints; an error without a number, as it prints itself."""
    return error.strerror or str(error)


def _join(directory: str, name: str) -> str:
    """Without ``.``, ``..`` and doubled slashes, as ``canonicalize_path`` in path.c."""
    return posixpath.normpath(posixpath.join(directory, name))
