"""The URI form of libpq's connection string."""

import re
from collections.abc import Iterator
from typing import Final

from pgproxy.settings.values import InvalidValue

URI_DESIGNATORS: Final = ("postgresql://", "postgres://")


def uri_body(text: str) -> str | None:
    """Return what follows the designator of a URI; None if *text* is none."""
    for designator in URI_DESIGNATORS:
        if text.startswith(designator):
            return text.removeprefix(designator)
    return None


def read_uri(uri: str, body: str) -> Iterator[tuple[str, str]]:
    """
    Yield the options that a URI stands for, in the order in which libpq stores them.

    ::

        postgresql://[user[:password]@][host][:port][,...][/dbname][?name=value[&...]]

    An IPv6 address stands in brackets; anything may be percent-encoded, as the
    directory of a Unix socket has to be when it stands for a host.

    Args:
        uri: The whole, for messages.
        body: What follows its designator.

    Raises:
        InvalidValue: In libpq's words.

    Source: ``conninfo_uri_parse_options`` in fe-connect.c.

    """
    # An @ in front of the first slash ends a name and a password.
    credentials, at, rest = body.partition("@")
    if at and "/" not in credentials:
        user, _, password = credentials.partition(":")
        yield from _option("user", user)
        yield from _option("password", password)
        body = rest
    hosts, ports, body = _read_hosts(uri, body)
    yield from _option("host", ",".join(hosts))
    yield from _option("port", ",".join(ports))
    path, _, query = body.partition("?")
    yield from _option("dbname", path[1:])
    while query:
        parameter, _, query = query.partition("&")
        yield _read_parameter(parameter)


def _option(keyword: str, value: str) -> Iterator[tuple[str, str]]:
    if value:
        yield keyword, decode(value)


def _read_hosts(uri: str, body: str) -> tuple[list[str], list[str], str]:
    """Split the hosts and their ports off *body*, and return what is left of it."""
    hosts: list[str] = []
    ports: list[str] = []
    while True:
        if body.startswith("["):
            host, body = _read_ipv6(uri, body)
        else:
            host, body = _until("[:/?,]", body)
        port = ""
        if body.startswith(":"):
            port, body = _until("[/?,]", body[1:])
        hosts.append(host)
        ports.append(port)
        if not body.startswith(","):
            break
        body = body[1:]
    return hosts, ports, body


def _until(stop: str, text: str) -> tuple[str, str]:
    """Split *text* in front of the first character that *stop* matches."""
    match = re.search(stop, text)
    end = match.start() if match else len(text)
    return text[:end], text[end:]


def _read_ipv6(uri: str, body: str) -> tuple[str, str]:
    address, bracket, rest = body[1:].partition("]")
    if not bracket:
        raise InvalidValue(
            'end of string reached when looking for matching "]" in IPv6 host '
            f'address in URI: "{uri}"'
        )
    if not address:
        raise InvalidValue(f'IPv6 host address may not be empty in URI: "{uri}"')
    if rest and rest[0] not in ":/?,":
        position = len(_encode(uri)) - len(_encode(rest)) + 1
        raise InvalidValue(
            f'unexpected character "{rest[0]}" at position {position} in URI '
            f'(expected ":" or "/"): "{uri}"'
        )
    return address, rest


def _read_parameter(parameter: str) -> tuple[str, str]:
    """Read ``name=value`` behind the question mark; ``conninfo_uri_parse_params``."""
    name, *values = parameter.split("=")
    if not values:
        raise InvalidValue(
            f'missing key/value separator "=" in URI query parameter: "{name}"'
        )
    if len(values) > 1:
        raise InvalidValue(
            f'extra key/value separator "=" in URI query parameter: "{name}"'
        )
    keyword, value = decode(name), decode(values[0])
    if (keyword, value) == ("ssl", "true"):  # as JDBC has it
        return "sslmode", "require"
    return keyword, value


def decode(text: str) -> str:
    """
    Undo the percent-encoding of *text*, and drop the spaces round it.

    Raises:
        InvalidValue: A ``%`` without two hexadecimal digits, ``%00``, or a space
            inside.

    Source: ``conninfo_uri_decode`` in fe-connect.c.

    """
    inner, space, _ = text.strip(" ").partition(" ")
    if bad := re.search("%(00|(?![0-9A-Fa-f]{2}))", inner):
        if bad[1]:
            message = f'forbidden value %00 in percent-encoded value: "{text}"'
        else:
            message = f'invalid percent-encoded token: "{text}"'
        raise InvalidValue(message)
    if space:
        raise InvalidValue(
            f'unexpected spaces found in "{text}", use percent-encoded spaces (%20) '
            "instead"
        )
    raw = re.sub(b"%(..)", lambda code: bytes.fromhex(code[1].decode()), _encode(inner))
    return raw.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
