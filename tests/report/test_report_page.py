"""The report: what restore.json says, complete, self-contained, and safe whatever names it holds."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from lxml import html
from small_mous import EBS, FIRST, MOUS
from verified_restore import TIMINGS, Verified, ago

from alma_restore.archive.records import ProductFile
from alma_restore.catalogue.records import StageTiming
from alma_restore.products import calapply, manifest, staging
from alma_restore.report import compose, plots
from alma_restore.report.plots import Plots
from alma_restore.restore import calibrating
from alma_restore.workspace import Workspace

HOSTILE = "</pre></code><script>alert(1)</script><img src=x onerror=alert(1)>\"'"


@pytest.fixture(scope="session")
def page(verified: Verified) -> Any:
    return html.document_fromstring(verified.report())


def said(page: Any) -> str:
    return " ".join(page.text_content().split())


def cells(table: Any) -> list[list[str]]:
    return [[" ".join(cell.text_content().split()) for cell in row.iter("td")] for row in table.iter("tr")]


def test_the_first_screen_says_what_became_of_it(page: Any) -> None:
    assert " ".join(page.find(".//h1").text_content().split()) == f"{MOUS} restored and verified"
    lead = said(page.find_class("lead")[0])
    assert lead == "Calibrated data of ALMA project 2017.1.00370.S, restored from the archive on 2026-01-01 12:00 UTC"
    numbers = [" ".join(item.text_content().split()) for item in page.find_class("numbers")[0]]
    assert [number.split(" ")[0] for number in numbers] == [
        "Execution",
        "Calibrated",
        "Flagged",
        "Largest",
        "Time",
        "CASA",
    ]
    assert numbers[0] == "Execution blocks 3 of session 1, 3"
    assert numbers[4] == "Time taken 20 s 10 s of it CASA"
    assert numbers[5] == "CASA 6.7.0-31 the version that calibrated"
    assert not page.find_class("notice")


def test_verification_leaves_the_report_of_this_restore(verified: Verified) -> None:
    calibrating.verify(verified.house, verified.request_id)
    page = html.parse(verified.workspace.root / "report.html").getroot()
    assert said(page.find(".//h1")) == f"{MOUS} restored and verified"
    assert len(page.find_class("plots")) == len(EBS)
    assert said(page.find_class("stages")[0]).startswith("Verify ")
    assert verified.request_id in said(page.find(".//footer"))


def test_a_restore_does_not_fail_of_its_plots(verified: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "draw", lambda *_: Plots(missing="The plots could not be drawn: no ink."))
    assert calibrating.verify(verified.house, verified.request_id).warnings == ()
    assert "no ink" in (verified.workspace.root / "report.html").read_text()
    history = verified.house.catalogue.history(verified.request_id)
    assert history[-1].note == "The plots could not be drawn: no ink."


def test_manifests_of_imaging_runs_are_no_part_of_the_restore(
    verified: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Staging has moved them away: with one of those in products/, the pipeline may read the wrong one."""
    imaging = ProductFile(f"{MOUS.sanitised}.hifa_image_selfcal.pipeline_manifest.xml", "script", 1)
    wanted = calibrating.wanted_products
    monkeypatch.setattr(calibrating, "wanted_products", lambda files: [*wanted(files), imaging])
    before = verified.facts["products"]
    calibrating.verify(verified.house, verified.request_id)
    assert verified.facts["products"] == before
    assert sum("pipeline_manifest" in product["name"] for product in before) == 1


def test_its_numbers_are_those_of_restore_json(page: Any, verified: Verified) -> None:
    tables = {table.getparent().getparent(): table for table in page.iter("table")}
    blocks = [section for section in tables if section.find_class("plots")]
    assert len(blocks) == len(EBS)
    for uid, section in zip(EBS, blocks, strict=True):
        figures = verified.facts["execution_blocks"][uid]
        assert section.find(".//h2").text == uid
        assert f"{figures['rows']} rows" in said(section)
        assert cells(tables[section])[1:] == [row for field in figures["by_field"] for row in _rows_of(field)]


def _rows_of(field: dict[str, Any]) -> list[list[str]]:
    of_field = [
        field["name"],
        ", ".join(field["intents"]).lower(),
        f"{100 * field['flagged_in_archive']:.1f} %",
        f"{100 * field['flagged']:.1f} %",
    ]
    of_windows = [
        [window, f"{quality['amplitude']:.3g} Jy", f"{quality['phase_scatter_deg']:.1f}°"]
        for window, quality in field["spectral_windows"].items()
    ] or [["", "", ""]]
    return [of_field + of_windows[0], *of_windows[1:]]


def test_a_field_that_is_seen_in_no_calibrated_window_is_told_without_a_flagged_fraction(verified: Verified) -> None:
    changed = verified.facts
    for block in changed["execution_blocks"].values():
        block["by_field"][0] |= {"samples": 0, "open": 0, "flagged": None, "flagged_in_archive": None}
    page = html.fromstring(verified.report(facts=changed))
    by_field = cells(page.xpath("//section[.//figure]//table")[0])[1:]
    assert by_field[0][:4] == ["J1924-2914", "amplitude, bandpass", "", ""]


