"""Whatever is in a document from outside: it is read, or refused in one sentence; nothing else ever happens.

A document that once broke its reader stays here as an example. `FUZZ_EXAMPLES=100000 pytest --timeout 0 tests/fuzz`
looks for new ones.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
import uuid
from pathlib import Path

import pytest
from damage import damaged, fuzz, read_or_told
from hypothesis import example, given
from hypothesis import strategies as st

from alma_restore import capo, guarded_xml
from alma_restore.archive import bdf
from alma_restore.archive.asdm_structure import check_asdm
from alma_restore.casa import failure_signs
from alma_restore.events.consuming import is_ours
from alma_restore.ppr import read as ppr
from alma_restore.products import calapply, manifest, tarballs
from alma_restore.request import RestoreRequest, readable_email
from alma_restore.request_events import parse_start_workflow
from alma_restore.uid import Uid

EB = "uid___A002_Xd248b5_Xa7a"
MANIFEST = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<piperesults>
 <ous name="uid___A001_X133d_X1ab2">
  <casaversion name="5.4.0-68"/><pipeline_version name="42030"/><procedure_name name="hifa_calimage"/>
  <session name="session_1"><caltables name="{EB}.caltables.tgz"/>
   <asdm name="{EB}.ms"><finalflags name="{EB}.ms.flagversions.tgz"/><applycmds name="{EB}.ms.calapply.txt"/>
    <hifa_renorm apply="True"/></asdm>
  </session>
  <aux_products_file name="aux.tgz"/>
 </ous>
</piperesults>
""".encode()
CALAPPLY = (
    f"applycal(vis='/old/{EB}.ms', field='J1', intent='BANDPASS', spw='0~1', antenna='0~9', gaintable=['/old/a.tbl', "
    "'b.tbl'], gainfield=['', '0'], spwmap=[[], [0, 0]], interp=['linear', ''], calwt=[True, False])\n"
).encode()
EVENT = {
    "type": "edu.nrao.archive.workflow.messaging.commands.StartWorkflow",
    "metadata": {
        "workflowName": "AlmaOusRestoreWorkflow",
        "telescope": "ALMA",
        "ousStatusId": "uid://A001/X12d1/X23e",
        "fileSetIds": ["uid://A002/Xd248b5/Xa7a"],
        "cliCorrId": "one",
        "userEmail": "ada@example.org",
        "casaHome": "/home/casa/packages/casa-release-5.4.0-68",
        "destinationDirectory": "/lustre/x",
    },
}
PROFILE = rb"""# NRAO
almaNgasSystem.host = ngas.example.org
almaRestore.casa.cores = 4
almaRestore.exporter.command = ["asdmExportLight", "-v"]
almaRestore.mail.sender = \u0041lma \
   restore
"""
LOG = b"2019 SEVERE importasdm::: cannot convert table Main from 'uid___A002_X1_X2.ms' KeyError: 'default'\n"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "document"


