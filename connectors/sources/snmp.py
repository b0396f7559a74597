"""Power control through the outlets of rack PDUs: SNMP (v2c, or v3 with its user security model).

A PDU takes an order as a number written to one object and shows the outlet's state in another; the
numbers are not the same, and differ between makers and even between two lines of one maker, so each
line has a profile here. Every order is for a state, so one that is sent twice because an answer
was lost does no harm. A PDU stays silent to whoever it does not know: no answer may mean a wrong
community as well as a dead line, and the message says so.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator
from pysnmp.error import PySnmpError
from pysnmp.hlapi.v3arch import asyncio as hlapi
from pysnmp.proto import errind
from pysnmp.proto.rfc1905 import NoSuchInstance, NoSuchObject

from connectors.base import SECRET_NAME, ConfigModel, PowerState, SourceContext
from connectors.errors import (
    ConfigError,
    ConfigFault,
    SourceAnswerError,
    SourceRefused,
    SourceUnavailable,
)
from connectors.meters import (
    check_template,
    checked_pattern,
    filled_host,
    taken_apart,
    words_of,
)

KIND: Final = "snmp"
logger = logging.getLogger("connectors.snmp")

_OID: Final = re.compile(r"\.?\d+(\.\d+)+")
_INDEX: Final = re.compile(r"\d+(\.\d+){0,5}")
# What a PDU says of itself that may be over in a moment; everything else is a refusal.
_PASSING_STATUS: Final = frozenset(
    {"genErr", "resourceUnavailable", "commitFailed", "undoFailed", "inconsistentValue"}
)


# --- profiles ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """What is written to switch an outlet: a number to an object, the outlet's index behind it."""

    oid: str
    value: int


@dataclass(frozen=True, slots=True)
class Profile:
    """How a line of PDUs is switched. ``prefix`` goes before an outlet's number given alone."""

    on: Order
    off: Order
    state: str
    states: Mapping[int, PowerState]
    parts: int
    prefix: str = ""


_APC: Final = "1.3.6.1.4.1.318.1.1"
_RARITAN: Final = "1.3.6.1.4.1.13742.6.4.1.2.1"
_SERVERTECH: Final = "1.3.6.1.4.1.1718"
_EATON: Final = "1.3.6.1.4.1.534.6.6.7.6.6.1"

PROFILES: Final[Mapping[str, Profile]] = {
    # PowerNet-MIB, rPDU2OutletSwitched: the command is on(1) off(2), the state off(1) on(2).
    "apc_rpdu2": Profile(
        on=Order(f"{_APC}.26.9.2.4.1.5", 1),
        off=Order(f"{_APC}.26.9.2.4.1.5", 2),
        state=f"{_APC}.26.9.2.3.1.5",
        states={1: "off", 2: "on"},
        parts=1,
    ),
    # PowerNet-MIB, rPDUOutlet, PDUs of the generation before: state on(1) off(2).
    "apc_rpdu": Profile(
        on=Order(f"{_APC}.12.3.3.1.1.4", 1),
        off=Order(f"{_APC}.12.3.3.1.1.4", 2),
        state=f"{_APC}.12.3.5.1.1.4",
        states={1: "on", 2: "off"},
        parts=1,
    ),
    # PDU2-MIB: switchingOperation off(0) on(1), outletSwitchingState on(7) off(8); pdu.outlet,
    # where the PDU is 1 unless several are linked.
    "raritan_pdu2": Profile(
        on=Order(f"{_RARITAN}.2", 1),
        off=Order(f"{_RARITAN}.2", 0),
        state=f"{_RARITAN}.3",
        states={7: "on", 8: "off"},
        parts=2,
        prefix="1.",
    ),
    # Sentry3-MIB: outletControlAction on(1) off(2), outletStatus off(0) on(1); tower.infeed.outlet.
    "servertech_sentry3": Profile(
        on=Order(f"{_SERVERTECH}.3.2.3.1.11", 1),
        off=Order(f"{_SERVERTECH}.3.2.3.1.11", 2),
        state=f"{_SERVERTECH}.3.2.3.1.5",
        states={0: "off", 1: "on"},
        parts=3,
    ),
    # Sentry4-MIB: st4OutletControlAction on(1) off(2), st4OutletState unknown(0) on(1) off(2);
    # unit.cord.outlet.
    "servertech_sentry4": Profile(
        on=Order(f"{_SERVERTECH}.4.1.8.5.1.2", 1),
        off=Order(f"{_SERVERTECH}.4.1.8.5.1.2", 2),
        state=f"{_SERVERTECH}.4.1.8.3.1.1",
        states={1: "on", 2: "off"},
        parts=3,
    ),
    # EATON-EPDU-MIB: outletControlOffCmd and OnCmd take a delay in seconds, 0 is now;
    # outletControlStatus off(0) on(1); strapping.outlet, 0 for a PDU that is not daisy-chained.
    "eaton_epdu": Profile(
        on=Order(f"{_EATON}.4", 0),
        off=Order(f"{_EATON}.3", 0),
        state=f"{_EATON}.2",
        states={0: "off", 1: "on"},
        parts=2,
        prefix="0.",
    ),
}


