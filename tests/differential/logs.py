"""What the log has of a reload, beside what pgproxy reports of the same files."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pgproxy.protocol.errors import Report, Severity
from tests.differential.files import Answer, Folder, Place
from tests.differential.versions import TOO_DEEP

ByContext = dict[str | None, list[Report]]


def by_context(reports: Iterable[Report]) -> ByContext:
    """Return the reports of each place; what ours are called is no matter."""
    found: ByContext = {}
    for report in reports:
        found.setdefault(report.context, []).append(
            replace(report, event="report", severity=Severity(report.severity))
        )
    # A file that is read twice is complained about twice.
    return {place: sorted(some, key=repr) for place, some in found.items()}


def differences(
    ours: Answer,
    theirs: Sequence[Report],
    folder: Folder,
    excused: set[Place],
    *,
    gss: bool,
) -> list[str]:
    """
    Return where the log has something else than pgproxy reports.

    Args:
        ours: What pgproxy reports.
        theirs: What the log has.
        folder: Where the files are.
        excused: Places at which the view is known to differ.
        gss: Whether the server is built with GSSAPI (HBA-46).

    """
    reports = [
        known(report, theirs)
        for report in ours.reports
        if not is_skipped(report, theirs)
        and not (gss and report.message.startswith("hostgssenc record cannot match"))
    ]
    mine = by_context(reports)
    other = by_context(
        report
        for report in without_skipped(theirs)
        if not any(is_skipped(one, [report]) for one in ours.reports)
    )
    return [
        f"log, at {context}:\n  ours   {mine.get(context)}\n  theirs {other.get(context)}"
        for context in {**mine, **other}
        if mine.get(context) != other.get(context)
        and not excused.intersection(folder.places(context))
    ]


def without_skipped(reports: Sequence[Report]) -> list[Report]:
    """
    Leave out that a file could not be opened which may be missing, and is (HBA-17).

    PostgreSQL says that, and then that it is skipped.
    """
    return [
        report
        for report, after in zip(reports, (*reports, None)[1:], strict=True)
        if after is None
        or not after.message.startswith("skipping missing authentication file")
        or report.context != after.context
    ]


def is_skipped(report: Report, theirs: Sequence[Report]) -> bool:
    """
    Return whether *theirs* has skipped what *report* says is too deep (HBA-19).

    It does where the last system call that failed found no file, whichever file.
    """
    return report.message.endswith(TOO_DEEP) and any(
        one.context == report.context and one.message.startswith("skipping missing")
        for one in theirs
    )


def known(report: Report, theirs: Sequence[Report]) -> Report:
    """
    Return our *report* with the SQLSTATE that nobody can know (HBA-19).

    Beyond the limit, it is that of the last system call that failed, whichever.
    """
    if report.message.endswith(TOO_DEEP):
        for one in theirs:
            if (one.context, one.message) == (report.context, report.message):
                return replace(report, sqlstate=one.sqlstate)
    return report
