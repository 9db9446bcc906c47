"""
How fast pgproxy is, beside others that terminate TLS for PostgreSQL: ``make bench``.

::

    __main__    the command
    install     the peers, where Debian has them
    effort      how much of everything; which core is whose
    servers     the PostgreSQL behind the proxies, and the one with TLS of its own
    proxies     pgproxy, PgBouncer, stunnel: configured, pinned, started, stopped
    clients     pgbench, psql, openssl, as they are run against any of them
    accounting  what a process costs, as the kernel counts it
    scenarios   what is measured
    running     all of it, round by round
    results     what was found: JSON
    summary     medians, spreads, ratios, targets
    report      tables and the page; chart draws

hba.py is a benchmark of its own.
"""
