"""Downloads of what a request delivered, and its report."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response, StreamingResponse

from alma_restore.restore.house import House
from alma_restore.web import downloads
from alma_restore.web.access import VisitorDep
from alma_restore.web.house import HouseDep
from alma_restore.web.request_pages import REPORT

router = APIRouter(prefix="/requests/{request_id}")

# Airflow's api-server compresses what names no encoding; these gigabytes would only get slower.
_AS_IT_IS = {"Content-Encoding": "identity"}

# The report is one self-contained page; whatever it holds, it runs nothing and asks nobody.
_REPORT_POLICY = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; frame-ancestors 'self'"
)


@router.get("/download")
def everything(request_id: str, _: VisitorDep, house: HouseDep) -> Response:
    """The whole delivered set as one tar archive."""
    folder = _folder(house, request_id)
    return _tar(folder, folder.name)


@router.get("/files/{name:path}")
def one(request_id: str, name: str, _: VisitorDep, house: HouseDep) -> Response:
    """One file of the delivered set, or one of its folders as a tar archive."""
    folder = _folder(house, request_id)
    path = downloads.inside(folder, name)
    if path.is_dir():
        return _tar(path, path.name)
    return FileResponse(path, filename=path.name, media_type="application/octet-stream", headers=_AS_IT_IS)


@router.get("/report")
def report(request_id: str, _: VisitorDep, house: HouseDep) -> Response:
    """The restore report, to be read in the browser."""
    path = downloads.inside(_folder(house, request_id), REPORT)
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": _REPORT_POLICY})


def _folder(house: House, request_id: str) -> Path:
    record = house.catalogue.get(request_id)
    return downloads.delivered_folder(house.catalogue.delivery(record.id), house.settings)


def _tar(folder: Path, name: str) -> Response:
    tar = downloads.tar_of(folder, name)
    headers = {
        **_AS_IT_IS,
        "Content-Length": str(tar.size_bytes),
        "Content-Disposition": f"attachment; filename*=utf-8''{quote(name)}.tar",
    }
    return StreamingResponse(tar.read(), media_type="application/x-tar", headers=headers)
