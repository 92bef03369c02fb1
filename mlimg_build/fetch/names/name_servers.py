"""Look-ups of names at name servers that a user names, by c-ares, in place of the system's resolver."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from mlimg_build.errors import BuildError, Problem
from mlimg_build.fetch.names.lookups import LookUp, NoSuchHost

__all__ = ["look_up_at"]

_ABSENT = ("ARES_ENOTFOUND", "ARES_ENODATA", "ARES_EBADNAME")
_MOST = 8  # addresses of one host that are kept
SECONDS = 3.0  # for one answer of one server


def look_up_at(servers: Sequence[str]) -> LookUp:
    """Return a function that asks these name servers, each `ADDRESS` or `ADDRESS:PORT`, an IPv6 one in brackets.

    The function returns the addresses of a host, IPv4 first; it raises `NoSuchHost` if the name does not exist, and
    `OSError` for every failure that may pass.

    Raises:
        BuildError: `extra-missing` if the library aiodns is not installed.
    """
    try:
        library = import_module("pycares")
        aiodns = import_module("aiodns")
    except ImportError as error:
        hint = "pip install 'mlimg[fetch]', or leave fetch.name_servers out of the backend"
        raise BuildError(
            Problem("extra-missing", "name servers need the extra `fetch`", hint=hint)
        ) from error
    absent = {getattr(library.errno, name) for name in _ABSENT}
    resolvers: list[Any] = []  # made in the loop that asks

    async def look_up(host: str) -> list[str]:
        if not resolvers:
            resolvers.append(aiodns.DNSResolver(nameservers=list(servers), tries=2, timeout=SECONDS))
        found: list[str] = []
        problems: list[Any] = []
        for kind in ("A", "AAAA"):
            try:
                answer = await resolvers[0].query_dns(host, kind)
            except aiodns.error.DNSError as error:
                problems.append(error)
                continue
            found += [record.data.addr for record in answer.answer if hasattr(record.data, "addr")]
        if found:
            return found[:_MOST]
        passing = [problem for problem in problems if problem.args[0] not in absent]
        if passing:
            raise OSError(f"{host}: {passing[0].args[-1]}")
        raise NoSuchHost(f"{host}: {problems[0].args[-1] if problems else 'it has no address'}")

    return look_up
