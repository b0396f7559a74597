"""Power control through the BMCs of servers: DMTF's Redfish (DSP0266), ComputerSystem.Reset.

A BMC takes an order at once and carries it out later: after a graceful shutdown the system stays
on for as long as its operating system needs, so the order counts as taken when the system is off
or was forced off. Every order is for a state (never PushPowerButton, which means the other state
whatever that is), and is sent only after a look at the state the system is in: many BMCs refuse to
switch off what is off.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from connectors.base import SECRET_NAME, ConfigModel, PowerState, SourceContext
from connectors.errors import (
    ConnectorError,
    SourceAnswerError,
    SourceRefused,
    SourceUnavailable,
)
from connectors.http import (
    Answer,
    BasicAuth,
    HttpClient,
    HttpConfig,
    HttpSettings,
    NoAuth,
    checked_address,
)
from connectors.meters import (
    check_template,
    checked_pattern,
    filled_host,
    filled_path,
    taken_apart,
    words_of,
)

KIND: Final = "redfish"
logger = logging.getLogger("connectors.redfish")

_ROOT: Final = "redfish/v1/"
_SYSTEMS: Final = "/redfish/v1/Systems"
_SESSIONS: Final = "/redfish/v1/SessionService/Sessions"
_RESET: Final = "#ComputerSystem.Reset"
# PoweringOn, PoweringOff and Paused are on the way, and neither.
_STATES: Final[Mapping[object, PowerState]] = {"On": "on", "Off": "off"}


# --- configuration -------------------------------------------------------------------------------


class SessionAuth(ConfigModel):
    """A session of the BMC's: logged in when first needed, logged out at the end."""

    type: Literal["session"]
    username: str
    secret: Annotated[str, SECRET_NAME]
    """Name (under `secrets`) of the password."""


RedfishAuth = Annotated[NoAuth | BasicAuth | SessionAuth, Field(discriminator="type")]


class Machine(ConfigModel):
    """The BMC of one machine."""

    url: str | None = None
    """Its address, if not that of the site's `url`."""
    system: str | None = None
    """Id or path of the system, if the BMC has several."""

    @field_validator("url")
    @classmethod
    def _whole_address(cls, url: str | None) -> str | None:
        return None if url is None else _checked_bmc(url)


