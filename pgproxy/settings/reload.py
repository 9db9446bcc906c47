"""What a reload changes, and what it may not change."""

from collections.abc import Mapping

from pgproxy.protocol.errors import Report, Severity, SqlState, log_line
from pgproxy.settings.catalogue import GUCS, Settings
from pgproxy.settings.conf import Source
from pgproxy.settings.describe import describe
from pgproxy.settings.guc import Context


def changed_postmaster_settings(old: Settings, new: Settings) -> tuple[Report, ...]:
    """
    Return a report for each setting that differs and needs a restart to do so.

    Source: ``set_config_with_handle`` in guc.c.
    """
    return tuple(
        Report(
            severity=Severity.LOG,
            sqlstate=SqlState.CANT_CHANGE_RUNTIME_PARAM,
            message=f'parameter "{setting.name}" cannot be changed without '
            "restarting the server",
            event="settings.restart_needed",
        )
        for setting in GUCS.values()
        if setting.context is Context.POSTMASTER
        and getattr(old, setting.attribute) != getattr(new, setting.attribute)
    )


def changed_settings(
    old: Settings, new: Settings, sources: Mapping[str, Source]
) -> tuple[Report, ...]:
    """
    Return a report for each setting that differs.

    Args:
        old: Before the reload.
        new: After it.
        sources: Where the values of *new* come from; what is not in it is a default.

    Source: ``ProcessConfigFileInternal`` in guc.c.

    """
    return tuple(
        log_line(
            f'parameter "{row.name}" changed to "{row.setting}"'
            if row.source is not None
            else f'parameter "{row.name}" removed from configuration file, reset to '
            "default",
            event="settings.changed",
        )
        for row in describe(new, sources)
        if _value(old, row.name) != _value(new, row.name)
    )


def _value(settings: Settings, name: str) -> object:
    return getattr(settings, GUCS[name].attribute)