@dataclass(frozen=True, slots=True)
class Place:
    """An outlet: the host of its PDU and its index there."""

    host: str
    index: str

    def __str__(self) -> str:
        return f"outlet {self.index} of {self.host}"


# --- configuration -------------------------------------------------------------------------------


class Community(ConfigModel):
    """SNMP version 2c: whoever knows the community may read, or write; nothing is encrypted."""

    version: Literal["2c"]
    community: Annotated[str, SECRET_NAME]
    """Name (under `secrets`) of the community that may write."""
    read_community: Annotated[str | None, SECRET_NAME] = None
    """Name of the one to read states with, if it is another."""


class User(ConfigModel):
    """SNMP version 3, user-based security (RFC 3414): authenticated and encrypted."""

    version: Literal["3"]
    username: str
    auth_protocol: Literal["MD5", "SHA", "SHA224", "SHA256", "SHA384", "SHA512"] = "SHA256"
    auth_secret: Annotated[str, SECRET_NAME]
    """Name (under `secrets`) of the passphrase for authentication, 8 characters or more."""
    priv_protocol: Literal["none", "DES", "3DES", "AES128", "AES192", "AES256"] = "AES128"
    priv_secret: Annotated[str | None, SECRET_NAME] = None
    """Name of the passphrase for encryption."""
    context: str = ""

    @model_validator(mode="after")
    def _encrypted_as_said(self) -> User:
        if (self.priv_protocol == "none") != (self.priv_secret is None):
            raise ValueError("give priv_secret, or write priv_protocol: none if that is meant")
        return self


class OrderConfig(ConfigModel):
    """What is written to switch an outlet."""

    oid: str
    """Object, the index of the outlet goes behind it."""
    value: int

    @field_validator("oid")
    @classmethod
    def _an_oid(cls, oid: str) -> str:
        return _checked_oid(oid)


class Custom(ConfigModel):
    """A PDU that no profile fits."""

    power_on: OrderConfig
    power_off: OrderConfig
    state: str
    """Object with the state, the index of the outlet goes behind it."""
    state_on: list[int] = Field(min_length=1)
    """Numbers that mean on; any that is in neither list is an unknown state."""
    state_off: list[int] = Field(min_length=1)

    @field_validator("state")
    @classmethod
    def _an_oid(cls, oid: str) -> str:
        return _checked_oid(oid)

    @model_validator(mode="after")
    def _told_apart(self) -> Custom:
        if self.power_on == self.power_off:
            raise ValueError("power_on and power_off write the same number to the same object")
        if both := set(self.state_on) & set(self.state_off):
            raise ValueError(f"{min(both)} means both on and off")
        return self


class Outlet(ConfigModel):
    """The outlet of one meter."""

    host: str | None = None
    """Its PDU, if not the site's `host`."""
    outlet: str
    """Its index: `12`, or `1.1.12` where a PDU counts by unit and feed."""

    @field_validator("host")
    @classmethod
    def _a_host(cls, host: str | None) -> str | None:
        return None if host is None else _checked_host(host)

    @field_validator("outlet", mode="before")
    @classmethod
    def _an_index(cls, outlet: Any) -> str:
        # A bare number of YAML.
        text = str(outlet) if isinstance(outlet, int) and not isinstance(outlet, bool) else outlet
        if not isinstance(text, str) or not _INDEX.fullmatch(text):
            raise ValueError("expected the index of an outlet such as 12 or 1.1.12")
        return text


