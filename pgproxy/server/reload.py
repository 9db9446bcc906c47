"""Reading the configuration again: all of the new one, or all of the old one."""

from pgproxy.server import log
from pgproxy.server.changes import changes
from pgproxy.server.generation import (
    ConfigurationRejected,
    Fault,
    Generation,
    Source,
    load,
)
from pgproxy.server.watch import Files
from pgproxy.settings.reload import changed_postmaster_settings

WATCH_INTERVAL = 1.0
"""Seconds between two looks at the files."""


class Reloader:
    """
    Knows the configuration that counts, and which files it was read from.

    Args:
        source: Where the configuration is.
        generation: As it was read at the start.
        files: That it was read from.

    """

    def __init__(self, source: Source, generation: Generation, files: Files) -> None:
        self._source = source
        self.generation = generation
        self._files = files
        self._before = files.now()

    def load(self) -> Generation | ConfigurationRejected:
        """
        Read all files again; say nothing and change nothing.

        It may take its time, as the command that knows the passphrase does: whoever
        has sessions to serve calls this in a thread.
        """
        files = Files()
        try:
            new = load(self._source, at_start=False, files=files)
            self._check_unchanged(new)
        except ConfigurationRejected as rejected:
            return rejected
        finally:
            self._files = files
        return new

    def accepts(self, new: Generation | ConfigurationRejected) -> Generation | None:
        """Return the new configuration if it can be taken, and tell the log if not."""
        if isinstance(new, Generation):
            return new
        log.write_all(new.at_reload())
        # PostgreSQL applies what it can; a proxy with half a configuration may let in
        # whom the other half keeps out.
        log.note("nothing was reloaded", "settings.rejected")
        return None

    def taken(self, new: Generation) -> None:
        """Tell the log that all new sessions go by *new*, and what is different."""
        old, self.generation = self.generation, new
        log.write_all(changes(old, new))
        log.write_all(new.notices)
        log.note("configuration was reloaded", "settings.reloaded")

    def wanted_by_files(self) -> bool:
        """
        Whether a file has changed; to be asked once in `WATCH_INTERVAL`.

        A change counts when the next look finds nothing more: whoever writes several
        files is not read in the middle of it. Never with ``pgproxy.watch_files`` off.
        """
        if not self.generation.settings.watch_files:
            return False
        now, before = self._files.now(), self._before
        self._before = now
        changed = self._files.changed()
        if not changed or now != before:
            return False
        names = ", ".join(f'"{path}"' for path in changed)
        log.note(
            f"files have changed, reloading configuration files: {names}",
            "postmaster.reloading",
        )
        return True

    def _check_unchanged(self, new: Generation) -> None:
        """
        Make sure that *new* changes nothing that needs a restart.

        Raises:
            ConfigurationRejected: It does.

        """
        old = self.generation.settings
        changed = changed_postmaster_settings(old, new.settings)
        if changed:
            summary = f'configuration file "{self._source.config_file}" contains errors'
            raise ConfigurationRejected(
                Fault(changed, summary, f"{summary}; no changes were applied")
            )
