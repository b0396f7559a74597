"""The Finnish way to switch machines: one Redfish service for the servers behind all its outlets.

The PDUs of that site only count. Sessions with `X-Auth-Token`; a system is named by its meter;
after GracefulShutdown, which is answered 204, a system stays on for a moment. Now and then the
service answers 503.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.sandbox.places import Place
from connectors.sandbox.power import PowerBoard
from connectors.sandbox.rest_json import Trouble

_ROOT = "/redfish/v1"
_SESSIONS = f"{_ROOT}/SessionService/Sessions"
_KINDS = ("On", "ForceOff", "GracefulShutdown")
TROUBLE = Trouble(busy_every=0, unavailable_every=25, unavailable_first=4)


@dataclass
class RedfishSite:
    """The service's state; `app` is its ASGI application."""

    place: Place
    board: PowerBoard
    now: Callable[[], datetime]
    username: str
    password: str
    is_down: Callable[[], bool]
    trouble: Trouble = TROUBLE
    shutdown_seconds: float = 1
    monotonic: Callable[[], float] = time.monotonic
    _sessions: set[str] = field(default_factory=set)
    _shutting_down: dict[str, float] = field(default_factory=dict)
    _calls: int = 0

    @property
    def app(self) -> Starlette:
        """The routes of the service."""
        return Starlette(
            routes=[
                Route(f"{_ROOT}/", self._root),
                Route(_SESSIONS, self._log_in, methods=["POST"]),
                Route(f"{_SESSIONS}/{{token}}", self._log_out, methods=["DELETE"]),
                Route(f"{_ROOT}/Systems", self._systems),
                Route(f"{_ROOT}/Systems/{{meter_id}}", self._system),
                Route(
                    f"{_ROOT}/Systems/{{meter_id}}/Actions/ComputerSystem.Reset",
                    self._reset,
                    methods=["POST"],
                ),
            ]
        )

    async def _root(self, _: Request) -> Response:
        if self.is_down():
            return _problem(503, "GeneralError", "service is down")
        return JSONResponse(
            {
                "@odata.id": f"{_ROOT}/",
                "RedfishVersion": "1.15.0",
                "Systems": {"@odata.id": f"{_ROOT}/Systems"},
                "Links": {"Sessions": {"@odata.id": _SESSIONS}},
            }
        )

    async def _log_in(self, request: Request) -> Response:
        if self.is_down():
            return _problem(503, "GeneralError", "service is down")
        body = await _object(request)
        given = f"{body.get('UserName')}\n{body.get('Password')}"
        expected = f"{self.username}\n{self.password}"
        if not secrets.compare_digest(given.encode(), expected.encode()):
            return _problem(401, "NoValidSession", "user name or password is wrong")
        token = secrets.token_urlsafe(24)
        self._sessions.add(token)
        address = f"{_SESSIONS}/{token}"
        return JSONResponse(
            {"@odata.id": address}, 201, headers={"x-auth-token": token, "location": address}
        )

    async def _log_out(self, request: Request) -> Response:
        refused = self._refusal(request)
        if refused is None:
            self._sessions.discard(request.path_params["token"])
        return refused or Response(status_code=204)

    async def _systems(self, request: Request) -> Response:
        refused = self._refusal(request)
        if refused is not None:
            return refused
        members = [{"@odata.id": _address(meter_id)} for meter_id in self._meter_ids()]
        return JSONResponse({"Members": members, "Members@odata.count": len(members)})

    async def _system(self, request: Request) -> Response:
        refused = self._refusal(request) or self._missing(request)
        if refused is not None:
            return refused
        meter_id = request.path_params["meter_id"]
        return JSONResponse(
            {
                "@odata.id": _address(meter_id),
                "Id": meter_id,
                "PowerState": "On" if self._state(meter_id) == "on" else "Off",
                "Actions": {
                    "#ComputerSystem.Reset": {
                        "target": f"{_address(meter_id)}/Actions/ComputerSystem.Reset",
                        "ResetType@Redfish.AllowableValues": list(_KINDS),
                    }
                },
            }
        )

    async def _reset(self, request: Request) -> Response:
        refused = self._refusal(request) or self._missing(request)
        if refused is not None:
            return refused
        meter_id = request.path_params["meter_id"]
        kind = (await _object(request)).get("ResetType")
        if kind not in _KINDS:
            return _problem(400, "ActionParameterNotSupported", f"no ResetType {kind!r}")
        state = self._state(meter_id)
        if (kind == "On") == (state == "on"):
            return _problem(409, "ResourceInUse", f"the system is already {state}")
        if kind == "GracefulShutdown":
            self._shutting_down.setdefault(meter_id, self.monotonic() + self.shutdown_seconds)
        else:
            self._shutting_down.pop(meter_id, None)
            self.board.order(self.place.site_id, meter_id, "on" if kind == "On" else "off")
        return Response(status_code=204)

    def _state(self, meter_id: str) -> str:
        due = self._shutting_down.get(meter_id)
        if due is not None and self.monotonic() >= due:
            del self._shutting_down[meter_id]
            self.board.order(self.place.site_id, meter_id, "off")
        return self.board.state(self.place.site_id, meter_id)

    def _meter_ids(self) -> list[str]:
        now = self.now()
        return sorted(
            placement.meter_id
            for placement in self.place.placements
            if placement.valid_from <= now
            and (placement.valid_to is None or placement.valid_to > now)
        )

    def _refusal(self, request: Request) -> Response | None:
        if self.is_down():
            return _problem(503, "GeneralError", "service is down")
        self._calls += 1
        status = self.trouble.of_call(self._calls)
        if status is not None:
            return _problem(status, "ServiceTemporarilyUnavailable", "try again")
        if request.headers.get("x-auth-token") not in self._sessions:
            return _problem(401, "NoValidSession", "no valid session")
        return None

    def _missing(self, request: Request) -> Response | None:
        meter_id = request.path_params["meter_id"]
        if meter_id in self.place.meter_ids:
            return None
        return _problem(404, "ResourceMissingAtURI", f"no system {meter_id!r}")


def _address(meter_id: str) -> str:
    return f"{_ROOT}/Systems/{quote(meter_id, safe='')}"


async def _object(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _problem(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": f"Base.1.15.{code}", "message": message}}, status)