class Config(ConfigModel):
    """PDUs with switched outlets."""

    host: str | None = None
    """Name or address of the PDU; words in braces are filled in by meter: `meter_id`, and the
    named groups of `pattern`, as in `pdu-{rack}.example.com`."""
    outlet: str | None = None
    """Index of the outlet, such as `{outlet}` or `1.{feed}.{outlet}`."""
    pattern: str | None = None
    """Regular expression for whole names of meters whose named groups are words for `host` and
    `outlet`, such as `(?P<rack>[a-z]\\d+)/(?P<outlet>\\d+)`."""
    outlets: dict[str, Outlet] = Field(default_factory=dict)
    """By meter its outlet, `{host, outlet}`; comes before `pattern`."""
    profile: Literal[
        "apc_rpdu2",
        "apc_rpdu",
        "raritan_pdu2",
        "servertech_sentry3",
        "servertech_sentry4",
        "eaton_epdu",
        "custom",
    ]
    """The line of PDUs. `apc_rpdu2` is for AP8xxx and newer, `apc_rpdu` for AP79xx."""
    custom: Custom | None = None
    """The objects, with `profile: custom`."""
    auth: Annotated[Community | User, Field(discriminator="version")]
    port: int = Field(default=161, ge=1, le=65535)
    timeout_seconds: float = Field(default=5, gt=0, le=60)
    """How long to wait for an answer before asking again."""
    retries: int = Field(default=2, ge=0, le=10)
    """How often to ask again."""

    @field_validator("pattern")
    @classmethod
    def _a_pattern(cls, pattern: str | None) -> str | None:
        return checked_pattern(pattern)

    @field_validator("host")
    @classmethod
    def _a_host(cls, host: str | None) -> str | None:
        return None if host is None else _checked_host(host)

    @model_validator(mode="after")
    def _one_outlet_a_meter(self) -> Config:
        if (self.profile == "custom") != (self.custom is not None):
            raise ValueError("profile: custom and the objects under custom go together")
        words = words_of(self.pattern)
        check_template(self.host or "", words)
        by_pattern = bool(check_template(self.outlet or "", words))
        if self.outlet is not None and not by_pattern:
            raise ValueError(
                f"outlet {self.outlet} is one and the same for all meters; write a word such as "
                "{outlet}, or list the meters under outlets"
            )
        if not by_pattern and not self.outlets:
            raise ValueError(
                "nothing says which outlet a meter is: give outlet and pattern, or outlets"
            )
        if by_pattern and self.host is None:
            raise ValueError("outlet says which outlet a meter is, but host is missing")
        if self.pattern is not None and not by_pattern:
            raise ValueError("the groups of pattern do not stand in outlet")
        for meter_id, outlet in self.outlets.items():
            if outlet.host is None and self.host is None:
                raise ValueError(f"outlets: {meter_id} has no host, and there is none for all")
            try:
                self.index_of(outlet.outlet)
            except ValueError as error:
                raise ValueError(f"outlets: {meter_id}: {error}") from None
        return self

    def known(self) -> Profile:
        """Return how the PDUs are switched."""
        if self.custom is None:
            return PROFILES[self.profile]
        states: dict[int, PowerState] = dict.fromkeys(self.custom.state_on, "on")
        states |= dict.fromkeys(self.custom.state_off, "off")
        return Profile(
            on=Order(self.custom.power_on.oid, self.custom.power_on.value),
            off=Order(self.custom.power_off.oid, self.custom.power_off.value),
            state=self.custom.state,
            states=states,
            parts=0,
        )

    def index_of(self, outlet: str) -> str:
        """Return an outlet's index as the profile writes it; raises ``ValueError``."""
        if not _INDEX.fullmatch(outlet):
            raise ValueError(f"{outlet!r} is no index of an outlet such as 12 or 1.1.12")
        # Labels have leading zeros, indexes have not.
        parts = [str(int(part)) for part in outlet.split(".")]
        profile = self.known()
        if profile.prefix and len(parts) == 1:
            return profile.prefix + parts[0]
        if profile.parts and len(parts) != profile.parts:
            raise ValueError(
                f"the index {outlet} has {len(parts)} numbers; {self.profile} counts with "
                f"{profile.parts}"
            )
        return ".".join(parts)

    def place_of(self, meter_id: str) -> Place:
        """Return a meter's outlet; raises ``ValueError`` if nothing says which it is."""
        listed = self.outlets.get(meter_id)
        if listed is not None and listed.host is not None:
            return Place(listed.host, self.index_of(listed.outlet))
        outlet, host = self.outlet if listed is None else listed.outlet, self.host or ""
        if outlet is None:
            raise ValueError("it is not listed under outlets")
        if "{" in f"{host}{outlet}":
            words = taken_apart(meter_id, self.pattern)
            if words is None:
                raise ValueError(f"the pattern {self.pattern} does not fit it")
            host, outlet = filled_host(host, words), outlet.format(**words)
        return Place(host, self.index_of(outlet))

    def power_target(self, meter_id: str) -> str:
        """Return the outlet of a meter."""
        return str(self.place_of(meter_id))

    def power_hosts(self) -> tuple[str, ...]:
        """Return the addresses of all PDUs, with the words of meters left in place."""
        hosts = [self.host, *(outlet.host for outlet in self.outlets.values())]
        return tuple(
            f"snmp://[{host}]:{self.port}" if ":" in host else f"snmp://{host}:{self.port}"
            for host in dict.fromkeys(host for host in hosts if host is not None)
        )


