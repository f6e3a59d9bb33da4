"""Machine profiles: what is written is read back, what is malformed is refused."""

from __future__ import annotations

import pytest

from costmodel.machine import default_machine, load_machine, machine_toml, read_machine


def test_a_profile_survives_its_file() -> None:
    profile = default_machine()
    again = read_machine(machine_toml(profile), "again")
    assert again.provenance == profile.provenance
    for key, cost in profile.units.items():
        assert again.units[key].element_s == pytest.approx(cost.element_s, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("version = 9", "version"),
        ("= 3", "TOML"),
        ("version = 1\n[units.openfhe.encrypt]\ncall_s = -1\nelement_s = 0", "openfhe.encrypt"),
        ("version = 1\n[units.openfhe.encrypt]\nspeed = 1", "openfhe.encrypt"),
    ],
)
def test_malformed_profiles_are_refused_by_name(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        read_machine(text, "test")


def test_a_missing_file_and_a_missing_unit_are_named() -> None:
    with pytest.raises(ValueError, match="/nowhere"):
        load_machine("/nowhere")
    with pytest.raises(ValueError, match=r"'shuffle'.*'openfhe'"):
        default_machine().unit("openfhe", "shuffle")
