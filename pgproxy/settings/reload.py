"""What a reload may not change."""

from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.settings.catalogue import GUCS, Settings
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
