from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.dispatch_lab import build_request
from torii.dispatch.parameters import payload, without_password
from torii.gearman import check_parameters
from torii.jobs import PARAMETERS

KEY = b"key"


def test_every_parameter_is_there_flat_and_signed():
    request = build_request("unit", variables=(("LANG", "C"),), old="b" * 40, new="c" * 40)
    parameters = json.loads(payload(request, "https://git.example.com/app", "http://torii.example.com/builds/1", KEY))
    assert set(PARAMETERS) | {"LANG", "TORII_SIGNATURE"} == set(parameters)
    assert all(isinstance(value, str) for value in parameters.values())
    assert (parameters["TORII_OLDREV"], parameters["TORII_NEWREV"]) == ("b" * 40, "c" * 40)
    check_parameters(KEY, parameters)


def test_two_builds_of_one_change_never_have_equal_parameters():
    # Jenkins makes one build of two that wait with equal parameters
    request, again = build_request(), build_request()
    assert payload(request, "u", "l", KEY) != payload(again, "u", "l", KEY)


@given(st.text(st.characters(exclude_characters="\x00")))
def test_whatever_is_in_a_value_it_arrives_and_never_breaks_a_line(value):
    data = payload(build_request("unit", variables=(("VALUE", value),)), "u", "l", KEY)
    assert json.loads(data)["VALUE"] == value
    assert all(0x20 <= byte < 0x7F for byte in data)


@pytest.mark.parametrize("variable", [("A", "b\x00c"), ("A\x00", "b"), ("A=B", "c"), ("", "x")])
def test_what_no_environment_can_carry_is_refused(variable):
    with pytest.raises(ValueError, match="environment"):
        payload(build_request("unit", variables=(variable,)), "u", "l", KEY)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ci:secret@git.example.com/app", "https://ci@git.example.com/app"),
        ("https://git.example.com:8443/app@2", "https://git.example.com:8443/app@2"),
        ("ssh://git@git.example.com/app", "ssh://git@git.example.com/app"),
        ("/srv/git/app", "/srv/git/app"),
        ("git@git.example.com:app", "git@git.example.com:app"),
    ],
)
def test_no_password_reaches_a_build(url, shown):
    assert without_password(url) == shown
