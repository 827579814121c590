"""The app that Airflow's api-server mounts under /mous: every route asks Airflow who is there."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from alma_restore.errors import NotAvailable, Refused, RestoreError
from alma_restore.web import archive_pages, download_routes, event_route, metrics_route, request_pages
from alma_restore.web.access import VisitorDep
from alma_restore.web.rendering import STATIC, page, static

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Nothing comes from outside, and nobody but Airflow's own pages frames us."""

_NOT_FOUND = {"unknown_uid", "unknown_request", "no_download"}


def create_app() -> FastAPI:
    app = FastAPI(title="MOUS restores", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_WithHeaders)
    app.exception_handler(AnyHTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_unreadable)
    app.exception_handler(RestoreError)(_restore_error)
    app.get("/static/{name}")(_static)
    app.include_router(request_pages.router)
    app.include_router(download_routes.router)
    app.include_router(event_route.router)
    app.include_router(metrics_route.router)
    app.include_router(archive_pages.router)  # its `/{mous}` takes what is left
    return app


class _WithHeaders:
    """Adds our headers to every answer that does not bring its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _static(name: str, _: VisitorDep) -> Response:
    if name not in STATIC:
        raise HTTPException(404, "There is no such file.")
    return Response(static(name), media_type=STATIC[name], headers={"Cache-Control": "private, max-age=86400"})


def _http_error(request: Request, error: AnyHTTPException) -> Response:
    if error.status_code == 401 and _wants_page(request) and request.method == "GET":
        return RedirectResponse(_log_in_url(request))
    headings = {401: "Please log in.", 403: "Not allowed.", 404: "Not found."}
    heading = headings.get(error.status_code, "This does not work.")
    return _told(request, error.status_code, heading, str(error.detail))


def _unreadable(request: Request, error: RequestValidationError) -> Response:
    wrong = "; ".join(f"{detail['loc'][-1]}: {detail['msg']}" for detail in error.errors())
    return _told(request, 422, "This cannot be read.", f"{wrong}.")


def _restore_error(request: Request, error: RestoreError) -> Response:
    code = error.code if isinstance(error, Refused) else error.kind
    if isinstance(error, Refused):
        status, heading = (404, "Not found.") if code in _NOT_FOUND else (422, "Refused.")
    elif isinstance(error, NotAvailable):
        status, heading = 503, "Not available now."
    else:
        status, heading = 500, "This installation has a fault."
    return _told(request, status, heading, error.sentence, error.remedy, code)


def _told(
    request: Request, status: int, heading: str, text: str, remedy: str = "", code: str = "http_error"
) -> Response:
    if _wants_page(request):
        return page(request, "message", status_code=status, heading=heading, text=text, remedy=remedy)
    return JSONResponse({"detail": f"{text} {remedy}".strip(), "code": code}, status)


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _log_in_url(request: Request) -> str:
    from airflow.api_fastapi.app import get_auth_manager

    return str(get_auth_manager().get_url_login(next_url=str(request.url)))
