"""What a spec and a backend say of fetching: typing errors are told where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.errors import SpecError
from mlimg_build.fetch.rights.licence_patterns import pattern_problem
from mlimg_build.spec import parse_spec
from mlimg_build.spec.models.backend import FetchBackend
from mlimg_build.spec.models.fetching import LicenceRule

TEXT = "mlimg: 1\nname: x\nversion: 1.0.0\nsources: {s: {type: table, table: t.csv}}\n"


@pytest.mark.parametrize(
    "line",
    [
        "rights: {licences: {allow: [CC-BY*]}}",
        "rights: {licences: {allow: [CC BY 4.0]}}",
        "rights: {robots: ignored}",
        "fetch: {placeholders: [abc]}",
        "fetch: {contact: a b}",
        "fetch: {max_byte: 1 MiB}",
    ],
)
def test_a_typing_error_is_told_with_its_line(line: str) -> None:
    with pytest.raises(SpecError) as found:
        parse_spec(f"{TEXT}{line}\n", "x.yaml", Path("/x"), {})
    assert {problem.place.line for problem in found.value.problems if problem.place} == {5}
    assert all(problem.hint for problem in found.value.problems)


@given(
    st.text(st.sampled_from("CBY0-.* ?"), max_size=12)
    | st.sampled_from(["CC-BY-*", "unknown", "*", "CC0-1.0"])
)
def test_a_spec_takes_the_licences_that_the_fetch_understands(pattern: str) -> None:
    try:
        LicenceRule(allow=(pattern,))
        taken = True
    except ValueError:
        taken = False
    assert taken == (pattern_problem(pattern) is None)


@pytest.mark.parametrize("good", ["10.0.0.53", "10.0.0.53:5353", "fd00::53", "[fd00::53]:5353"])
def test_a_name_server_is_an_address(good: str) -> None:
    assert FetchBackend(name_servers=(good,)).name_servers == (good,)


@pytest.mark.parametrize("bad", ["dns.example", "10.0.0.53:x", "10.0.0.53:70000", "", "10.0.0"])
def test_what_is_no_address_is_no_name_server(bad: str) -> None:
    with pytest.raises(ValueError, match="name server"):
        FetchBackend(name_servers=(bad,))
