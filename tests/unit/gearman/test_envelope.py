from __future__ import annotations

import json
import stat
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torii.config.settings import GearmanSettings, Secret
from torii.errors import OperatorError
from torii.gearman import ForgedMessageError, check_parameters, load_key, open_sealed, seal, sign_parameters

KEY = b"0123456789abcdef"
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(texts, texts | st.integers() | st.none() | st.lists(texts)))
def test_what_was_sealed_can_be_opened(payload):
    assert open_sealed(KEY, seal(KEY, payload)) == payload


@given(st.dictionaries(texts, texts))
def test_signed_parameters_pass_in_any_order(parameters):
    signed = {**parameters, "TORII_SIGNATURE": sign_parameters(KEY, parameters)}
    check_parameters(KEY, dict(reversed(list(signed.items()))))


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data):
    with pytest.raises(ForgedMessageError):
        open_sealed(KEY, data)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"null", b'"x"', b'{"payload": {}, "signature": 1}', b'{"payload": "{}", "signature": "\\ud800"}', b"[" * 200_000],
)
def test_nonsense_is_refused_in_words(data):
    with pytest.raises(ForgedMessageError, match=r"Gearman message"):
        open_sealed(KEY, data)


def test_another_key_opens_nothing():
    with pytest.raises(ForgedMessageError, match="wrong signature"):
        open_sealed(b"another", seal(KEY, {"a": 1}))


def test_a_changed_payload_is_refused():
    envelope = json.loads(seal(KEY, {"name": "unit"}))
    envelope["payload"] = envelope["payload"].replace("unit", "evil")
    with pytest.raises(ForgedMessageError, match="wrong signature"):
        open_sealed(KEY, json.dumps(envelope).encode())


def test_a_changed_added_or_missing_parameter_is_refused():
    parameters = {"TORII_UUID": "1", "A": "x"}
    signed = {**parameters, "TORII_SIGNATURE": sign_parameters(KEY, parameters)}
    for forged in ({**signed, "A": "y"}, {**signed, "B": ""}, {name: value for name, value in signed.items() if name != "A"}):
        with pytest.raises(ForgedMessageError, match="TORII_SIGNATURE is wrong"):
            check_parameters(KEY, forged)
    with pytest.raises(ForgedMessageError, match="have no TORII_SIGNATURE"):
        check_parameters(KEY, parameters)


def test_a_signature_of_parameters_seals_nothing():
    body = {"a": "b"}
    envelope = {"payload": json.dumps(body, sort_keys=True, separators=(",", ":")), "signature": sign_parameters(KEY, body)}
    with pytest.raises(ForgedMessageError):
        open_sealed(KEY, json.dumps(envelope).encode())


def test_a_first_key_is_made_for_its_owner_only_and_kept(tmp_path):
    key = load_key(GearmanSettings(), tmp_path / "state")
    assert len(key) >= 32
    assert load_key(GearmanSettings(), tmp_path / "state") == key
    assert stat.S_IMODE((tmp_path / "state" / "gearman.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["gearman.key"]


def test_all_who_race_for_a_first_key_get_the_same(tmp_path):
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(load_key(GearmanSettings(), tmp_path))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 16
    assert len(set(keys)) == 1


def test_a_key_by_reference_is_read_where_it_says(tmp_path):
    (tmp_path / "key").write_text("secret words\n")
    settings = GearmanSettings(key=Secret(f"file:{tmp_path / 'key'}"))
    assert load_key(settings, tmp_path / "state") == b"secret words"
    assert not (tmp_path / "state").exists()


def test_an_empty_key_is_no_key(tmp_path):
    (tmp_path / "gearman.key").write_text("")
    with pytest.raises(OperatorError, match="empty"):
        load_key(GearmanSettings(), tmp_path)


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match=r"file/state.*gearman\.key"):
        load_key(GearmanSettings(), tmp_path / "file" / "state")