def _checked_oid(oid: str) -> str:
    if not _OID.fullmatch(oid):
        raise ValueError("expected an object identifier such as 1.3.6.1.4.1.318.1.1.26.9.2.4.1.5")
    return oid.lstrip(".")


def _checked_host(host: str) -> str:
    plain = re.sub(r"\{\w+\}", "w", host)
    if not re.fullmatch(r"[A-Za-z0-9.-]+", plain) and not _is_ipv6(plain):
        raise ValueError("expected the name or address of a PDU, without port")
    return host


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


# --- the connector -------------------------------------------------------------------------------

_AUTH: Final = {
    "MD5": hlapi.USM_AUTH_HMAC96_MD5,
    "SHA": hlapi.USM_AUTH_HMAC96_SHA,
    "SHA224": hlapi.USM_AUTH_HMAC128_SHA224,
    "SHA256": hlapi.USM_AUTH_HMAC192_SHA256,
    "SHA384": hlapi.USM_AUTH_HMAC256_SHA384,
    "SHA512": hlapi.USM_AUTH_HMAC384_SHA512,
}
_PRIV: Final = {
    "none": hlapi.USM_PRIV_NONE,
    "DES": hlapi.USM_PRIV_CBC56_DES,
    "3DES": hlapi.USM_PRIV_CBC168_3DES,
    "AES128": hlapi.USM_PRIV_CFB128_AES,
    "AES192": hlapi.USM_PRIV_CFB192_AES,
    "AES256": hlapi.USM_PRIV_CFB256_AES,
}


