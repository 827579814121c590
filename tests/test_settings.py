"""Settings: defaults, then the profile file, then the environment."""

import pytest

from alma_restore import settings
from alma_restore.errors import Misconfigured


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in ("ALMA_RESTORE_PROFILE", "ALMA_RESTORE_CASA__CORES", "ALMA_RESTORE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_the_environment_wins_over_the_profile_and_the_profile_over_the_defaults(tmp_path, monkeypatch):
    profile = tmp_path / "site.toml"
    profile.write_text('[casa]\ncores = 4\nniceness = 1\n[delivery]\nroot = "/data/deliveries"\n')
    monkeypatch.setenv("ALMA_RESTORE_PROFILE", str(profile))
    monkeypatch.setenv("ALMA_RESTORE_CASA__CORES", "8")
    loaded = settings.load()
    assert (loaded.casa.cores, loaded.casa.niceness, loaded.ngas.streams_per_node) == (8, 1, 4)
    assert str(loaded.delivery_root) == "/data/deliveries"


def test_everything_lives_in_one_home(tmp_path, monkeypatch):
    monkeypatch.setenv("ALMA_RESTORE_HOME", str(tmp_path))
    loaded = settings.load()
    assert all(str(tmp_path) in str(place) for place in (loaded.spool_root, loaded.delivery_root, loaded.catalogue))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[casa]\ncores = 0\n", "casa.cores"),
        ("[casa]\ncoers = 2\n", "casa.coers"),
        ("[disk]\nfactor = 'x'\n", "disk.factor"),
        ("[delivry]\nkeep_days = 90\n", "delivry"),
        ("keep_days = 90\n", "keep_days"),
        ("[casa\ncores = 2\n", "cannot be read"),
        ("production = true\nload_test = true\n", "used: production and load_test exclude each other"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(content, named, tmp_path, monkeypatch):
    profile = tmp_path / "site.toml"
    profile.write_text(content)
    monkeypatch.setenv("ALMA_RESTORE_PROFILE", str(profile))
    with pytest.raises(Misconfigured, match=named):
        settings.load()


def test_a_variable_that_cannot_be_read_is_named_and_how_it_is_written(monkeypatch):
    monkeypatch.setenv("ALMA_RESTORE_DELIVERY__ALLOWED_ROOTS", "/lustre")
    with pytest.raises(Misconfigured, match=r'"delivery".*written as JSON'):
        settings.load()


def test_variables_of_others_are_no_settings(monkeypatch):
    for name in ("ALMA_RESTORE_AIRFLOW_TOKEN", "ALMA_RESTORE_CASA_PYTHON", "ALMA_RESTORE_NO_SETTING"):
        monkeypatch.setenv(name, "x")
    assert settings.load().casa.cores


def test_a_profile_that_is_not_utf_8_is_named(tmp_path, monkeypatch):
    profile = tmp_path / "site.toml"
    profile.write_bytes(b'[mail]\ncontact = "Andr\xe9"\n')
    monkeypatch.setenv("ALMA_RESTORE_PROFILE", str(profile))
    with pytest.raises(Misconfigured, match=r"site\.toml"):
        settings.load()


def test_a_profile_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("ALMA_RESTORE_PROFILE", "/nowhere/site.toml")
    with pytest.raises(Misconfigured, match=r"/nowhere/site\.toml"):
        settings.load()