def put(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


@fuzz
@given(damaged(MANIFEST) | st.binary(max_size=300))
def test_manifest(file, content):
    read_or_told(lambda: manifest.read(put(file, content)))


@fuzz
@given(damaged(CALAPPLY) | st.text(max_size=300).map(lambda text: f"applycal({text})".encode()))
@example(b"applycal(" + b"-" * 100_000 + b"1)")
@example(b"applycal(" + b"[" * 100_000)
@example(b"applycal(vis=" + b"1+" * 20_000 + b"1)")
@example(b"applycal(vis=" + b"9" * 5000 + b")")
@example(b"applycal(vis={[]})")
@example(b"applycal(vis=" + b"[" + b"'a'," * 50_000 + b"])")
def test_calapply(file, content):
    read_or_told(lambda: calapply.read(put(file, content)))


@fuzz
@given(damaged(json.dumps(EVENT).encode()) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b'{"metadata": ' * 5_000)
@example(b'{"type": 1e999}')
@example(json.dumps(EVENT).replace("/lustre/x", "\\ud800").encode())
def test_event(content):
    read_or_told(lambda: is_ours(content))
    read_or_told(lambda: parse_start_workflow(content, "ada"))


@fuzz
@given(JSON.flatmap(lambda value: st.sampled_from(list(EVENT["metadata"])).map(lambda name: {name: value})))
def test_event_with_a_strange_field(changed):
    read_or_told(lambda: parse_start_workflow({**EVENT, "metadata": {**EVENT["metadata"], **changed}}))


FIELDS = st.sampled_from([*RestoreRequest.model_fields, "mous", "x\ny"])


@fuzz
@given(st.dictionaries(FIELDS, JSON | st.text(), max_size=5))
@example({"mous_uid": "uid://A001/X1/X2", "casa_version": "\ud800"})
@example({"x\nforged line\x1b[31m": "1"})
@example({"email": "a@b.c\nBcc: everybody@example.org"})
@example({"mous_uid": "uid://A001/X" + "1" * 100_000 + "/X2"})
def test_request(fields):
    read_or_told(lambda: RestoreRequest.parse({"mous_uid": "uid://A001/X12d1/X23e", **fields}))
    assert readable_email(fields.get("email")).isprintable()


@fuzz
@given(st.text() | st.from_regex(r"uid(://|___)A[0-9A-F]{3}[/_]X[0-9a-f]*[/_]X[0-9a-f]*\s*"))
@example("uid://A001/X1/X2\n")
@example("uid://A001/X١/X2")
def test_uid(text):
    uid = read_or_told(lambda: Uid(text))
    assert uid is None or Uid(uid.sanitised) == uid
    assert uid is None or Path(uid.sanitised).name == uid.sanitised


@fuzz
@given(damaged(PROFILE) | st.binary(max_size=300))
@example(b"almaRestore.casa = 1\nalmaRestore.casa.cores = 1\n")
@example(b"almaRestore.casa.cores = 1\nalmaRestore.casa = 1\n")
@example(b"almaRestore.x = " + b"[" * 100_000)
@example(b"almaRestore.casa.cores = [1" + b"9" * 5000 + b"]\n")
@example(b"almaRestore. = 1\n")
@example(b"\\u00zz = 1\n")
def test_capo(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    put(folder / "fuzz.properties", content)
    environ = {"CAPO_PROFILE": "fuzz", "CAPO_PATH": str(folder)}
    read_or_told(lambda: capo.settings_values(environ))


@pytest.fixture(scope="module")
def good_ppr():
    return (Path(__file__).parents[1] / "ppr" / "expected_ppr.xml").read_bytes()


@fuzz
@given(data=st.data())
def test_ppr(file, good_ppr, data):
    content = data.draw(damaged(good_ppr))
    read_or_told(lambda: ppr.read(put(file, content)))


@fuzz
@given(st.binary(max_size=300) | damaged(MANIFEST))
@example(b"<?xml version='1.0' encoding='utf-32'?><a/>")
@example(b"<a>" * 10_000)
@example(b"")
def test_xml(file, content):
    read_or_told(lambda: guarded_xml.parse(content))
    read_or_told(lambda: list(guarded_xml.iterate(put(file, content), "ous", "piperesults")))


@pytest.fixture(scope="module")
def whole_asdm(tmp_path_factory):
    from observation import Identity
    from synthetic_sky import Sizes, write_synthetic_asdm

    folder = tmp_path_factory.mktemp("asdm") / EB
    identity = Identity(str(Uid(EB)), "uid://A001/X133d/X1ab2", "uid://A001/X133c/Xf", "uid://A001/X133d/X1ab4")
    write_synthetic_asdm(folder, identity, "2019-07-01T04:30:00", Sizes(antennas=5, windows=1, channels=8), seed=1)
    return folder


TABLES = ["ASDM", "Main", "ConfigDescription", "Antenna", "SpectralWindow", "Field"]


@fuzz
@given(data=st.data())
def test_asdm(whole_asdm, data):
    table = whole_asdm / f"{data.draw(st.sampled_from(TABLES))}.xml"
    good = table.read_bytes()
    try:
        table.write_bytes(data.draw(damaged(good)))
        read_or_told(lambda: check_asdm(whole_asdm))
    finally:
        table.write_bytes(good)


@pytest.mark.parametrize("number", ["9" * 5000, "٣", "²", "-1"])
def test_asdm_with_a_strange_number(whole_asdm, tmp_path, number):
    asdm = Path(shutil.copytree(whole_asdm, tmp_path / EB))
    text = (asdm / "Main.xml").read_text()
    before, _, after = text.partition("<numIntegration>")
    (asdm / "Main.xml").write_text(f"{before}<numIntegration>{number}{after[after.index('<') :]}")
    read_or_told(lambda: check_asdm(asdm))


@pytest.fixture(scope="module")
def good_bdf(whole_asdm):
    return min((whole_asdm / "ASDMBinary").iterdir(), key=lambda path: path.stat().st_size).read_bytes()


@fuzz
@given(data=st.data())
def test_bdf(file, good_bdf, data):
    headers = good_bdf[: good_bdf.index(b"\n\n", 2000) if b"\n\n" in good_bdf[2000:] else 4000]
    content = data.draw(damaged(headers)) + good_bdf[len(headers) :]
    read_or_told(lambda: bdf.read(put(file, content)))


@pytest.mark.parametrize("size", ["9" * 5000, "9" * 30, "٣", "²", "0"])
def test_bdf_with_a_strange_size(file, good_bdf, size):
    before, _, after = good_bdf.partition(b' size="')
    content = before + b' size="' + size.encode() + after[after.index(b'"') :]
    read_or_told(lambda: bdf.read(put(file, content)))


def tar_of(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


PLAIN_TAR = tar_of({"a.tbl/table.dat": b"x" * 100, "b.tbl/table.info": b"y" * 50, "é" * 60: b""})


@fuzz
@given(data=st.data())
def test_tgz(tmp_path_factory, file, data):
    tar = data.draw(damaged(gzip.decompress(PLAIN_TAR)[:3000]))
    packed = gzip.compress(tar, 1) if data.draw(st.booleans()) else data.draw(damaged(PLAIN_TAR))
    into = tmp_path_factory.getbasetemp() / uuid.uuid4().hex
    into.mkdir()
    around = set(into.parent.iterdir())
    read_or_told(lambda: tarballs.extract(put(file, packed), into))
    assert set(into.parent.iterdir()) == around
    shutil.rmtree(into)


@fuzz
@given(damaged(LOG) | st.binary(max_size=300))
def test_line_of_casa_s_log(content):
    told = failure_signs.read_line(content.decode(errors="replace"))
    if told:
        assert told.error.sentence.isprintable()