class Snmp:
    """Power control of a site's machines through the outlets of its PDUs."""

    def __init__(self, config: Config, context: SourceContext) -> None:
        self._config = config
        self._context = context
        self._profile = config.known()
        self._lock = threading.Lock()
        self._runner = asyncio.Runner()
        self._engine: hlapi.SnmpEngine | None = None
        self._answered: set[str] = set()

    def capabilities(self) -> frozenset[str]:
        """Return that machines are switched."""
        return frozenset({"power"})

    def close(self) -> None:
        """Close the sockets."""
        with self._lock:
            if self._engine is not None:
                self._runner.run(self._shut())
                self._engine = None
            self._runner.close()

    def power_lane(self, meter_id: str) -> str:
        """Return the PDU's address."""
        try:
            return f"{self._config.place_of(meter_id).host.lower()}:{self._config.port}"
        except ValueError:
            return f"site {self._context.site_id}"

    def power(self, meter_id: str, state: Literal["on", "off"]) -> None:
        """Ask for the state, unless the outlet is in it; returns when the PDU took the order."""
        place = self._place(meter_id)
        if self._state(place) == state:
            return
        order = self._profile.on if state == "on" else self._profile.off
        oid = f"{order.oid}.{place.index}"
        self._ask(place, oid, hlapi.Integer32(order.value))

    def power_state(self, meter_id: str) -> PowerState:
        """Return the outlet's state; a number that means neither on nor off is ``unknown``."""
        return self._state(self._place(meter_id))

    def _state(self, place: Place) -> PowerState:
        value = self._ask(place, f"{self._profile.state}.{place.index}", None)
        try:
            return self._profile.states.get(int(value), "unknown")
        except (TypeError, ValueError):
            raise SourceAnswerError(
                self._context.site_id,
                f"{place} shows {value!s:.80} as its state; expected a number, is the profile "
                f"{self._config.profile} right?",
            ) from None

    def _place(self, meter_id: str) -> Place:
        try:
            return self._config.place_of(meter_id)
        except ValueError as error:
            raise SourceRefused(
                self._context.site_id,
                f"power.config does not say which outlet meter {meter_id} is: {error}",
            ) from None

    # --- one request ---

    def _ask(self, place: Place, oid: str, value: Any | None) -> Any:
        """Read an object, or write a value to it; returns the value in the answer."""
        try:
            with self._lock:
                error, status, _, bindings = self._runner.run(self._request(place.host, oid, value))
        except (PySnmpError, OSError) as error:
            raise SourceUnavailable(
                self._context.site_id, f"{place.host} cannot be asked: {error}"
            ) from None
        what = "read" if value is None else "switched"
        outcome = str(error or status or "ok")
        logger.info(
            "site=%s host=%s oid=%s asked=%s status=%s",
            self._context.site_id,
            place.host,
            oid,
            what,
            outcome,
        )
        if error is not None:
            raise self._unanswered(place, error, is_order=value is not None)
        if status:
            name = status.prettyPrint()
            message = f"{place} cannot be {what}: the PDU says {name}"
            if name in _PASSING_STATUS:
                raise SourceUnavailable(self._context.site_id, message)
            if value is not None:
                message += "; may this community or user write, and is the outlet switchable?"
            raise SourceRefused(self._context.site_id, message)
        found = bindings[0][1]
        if isinstance(found, (NoSuchInstance, NoSuchObject)):
            raise SourceRefused(
                self._context.site_id,
                f"{place} is not there: the PDU knows no {oid}; is the profile "
                f"{self._config.profile} right, and the outlet's index?",
            )
        self._answered.add(place.host)
        return found

    async def _request(
        self, host: str, oid: str, value: Any | None
    ) -> tuple[Any, Any, Any, tuple[Any, ...]]:
        if self._engine is None:
            self._engine = hlapi.SnmpEngine()
        transport = hlapi.Udp6TransportTarget if ":" in host else hlapi.UdpTransportTarget
        target = await transport.create(
            (host, self._config.port),
            timeout=self._config.timeout_seconds,
            retries=self._config.retries,
        )
        identity = hlapi.ObjectIdentity(oid)
        command: Callable[..., Any] = hlapi.get_cmd if value is None else hlapi.set_cmd
        bound = hlapi.ObjectType(identity) if value is None else hlapi.ObjectType(identity, value)
        context = self._config.auth.context if isinstance(self._config.auth, User) else ""
        answer: tuple[Any, Any, Any, tuple[Any, ...]] = await command(
            self._engine,
            self._credentials(is_order=value is not None),
            target,
            hlapi.ContextData(contextName=context.encode()),
            bound,
            lookupMib=False,
        )
        return answer

    async def _shut(self) -> None:
        if self._engine is not None:
            self._engine.close_dispatcher()
        # Sockets are closed at the loop's next turn.
        await asyncio.sleep(0)

    def _credentials(self, *, is_order: bool) -> Any:
        auth, secrets = self._config.auth, self._context.secrets
        if isinstance(auth, Community):
            name = auth.community if is_order else auth.read_community or auth.community
            return hlapi.CommunityData(secrets[name].get_secret_value(), mpModel=1)
        private = None if auth.priv_secret is None else secrets[auth.priv_secret]
        return hlapi.UsmUserData(
            auth.username,
            authKey=secrets[auth.auth_secret].get_secret_value(),
            privKey=None if private is None else private.get_secret_value(),
            authProtocol=_AUTH[auth.auth_protocol],
            privProtocol=_PRIV[auth.priv_protocol],
        )

    def _unanswered(
        self, place: Place, error: Any, *, is_order: bool
    ) -> SourceUnavailable | SourceRefused:
        if not isinstance(error, errind.RequestTimedOut):
            return SourceRefused(
                self._context.site_id,
                f"{place.host} does not accept who asks ({error}); check user, passphrases and "
                "protocols",
            )
        tries = self._config.retries + 1
        waited = f"in {tries} tries of {self._config.timeout_seconds:g} s"
        if isinstance(self._config.auth, User):
            who = "a PDU with a wrong passphrase for encryption in its book stays silent too"
        elif is_order and place.host in self._answered:
            who = (
                "it did answer a question before, so its community may only read, or the one "
                "for writing is wrong: a PDU says nothing to a community it does not know"
            )
        else:
            who = (
                "check the community too: a PDU says nothing to one it does not know, nor to an "
                "address that may not ask"
            )
        order = "the order" if is_order else "a question"
        return SourceUnavailable(
            self._context.site_id, f"{place.host} did not answer {order} {waited}; {who}"
        )


def build(config: Config, context: SourceContext) -> Snmp:
    """Build the power control of one site; raises ``ConfigError`` on a passphrase too short."""
    auth = config.auth
    if isinstance(auth, User):
        named = {"auth_secret": auth.auth_secret, "priv_secret": auth.priv_secret}
        short = [
            ConfigFault(
                f"power.config.auth.{field}",
                "(not shown)",
                f"the secret {name} is shorter than 8 characters (RFC 3414, 11.2)",
            )
            for field, name in named.items()
            if name is not None and len(context.secrets[name].get_secret_value()) < 8
        ]
        if short:
            raise ConfigError(context.site_id, tuple(short))
    return Snmp(config, context)