def _from_text(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class Config(HttpSettings):
    """BMCs that speak Redfish."""

    url: str | None = None
    """Address of the BMC, such as `https://bmc-{meter_id}.example.com`; words in braces are filled
    in by meter: `meter_id`, and the named groups of `pattern`."""
    system: str | None = None
    """Id (`1`, `System.Embedded.1`) or path of the system; may hold the same words. Not needed
    where a BMC has one only."""
    pattern: str | None = None
    """Regular expression for whole names of meters whose named groups are words for `url` and
    `system`, such as `(?P<host>[a-z0-9-]+)/psu[12]`."""
    machines: dict[str, Annotated[Machine, BeforeValidator(_from_text)]] = Field(
        default_factory=dict
    )
    """By meter the BMC, just its address or `{url, system}`; comes before `url`."""
    auth: RedfishAuth
    power_off: Literal["graceful", "force"] = "graceful"
    """How to switch off: let the operating system end first (GracefulShutdown), or at once
    (ForceOff), which may cost the customer data."""
    force_off_after_seconds: float | None = Field(default=120, ge=0, le=3600)
    """How long a graceful shutdown may take before power is cut; without a value it never is, and
    an order counts as taken when the BMC has it."""
    poll_seconds: float = Field(default=3, gt=0, le=60)
    """Pause between two looks at a system that is shutting down."""

    @field_validator("url")
    @classmethod
    def _whole_address(cls, url: str | None) -> str | None:
        return None if url is None else _checked_bmc(url)

    @field_validator("pattern")
    @classmethod
    def _a_pattern(cls, pattern: str | None) -> str | None:
        return checked_pattern(pattern)

    @model_validator(mode="after")
    def _one_machine_a_meter(self) -> Config:
        words = words_of(self.pattern)
        used = check_template(self.url or "", words) | check_template(self.system or "", words)
        if not used and not self.machines:
            raise ValueError(
                "nothing says which machine a meter is: write {meter_id} into url or system, or "
                "list the meters under machines"
            )
        if used and self.url is None:
            raise ValueError("system says which machine a meter is, but url is missing")
        if not used and self.pattern is not None:
            raise ValueError("the groups of pattern stand neither in url nor in system")
        for meter_id, machine in self.machines.items():
            if machine.url is None and self.url is None:
                raise ValueError(f"machines: {meter_id} has no url, and there is none for all")
        return self

    def addresses(self) -> tuple[str, ...]:
        """Return the addresses of all BMCs, with the words of meters left in place."""
        urls = [self.url, *(machine.url for machine in self.machines.values())]
        return tuple(dict.fromkeys(url for url in urls if url is not None))

    def power_hosts(self) -> tuple[str, ...]:
        """Return the addresses of all BMCs, and of the proxy between here and them."""
        return self.addresses() + (() if self.proxy is None else (self.proxy,))

    def place_of(self, meter_id: str) -> tuple[str, str | None]:
        """Return the address of a meter's BMC and its system there, None for the only one.

        Raises ``ValueError`` if nothing says which they are.
        """
        machine = self.machines.get(meter_id)
        if machine is not None and machine.url is not None:
            # Ids of systems are those of its own BMC, not of the site's common one.
            return machine.url, machine.system
        url, system = self.url or "", self.system
        if machine is not None and machine.system is not None:
            system = machine.system
        elif machine is None and "{" not in f"{url}{system}":
            raise ValueError("it is not listed under machines")
        return _filled(meter_id, url, self.pattern), (
            None if system is None else _filled(meter_id, system, self.pattern)
        )

    def power_target(self, meter_id: str) -> str:
        """Return BMC and system of a meter."""
        url, system = self.place_of(meter_id)
        return url if system is None else f"system {system} of {url}"


def _filled(meter_id: str, text: str, pattern: str | None) -> str:
    """Put the words of a meter into an address or a path."""
    if not check_template(text, words_of(pattern)):
        return text
    words = taken_apart(meter_id, pattern)
    if words is None:
        raise ValueError(f"the pattern {pattern} does not fit it")
    scheme, separator, rest = text.partition("://")
    if not separator:
        return filled_path(text, words)
    host, slash, path = rest.partition("/")
    return f"{scheme}://{filled_host(host, words)}{slash}{filled_path(path, words)}"


def _checked_bmc(url: str) -> str:
    if "${" in url:
        raise ValueError("has a variable of the environment that has no value")
    # Braces are no part of an address; a word in the place of one shows whether the rest is sound.
    checked_address(re.sub(r"\{\w+\}", "w", url))
    return url.rstrip("/").removesuffix("/redfish/v1")


# --- a session of one BMC ------------------------------------------------------------------------


class _Session:
    """Redfish session login (DSP0266, 13.3.4): a token in ``X-Auth-Token``."""

    def __init__(self, site_id: str, auth: SessionAuth, password: SecretStr) -> None:
        self._site_id = site_id
        self._auth = auth
        self._password = password
        self._token: SecretStr | None = None
        self._address: str | None = None
        self.client: HttpClient

    def apply(self, headers: dict[str, str], params: dict[str, str]) -> None:  # noqa: ARG002
        if self._token is None:
            self._log_in()
        assert self._token is not None
        headers["X-Auth-Token"] = self._token.get_secret_value()

    def renew(self) -> bool:
        self._token = self._address = None
        return True

    def _log_in(self) -> None:
        # The root is open to all (DSP0266, 13.3.2), but not every BMC keeps to that.
        root = self.client.request("GET", _ROOT, anonymous=True, accept=frozenset({401, 403}))
        told = self.client.read_json(root) if root.status == 200 else None
        place = _linked(told, "Links", "Sessions") or _SESSIONS
        answer = self.client.request(
            "POST",
            self.client.link(place, of=root.url),
            body={
                "UserName": self._auth.username,
                "Password": self._password.get_secret_value(),
            },
            anonymous=True,
        )
        token = answer.headers.get("X-Auth-Token")
        if not token:
            raise SourceAnswerError(
                self._site_id, f"{root.url} opened a session without X-Auth-Token"
            )
        self._token = SecretStr(token)
        self._address = self._session_address(answer)

    def _session_address(self, answer: Answer) -> str | None:
        """Where the session is ended; some BMCs name themselves by an address of their inside."""
        with contextlib.suppress(SourceRefused):
            if where := answer.headers.get("Location"):
                return self.client.link(where, of=answer.url)
        with contextlib.suppress(SourceRefused, SourceAnswerError):
            if where := _linked(self.client.read_json(answer)):
                return self.client.link(where, of=answer.url)
        return None

    def log_out(self) -> None:
        """End the session: a BMC has few, and keeps one that nobody ends for half an hour."""
        if self._token is None or self._address is None:
            return
        try:
            self.client.request(
                "DELETE", self._address, accept=frozenset({401, 403, 404}), attempts=1
            )
        except ConnectorError as error:
            logger.warning("a session of the BMC was not ended: %s", error)
        self._token = self._address = None


@dataclass(frozen=True)
class _Bmc:
    client: HttpClient
    session: _Session | None

    def close(self) -> None:
        if self.session is not None:
            self.session.log_out()
        self.client.close()


@dataclass(frozen=True)
class _System:
    """A system as its BMC shows it now."""

    path: str
    state: str | None
    target: str
    action: Mapping[str, Any]


# --- the connector -------------------------------------------------------------------------------


class Redfish:
    """Power control of a site's machines through their BMCs."""

    def __init__(
        self,
        config: Config,
        context: SourceContext,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._context = context
        self._transport = transport
        self._sleep = sleep
        self._monotonic = monotonic
        self._bmcs: dict[str, _Bmc] = {}
        self._lock = threading.Lock()

    def capabilities(self) -> frozenset[str]:
        """Return that machines are switched."""
        return frozenset({"power"})

    def close(self) -> None:
        """Log out everywhere and close the connections."""
        while self._bmcs:
            _, bmc = self._bmcs.popitem()
            bmc.close()

    def power_lane(self, meter_id: str) -> str:
        """Return the BMC's address; a manager of many systems takes their orders one by one."""
        try:
            return urlsplit(self._config.place_of(meter_id)[0]).netloc.lower()
        except ValueError:
            return f"site {self._context.site_id}"

    def power(self, meter_id: str, state: Literal["on", "off"]) -> None:
        """Ask for the state; for off it returns when the system is off, or its power was cut.

        With a graceful shutdown that takes up to ``force_off_after_seconds``.
        """
        bmc, path = self._found(meter_id)
        system = self._look(bmc, path)
        if _STATES.get(system.state) == state or (system.state, state) == ("PoweringOn", "on"):
            return
        if state == "on":
            self._reset(bmc, system, self._first_allowed(bmc, system, ("On", "ForceOn")))
        elif self._config.power_off == "force":
            self._reset(bmc, system, self._first_allowed(bmc, system, ("ForceOff",)))
        else:
            self._shut_down(bmc, system)

    def power_state(self, meter_id: str) -> PowerState:
        """Return PowerState; what is on the way from one to the other is ``unknown``."""
        bmc, path = self._found(meter_id)
        return _STATES.get(self._look(bmc, path).state, "unknown")

    def _shut_down(self, bmc: _Bmc, system: _System) -> None:
        patience = self._config.force_off_after_seconds
        forced = () if patience is None else ("ForceOff",)
        kind = self._first_allowed(bmc, system, ("GracefulShutdown", *forced))
        # One that is shutting down already has the order, from us before a kill or from somebody.
        if kind == "ForceOff" or system.state != "PoweringOff":
            self._reset(bmc, system, kind)
        if kind == "ForceOff" or patience is None:
            return
        try:
            self._wait_or_cut(bmc, system, patience)
        except SourceUnavailable:
            raise
        except ConnectorError as error:
            raise SourceUnavailable(
                self._context.site_id,
                f"GracefulShutdown was taken, but then: {error.message}",
            ) from None

    def _wait_or_cut(self, bmc: _Bmc, system: _System, patience: float) -> None:
        until = self._monotonic() + patience
        while self._monotonic() < until:
            self._sleep(min(self._config.poll_seconds, max(0.0, until - self._monotonic())))
            system = self._look(bmc, system.path)
            if _STATES.get(system.state) == "off":
                return
        logger.warning(
            "site=%s %s is still %s %g s after GracefulShutdown; its power is cut",
            self._context.site_id,
            system.path,
            system.state,
            patience,
        )
        self._reset(bmc, system, self._first_allowed(bmc, system, ("ForceOff",)))

    def _reset(self, bmc: _Bmc, system: _System, kind: str) -> None:
        wanted = "on" if kind in ("On", "ForceOn") else "off"
        try:
            bmc.client.order(
                "POST", bmc.client.link(system.target, of=system.path), body={"ResetType": kind}
            )
        except (SourceRefused, SourceUnavailable):
            # Somebody else was quicker, or the answer to our own first attempt was lost.
            with contextlib.suppress(ConnectorError):
                if _STATES.get(self._look(bmc, system.path).state) == wanted:
                    return
            raise

    def _first_allowed(self, bmc: _Bmc, system: _System, kinds: tuple[str, ...]) -> str:
        """Return the first kind of reset the BMC takes; without a list of its own, the first."""
        allowed = system.action.get("ResetType@Redfish.AllowableValues")
        info = system.action.get("@Redfish.ActionInfo")
        if allowed is None and isinstance(info, str):
            described = self._object(bmc, bmc.client.link(info, of=system.path))
            parameters = described.get("Parameters")
            for parameter in parameters if isinstance(parameters, list) else []:
                if isinstance(parameter, Mapping) and parameter.get("Name") == "ResetType":
                    allowed = parameter.get("AllowableValues")
        if not isinstance(allowed, list) or not allowed:
            return kinds[0]
        for kind in kinds:
            if kind in allowed:
                return kind
        raise SourceRefused(
            self._context.site_id,
            f"{system.path} takes no {' or '.join(kinds)}, only {', '.join(map(str, allowed))}",
        )

    # --- finding and reading a system ---

    def _found(self, meter_id: str) -> tuple[_Bmc, str]:
        """Return the BMC of a meter's machine and the full address of its system."""
        try:
            url, system = self._config.place_of(meter_id)
        except ValueError as error:
            raise SourceRefused(
                self._context.site_id,
                f"power.config does not say which machine meter {meter_id} is: {error}",
            ) from None
        bmc = self._bmc(url)
        if system is None:
            return bmc, self._only_system(bmc)
        path = system if system.startswith("/") else f"{_SYSTEMS}/{system}"
        return bmc, bmc.client.link(path, of=bmc.client.absolute(_ROOT))

    def _bmc(self, url: str) -> _Bmc:
        with self._lock:
            if url not in self._bmcs:
                self._bmcs[url] = self._connected(url)
            return self._bmcs[url]

    def _connected(self, url: str) -> _Bmc:
        auth = self._config.auth
        settings = {name: getattr(self._config, name) for name in HttpSettings.model_fields}
        session = None
        if isinstance(auth, SessionAuth):
            password = self._context.secrets[auth.secret]
            session = _Session(self._context.site_id, auth, password)
        client = HttpClient(
            HttpConfig(
                url=url, auth=NoAuth() if isinstance(auth, SessionAuth) else auth, **settings
            ),
            site_id=self._context.site_id,
            secrets=self._context.secrets,
            clock=self._context.clock,
            transport=self._transport,
            sleep=self._sleep,
            monotonic=self._monotonic,
            credentials=session,
        )
        if session is not None:
            session.client = client
        return _Bmc(client, session)

    def _only_system(self, bmc: _Bmc) -> str:
        root = bmc.client.absolute(_ROOT)
        place = _linked(self._object(bmc, root), "Systems") or _SYSTEMS
        address = bmc.client.link(place, of=root)
        members = self._object(bmc, address).get("Members")
        found = [_linked(member) for member in (members if isinstance(members, list) else [])]
        paths = [path for path in found if path is not None]
        if len(paths) != 1:
            listed = ", ".join(path.rstrip("/").rsplit("/", 1)[-1] for path in paths[:20])
            raise SourceRefused(
                self._context.site_id,
                f"{address} lists {len(paths)} systems ({listed or 'none'}); say under system "
                "which one is meant",
            )
        return bmc.client.link(paths[0], of=address)

    def _look(self, bmc: _Bmc, path: str) -> _System:
        found = self._object(bmc, path)
        actions = found.get("Actions")
        action = actions.get(_RESET) if isinstance(actions, Mapping) else None
        action = action if isinstance(action, Mapping) else {}
        state = found.get("PowerState")
        own = urllib.parse.urlsplit(path).path.rstrip("/")
        return _System(
            path=path,
            state=None if state is None else str(state),
            target=str(action.get("target") or f"{own}/Actions/ComputerSystem.Reset"),
            action=action,
        )

    def _object(self, bmc: _Bmc, address: str) -> Mapping[str, Any]:
        body, _ = bmc.client.get_json(address)
        if not isinstance(body, Mapping):
            raise SourceAnswerError(
                self._context.site_id, f"{address} answered no object but {type(body).__name__}"
            )
        return body


def _linked(found: object, *steps: str) -> str | None:
    """Follow the steps into an object and return the link there."""
    for step in (*steps, "@odata.id"):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else None


def build(config: Config, context: SourceContext) -> Redfish:
    """Build the power control of one site."""
    return Redfish(config, context)