def test_the_total_flagged_is_that_of_all_samples(page: Any, verified: Verified) -> None:
    fields = [field for block in verified.facts["execution_blocks"].values() for field in block["by_field"]]
    total = sum(field["flagged"] * field["samples"] for field in fields) / sum(field["samples"] for field in fields)
    worst = max(q["phase_scatter_deg"] for field in fields for q in field["spectral_windows"].values())
    assert f"Flagged {100 * total:.1f} %" in said(page)
    assert f"Largest phase scatter {worst:.1f}°" in said(page)


def test_every_file_is_named_with_its_size_and_checksum(page: Any, verified: Verified) -> None:
    files = cells(page.xpath("//section[h2='Files']//table")[0])[1:]
    by_name = {name: (what, size, crc) for what, name, size, crc in files}
    for uid in EBS:
        assert by_name[uid.sanitised][0] == "raw data"
        assert by_name[f"{uid.sanitised}.ms"][0] == "restored"
        assert f"{uid.sanitised}.ms.flagversions.tgz" in by_name
    products = [name for name, (what, _, _) in by_name.items() if what == "calibration"]
    assert sum("caltables" in name for name in products) == 2
    for name in products:
        content = (verified.workspace.products / name).read_bytes()
        assert by_name[name] == ("calibration", _size(len(content)), f"{zlib.crc32(content):08x}")


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e3:.3g} kB" if size_bytes >= 1_000 else f"{size_bytes} B"


def test_listobs_is_there_without_folders_of_this_machine(page: Any, verified: Verified) -> None:
    listings = [pre.text for pre in page.iter("pre") if "MeasurementSet Name" in (pre.text or "")]
    assert len(listings) == len(EBS)
    for wanted in ("CALIBRATE_BANDPASS#ON_SOURCE", "DemoTarget", "Spectral Windows:  (2 unique", "Antennas: 10:"):
        assert all(wanted in listing for listing in listings)
    assert f"MeasurementSet Name:  {FIRST.sanitised}.ms " in listings[0]
    assert str(verified.workspace.root) not in said(page)


def test_it_tells_how_to_do_it_by_hand(page: Any, verified: Verified) -> None:
    by_hand = said(page.xpath("//section[h2='To do it by hand']")[0])
    assert re.search(r"casa --nogui --pipeline -c \.\./products/\S+casa_piperestorescript\.py", by_hand)
    assert "restore_mous.py ../PPR.xml" in by_hand
    assert f"importasdm(asdm='../rawdata/{FIRST.sanitised}'" in by_hand
    applied = [
        call for uid in EBS for call in calapply.read(verified.workspace.products / f"{uid.sanitised}.ms.calapply.txt")
    ]
    assert by_hand.count("applycal(vis=") == len(applied)
    assert all(table in by_hand for call in applied for table in call.gaintable)


def test_by_hand_the_delivered_files_get_the_names_that_the_manifest_has_for_them(
    verified: Verified, tmp_path: Path
) -> None:
    workspace = Workspace(shutil.copytree(verified.workspace.root, tmp_path / "spool", symlinks=True))
    needed = manifest.in_folder(workspace.products).needed
    delivered = [workspace.products / product["name"] for product in verified.facts["products"]]
    for number, file in enumerate(delivered):
        if file.name in needed:  # the archive puts `member.` before it
            delivered[number] = file.rename(file.with_name(f"member.{file.name}"))
    staging.stage(workspace, delivered)
    by_hand = tmp_path / "products"
    by_hand.mkdir()
    for file in delivered:
        shutil.copy(file, by_hand)
    compose.write(workspace, verified.installation, verified.facts, TIMINGS, verified.plots)
    page = html.parse(workspace.root / "report.html")
    (links,) = (pre.text for pre in page.iter("pre") if (pre.text or "").startswith("ln -s "))
    subprocess.run(["bash", "-e"], input=links, text=True, cwd=by_hand, check=True)
    assert all((by_hand / name).read_bytes() == (workspace.products / name).read_bytes() for name in needed)


def test_where_no_name_differs_nothing_is_said_of_links(page: Any) -> None:
    assert "ln -s" not in said(page)


def test_another_casa_than_calibrated_is_told_plainly(verified: Verified) -> None:
    changed = copy.deepcopy(verified.facts)
    changed["calibrated_with"]["casa"] = "6.4.1-12"
    changed["casa_policy"] = "CASA 6.7.0-31 restores, the nearest newer one installed; CASA 6.4.1-12 calibrated."
    page = html.document_fromstring(verified.report(facts=changed))
    assert said(page.xpath("//*[@class='note busy']")[0]) == "calibrated with 6.4.1-12"
    assert changed["casa_policy"] in said(page)
    changed["calibrated_with"]["casa"] = ""
    assert "nobody says which one calibrated" in verified.report(facts=changed)


def test_warnings_come_first(verified: Verified) -> None:
    warned = {**verified.facts, "warnings": ["96% of DemoTarget is flagged", "the phase scatters"]}
    page = html.document_fromstring(verified.report(facts=warned))
    assert said(page.find(".//h1")).endswith("restored, with 2 warnings")
    assert [said(item) for item in page.find_class("notice")[0].iter("li")] == warned["warnings"]


