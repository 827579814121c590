"""The register of CASA installations: read from a file, checked when read, chosen from by the version policy."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from alma_restore.casa import installations
from alma_restore.casa.installation import CASA_SIDE, Installation
from alma_restore.errors import Misconfigured, Refused
from alma_restore.products.manifest import Manifest, ManifestAsdm, ManifestSession
from alma_restore.settings import CasaSettings, Settings
from alma_restore.uid import Uid

DOCS = Path(__file__).parents[2] / "docs" / "casa.md"
EB = Uid("uid://A002/Xd248b5/Xa7a")

MINIMAL = """
[[installation]]
name = "a"
engine = "casatasks"
casa_version = "6.7.0-31"
python = "/casa/bin/python"
"""


def test_the_example_of_the_manual_loads(load):
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    folder, casatasks = load(example)
    packages = load(example, launcher="slurm")[1]
    assert [each.name for each in (folder, packages, casatasks)] == re.findall(r'name = "(.*)"', example)
    assert folder.argv(Path("/a b/PPR.xml"), cores=2) == (
        *("xvfb-run", "-a", f"{folder.home}/bin/casa", "--nogui", "--nologger", "--pipeline"),
        *("-c", f"{folder.home}/lib/py/lib/python3.10/site-packages/pipeline/runpipeline.py", "/a b/PPR.xml"),
    )
    assert folder.environment == {"SCIPIPE_SCRIPTDIR": str(folder.scriptdir)}
    assert folder.python == folder.home / "bin" / "python3"
    assert packages.argv(Path("/PPR.xml"), cores=2)[2:5] == (str(packages.python), "-m", "casashell")
    assert casatasks.argv(Path("/PPR.xml"), cores=2)[0] == "nice"
    assert casatasks.environment == {"OMP_NUM_THREADS": "1"}


def test_the_commands_of_the_manual_are_the_usual_ones():
    usual = re.findall(r"^(?:pipeline, with \w+|casatasks) {2,}(.*)$", DOCS.read_text(), re.MULTILINE)
    given = {"name": "a", "casa_version": "6.7.0-31", "scriptdir": "/r", "python": "/p"}
    found = [
        Installation(engine="pipeline", home="/h", **given),
        Installation(engine="pipeline", **given),
        Installation(engine="casatasks", **given),
    ]
    assert [" ".join(each.command) for each in found] == usual


def test_the_programs_of_the_casatasks_engine_are_ours(load):
    (installation,) = load(MINIMAL)
    program = installation.argv(Path("PPR.xml"), cores=3)[1]
    assert Path(program) == CASA_SIDE / "restore_mous.py"
    assert Path(program).is_file()
    assert installation.argv(Path("PPR.xml"), cores=3)[2:] == ("PPR.xml", "--cores", "3")


def test_relative_paths_start_from_the_file_s_folder(load, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    (installation,) = load(MINIMAL.replace("/casa/bin", "env/bin"))
    assert installation.python == tmp_path / "env" / "bin" / "python"


@pytest.mark.parametrize(
    ("launchers", "launcher", "there"),
    [
        ("", "local", True),
        ("", "slurm", True),
        ('launchers = ["slurm"]', "local", False),
        ('launchers = ["local", "slurm"]', "slurm", True),
    ],
)
def test_only_what_can_run_where_casa_is_run_is_there(load, launchers, launcher, there):
    assert bool(load(MINIMAL + launchers, launcher=launcher)) == there


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[installation]", "cannot be read"),
        ("", r"\[\[installation\]\] tables"),
        ("installation = 3", r"\[\[installation\]\] tables"),
        (f"{MINIMAL}[other]\na = 1", r"\[\[installation\]\] tables"),
        (MINIMAL * 2, "more than one installation is called a"),
        (f"{MINIMAL}homme = '/x'", r"installation 1 \(a\): homme: Extra inputs"),
        (MINIMAL.replace('name = "a"', ""), r"installation 1 \(no name\): name: Field required"),
        (MINIMAL.replace('"casatasks"', '"magic"'), "engine: Input should be 'pipeline', 'casatasks' or 'copy'"),
        (MINIMAL.replace("6.7.0-31", "newest"), "casa_version: 'newest' is no CASA version"),
        (MINIMAL.replace('"casatasks"', '"pipeline"'), r"\{runpipeline\} is used, and runpipeline is not given"),
        (MINIMAL.replace("python", "#"), r"\{python\} is used, and python is not given"),
        (f"{MINIMAL}home = 5", "home: Input is not a valid path"),
        (f"{MINIMAL}environment = 'a=b'", "environment: Input should be"),
        (f"{MINIMAL}command = ['run', '{{pppr}}']", r"command: \{pppr\} is none of \{ppr\}, \{cores\}"),
        (f"{MINIMAL}command = ['run', '{{ppr.__class__}}']", r"command: \{ppr.__class__\} is none of"),
        (f"{MINIMAL}command = ['run', '{{ppr!r}}']", r"command: \{\{ppr!r\}\} is none of"),
        (f"{MINIMAL}command = ['run', '{{0}}', '{{ppr}}']", r"command: \{0\} is none of"),
        (f"{MINIMAL}command = ['run', '{{ppr']", "expected '}'"),
        (f"{MINIMAL}command = ['run', '{{casa_home}}', '{{ppr}}']", r"\{casa_home\} is used, and home is not given"),
        (f"{MINIMAL}command = ['run']", r"without \{ppr\} nothing tells it"),
        (f"{MINIMAL}command = 'run {{ppr}}'", "command: Input should be a valid tuple"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_when_it_is_read(load, text, said):
    with pytest.raises(Misconfigured, match=said) as error:
        load(text)
    assert "casa.toml" in error.value.sentence
    assert "docs/casa.md" in error.value.remedy


def test_everything_that_is_wrong_with_an_installation_is_named(load):
    with pytest.raises(Misconfigured, match=r"engine: .*; casa_version: .*; extra: "):
        load(MINIMAL.replace('"casatasks"', '"x"').replace("6.7.0-31", "y") + "extra = 1")


def test_an_engine_that_only_copies_is_for_load_tests_alone(load, monkeypatch):
    copying = MINIMAL + MINIMAL.replace('"casatasks"', '"copy"').replace('"a"', '"copies"')
    with pytest.raises(Misconfigured, match="The CASA installation copies only copies: it is for load tests"):
        load(copying)
    monkeypatch.setenv("ALMA_RESTORE_LOAD_TEST", "true")
    assert [each.engine for each in load(copying)] == ["casatasks", "copy"]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Misconfigured, match=r"absent\.toml cannot be used: it cannot be read"):
        installations.load(Settings(casa=CasaSettings(installations=tmp_path / "absent.toml")))


def test_without_a_file_the_installed_packages_are_the_one_installation(casa_python, monkeypatch, tmp_path):
    monkeypatch.setenv(installations.PYTHON_VARIABLE, str(casa_python))
    (own,) = installations.load(Settings(home=tmp_path))
    assert own.engine == "casatasks"
    assert own.python == casa_python
    assert re.fullmatch(r"6\.7\.\d+-\d+", own.casa_version)
    assert own.name == f"casatasks-{own.casa_version}"


def test_a_version_that_is_left_out_is_asked_of_its_python(load, casa_python, monkeypatch):
    asked = MINIMAL.replace('casa_version = "6.7.0-31"\n', "").replace("/casa/bin/python", str(casa_python))
    (installation,) = load(asked)
    assert re.fullmatch(r"6\.7\.\d+-\d+", installation.casa_version)


def test_no_casa_at_all_is_an_operator_s_matter(monkeypatch, tmp_path):
    monkeypatch.delenv(installations.PYTHON_VARIABLE, raising=False)
    with pytest.raises(Misconfigured, match=r"env/casa/bin/python cannot be started") as error:
        installations.load(Settings(home=tmp_path))
    assert "./run setup" in error.value.remedy
    monkeypatch.setenv(installations.PYTHON_VARIABLE, sys.executable)
    with pytest.raises(Misconfigured, match="has no casatasks package"):
        installations.load(Settings(home=tmp_path))


OLD, NEW = (
    Installation(name=f"p{v}", engine="pipeline", casa_version=v, command=("{ppr}",)) for v in ("6.4.1-12", "6.6.1-17")
)
TASKS = Installation(name="t", engine="casatasks", casa_version="6.6.1-17", python="/p", home="/opt/casa-6.6.1-17")
NEWEST = Installation(name="newest", engine="casatasks", casa_version="6.7.0-31", python="/p")
ALL = (OLD, NEW, TASKS, NEWEST)

MANIFEST = Manifest(
    file_name="m.hifa_calimage.pipeline_manifest.xml",
    ous_name="uid___A001_X1_X2",
    casa_version="6.6.1",
    pipeline_version="",
    procedure="hifa_calimage",
    sessions=(ManifestSession("session_1", "c.tgz", (ManifestAsdm(EB, f"{EB.sanitised}.ms", "f.tgz", "a.txt"),)),),
)


RENORM = {"apply": "True", "threshold": "1.02"}


def renormalised(manifest: Manifest, renorm: Mapping[str, str] = RENORM) -> Manifest:
    asdm = replace(manifest.asdms[0], renorm=renorm)
    return replace(manifest, sessions=(replace(manifest.sessions[0], asdms=(asdm,)),))


@pytest.mark.parametrize(
    ("installed", "asked", "chosen", "how"),
    [
        (ALL, "", NEW, "same"),  # the first of two with this version
        ((TASKS, NEW), "", TASKS, "same"),
        ((OLD, NEWEST), "", NEWEST, "newer"),
        (ALL, "6.4.1-12", OLD, "override"),
        (ALL, "6.4.1", OLD, "override"),
        (ALL, "t", TASKS, "override"),
        (ALL, "newest", NEWEST, "override"),
        (ALL, "/opt/casa-6.6.1-17", TASKS, "override"),
        (ALL, "/home/casa/packages/RHEL6/release/casa-release-6.4.1-12", OLD, "override"),
    ],
)
def test_an_installation_is_chosen_by_policy_or_by_an_explicit_choice(installed, asked, chosen, how):
    found = installations.choose(MANIFEST, installed, asked)
    assert (found.installation, found.choice.how) == (chosen, how)


def test_renormalised_data_go_to_a_casa_with_the_pipeline():
    manifest = renormalised(MANIFEST)
    assert installations.choose(manifest, (TASKS, NEW)).installation == NEW
    assert installations.choose(manifest, (TASKS, NEW), asked="6.6.1-17").installation == NEW


@pytest.mark.parametrize(
    ("installed", "asked", "able"), [((TASKS, NEWEST), "", "none"), (ALL, "t", "p6.4.1-12, p6.6.1-17")]
)
def test_renormalised_data_are_refused_where_no_pipeline_is_left(installed, asked, able):
    with pytest.raises(Refused, match=rf"cannot restore {EB}: .*renormalised.*{able}") as refusal:
        installations.choose(renormalised(replace(MANIFEST, casa_version="6.4.1")), installed, asked)
    assert refusal.value.code == "needs_pipeline"


def pipeline(version: str) -> Installation:
    return Installation(name=f"p{version}", engine="pipeline", casa_version=version, command=("{ppr}",))


BY_2021 = RENORM | {"correctATM": "False", "spw": "", "excludechan": ""}
BY_2022 = BY_2021 | {"excludechan": "{}", "atm_auto_exclude": "True"}
BY_2023 = BY_2022 | {"bwthreshspw": "{}"}


@pytest.mark.parametrize(
    ("calibrated", "renorm", "able", "said"),
    [
        ("6.2.1", BY_2021, "6.2.1-7 6.4.1-12 6.6.1-17 6.7.5-18", "6.2.1 or newer, before 6.5.0; 6.6.0 or newer"),
        ("6.4.1", BY_2022, "6.4.1-12 6.6.1-17 6.7.5-18", "6.4.1 or newer, before 6.5.0; 6.6.0 or newer"),
        ("6.5.4", BY_2023, "6.5.4-9 6.6.1-17 6.7.5-18", "6.5.4 or newer"),
        ("6.2.1", BY_2021 | {"spw": "[25, 27]"}, "6.2.1-7 6.4.1-12", "6.2.1 or newer, before 6.5.0"),
        ("6.5.4", BY_2023 | {"spw": "25,27"}, "6.6.1-17 6.7.5-18", "6.6.0 or newer"),
        ("6.5.4", BY_2023 | {"spw": "25"}, "", "none as yet"),
        ("", BY_2021, "6.2.1-7 6.4.1-12 6.6.1-17 6.7.5-18", "6.2.1 or newer, before 6.5.0; 6.6.0 or newer"),
    ],
)
def test_only_a_pipeline_that_can_repeat_this_renormalisation_does(calibrated, renorm, able, said):
    manifest = renormalised(replace(MANIFEST, casa_version=calibrated), renorm)
    versions = ("5.6.1-8", "6.1.1-15", "6.2.1-7", "6.4.1-12", "6.5.4-9", "6.6.1-17", "6.7.5-18")
    assert " ".join(v for v in versions if pipeline(v).can_repeat(manifest)) == able
    with pytest.raises(Refused, match=f"of these versions: {re.escape(said)}[.] Installations that can: none") as error:
        installations.choose(manifest, (pipeline("6.1.1-15"), TASKS))
    assert error.value.code == "needs_pipeline"


def test_an_older_pipeline_does_not_get_renormalised_data_though_somebody_asks_for_it():
    manifest = renormalised(replace(MANIFEST, casa_version="6.2.1-7"), BY_2021)
    old, broken, able = pipeline("6.1.1-15"), pipeline("6.5.4-9"), pipeline("6.6.1-17")
    assert installations.choose(manifest, (old, broken, able)).installation == able
    for version in ("6.1.1-15", "6.5.4-9"):
        with pytest.raises(Refused, match=rf"^{version} cannot restore {EB}: .*Installations that can: p6\.6\.1-17"):
            installations.choose(manifest, (old, broken, able), asked=version)


def test_parameters_that_change_nothing_ask_for_nothing():
    asdm = replace(MANIFEST.asdms[0], renorm={"apply": "False"})
    manifest = replace(MANIFEST, sessions=(replace(MANIFEST.sessions[0], asdms=(asdm,)),))
    assert installations.choose(manifest, (TASKS,)).installation == TASKS


@pytest.mark.parametrize(
    ("installed", "asked"), [((OLD,), ""), ((), ""), (ALL, "6.5.4-9"), (ALL, "nonsense"), ((), "6.6.1")]
)
def test_what_is_not_installed_is_refused(installed, asked):
    with pytest.raises(Refused) as refusal:
        installations.choose(MANIFEST, installed, asked)
    assert refusal.value.code == "casa_not_installed"


def test_an_installation_that_is_no_longer_registered_is_named():
    assert installations.named("t", ALL) == TASKS
    with pytest.raises(Misconfigured, match=r"'gone' is registered; there are: p6\.4\.1-12, p6\.6\.1-17, t, newest"):
        installations.named("gone", ALL)


@pytest.fixture
def load(tmp_path):
    def load(text: str, launcher: str = "local") -> tuple[Installation, ...]:
        path = tmp_path / "casa.toml"
        path.write_text(text)
        return installations.load(Settings(casa=CasaSettings(installations=path, launcher=launcher)))

    return load


OLD_PYTHON = """\
#!/bin/sh
# CASA's Python of some years ago: what it is asked to run, it runs as Python 3.6 would see it.
shift
exec {python} -I -c "import sys; sys.version_info = (3, 6, 15); exec(sys.argv.pop(1))" "$2"
"""


@pytest.fixture
def old_casa(tmp_path, casa_python):
    python = tmp_path / "old-casa" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.write_text(OLD_PYTHON.format(python=casa_python))
    python.chmod(0o755)
    return Installation(
        name="casa-5.6.1-8", engine="pipeline", casa_version="5.6.1-8", home=python.parents[1], scriptdir="/r"
    )


def at(python, version):
    return Installation(name=f"casatasks-{version}", engine="casatasks", casa_version=version, python=python)


def test_the_results_of_an_old_casa_are_looked_into_by_the_newest_that_can(old_casa, casa_python, tmp_path):
    gone = at(tmp_path / "gone" / "python", "6.9.0-1")  # on a cluster's nodes, not here
    older, newer = at(casa_python, "6.6.1-17"), at(casa_python, "6.7.0-31")
    assert installations.for_looking(old_casa, [old_casa, older, gone, newer]) == newer
    assert installations.for_looking(older, [old_casa, older, gone, newer]) == older


def test_without_one_that_can_look_it_is_told_what_to_register(old_casa):
    with pytest.raises(Misconfigured, match=r"casa-5\.6\.1-8 restores, and nothing can verify") as error:
        installations.for_looking(old_casa, [old_casa, at(Path(sys.executable), "6.7.0-31")])
    assert 'engine = "casatasks"' in error.value.remedy