def test_missing_plots_are_told_and_all_else_is_there(verified: Verified, page: Any) -> None:
    without = html.document_fromstring(verified.report(plots=Plots(missing="The plots could not be drawn: no ink.")))
    assert said(without.find_class("notice")[0]) == "The plots could not be drawn: no ink. The data are not affected."
    assert not without.find_class("plots")
    assert len(list(without.iter("table"))) == len(list(page.iter("table")))


def test_stages_are_drawn_to_scale(verified: Verified) -> None:
    by_turns = (
        StageTiming("fetch_asdm", ago(100), ago(80)),
        StageTiming("fetch_products", ago(80), ago(75)),
        StageTiming("fetch_asdm", ago(75), ago(50)),
        StageTiming("run_casa", ago(50), ago(10)),
        StageTiming("verify", ago(10), None),
    )
    page = html.document_fromstring(verified.report(timings=by_turns))
    stages = page.find_class("stages")[0]
    assert said(stages) == "Fetch raw data 45 s Fetch products 5.0 s Run CASA 40 s Verify 10 s"
    spans = [span.get("style") for track in stages.find_class("track") for span in track]
    assert spans[:2] == ["left:0.0%;width:20.0%", "left:25.0%;width:25.0%"]
    assert spans[-1] == "left:90.0%;width:10.0%"
    assert "Time taken 1 min 40 s" in said(page)
    assert verified.report(timings=())


def test_it_needs_nothing_but_itself(page: Any) -> None:
    for element in page.iter():
        assert element.tag not in ("script", "link", "iframe", "object", "embed", "form", "base", "img")
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                assert value.startswith("#")
            if "url(" in value:
                assert re.fullmatch(r"url\(#\w+\)", value)
    style = page.find(".//style").text_content()
    assert "url(" not in style
    assert "@import" not in style
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    used = {
        found for element in page.iter() for value in element.attrib.values() for found in re.findall(r"#(\w+)", value)
    }
    assert used & set(ids) == {found for found in used if not re.fullmatch(r"[0-9a-f]{6}", found)}
    assert len(set(ids)) == len(ids)


def test_what_was_split_off_is_told(verified: Verified) -> None:
    told = verified.facts
    assert told["split"] is None
    name = f"{FIRST.sanitised}_targets.ms"
    told["split"] = {
        "what": "TARGET data, 2 channels averaged into one",
        "whole_ones_delivered": False,
        "measurement_sets": {FIRST: {"name": name, "size_bytes": 4_000_000}},
    }
    told["execution_blocks"][FIRST]["split"] = {
        "rows": 440, "rows_wanted": 880, "fields": ["DemoTarget"], "windows": {"1": {"channels": 16, "of": 32}},
        "compared": 600,
    }  # fmt: skip
    words = said(html.document_fromstring(verified.report(facts=told)))
    assert "Split off 4 MB TARGET data, 2 channels averaged into one" in words
    assert "Split off: DemoTarget, 440 rows averaged of 880; window 1 with 16 of 32 channels. 600 samples" in words
    assert name in words
    assert words.count("restored, not delivered") == len(EBS)


def test_no_name_or_text_breaks_out_of_its_place(verified: Verified) -> None:
    changed = _poisoned(verified.facts)
    listing = verified.workspace.logs / f"{FIRST.sanitised}.ms.listobs.txt"
    calls = verified.workspace.working / "casa_commands.log"
    honest = listing.read_text(), calls.read_text()
    try:
        listing.write_text(HOSTILE)
        calls.write_text(HOSTILE)
        text = verified.report(facts=changed, plots=Plots(missing=HOSTILE))
    finally:
        listing.write_text(honest[0])
        calls.write_text(honest[1])
    page = html.document_fromstring(text)
    assert not list(page.iter("script", "img"))
    assert said(page).count(HOSTILE) > 20


def _poisoned(told: Any) -> Any:
    """The same facts with every text in them hostile, but for what the page goes by."""
    if isinstance(told, dict):
        kept = ("execution_blocks", "sessions", "measurement_sets", "raw_data")
        poisoned = {name: _poisoned(value) for name, value in told.items()}
        return (
            poisoned | {"casa": "6.7.0"}
            if "casa" in told
            else poisoned
            | {name: {uid: _poisoned(value) for uid, value in told[name].items()} for name in kept if name in told}
        )
    if isinstance(told, list):
        return [_poisoned(each) for each in told]
    return HOSTILE if isinstance(told, str) else told


def test_a_long_listing_is_cut_and_says_so(verified: Verified) -> None:
    listing = verified.workspace.logs / f"{FIRST.sanitised}.ms.listobs.txt"
    honest = listing.read_text()
    try:
        listing.write_text("one of many\n" * 5_000)
        text = verified.report()
    finally:
        listing.write_text(honest)
    assert text.count("one of many") == 1_500
    assert "... 3500 more lines; listobs shows them" in text


def test_it_is_small(verified: Verified) -> None:
    assert len(verified.report()) < 200_000 * len(EBS) + 100_000
