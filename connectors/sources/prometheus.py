"""Prometheus: the raw samples of counters and gauges, as they were scraped.

Samples come from the instant query with a range selector (``metric[6h]``), which returns what is
stored. ``query_range`` is never used: it evaluates at steps (and refuses more than 11,000 of them a
series), and neither are ``increase()`` and ``rate()``, which extrapolate: an invoice must not. A
counter is landed as a register, so that resets are seen and not smoothed over; differences are the
warehouse's work. https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from connectors.base import Batch, ConfigModel, SourceContext, Window
from connectors.errors import (
    AnswerTooLargeError,
    SourceAnswerError,
    SourceRefused,
    SourceUnavailable,
)
from connectors.http import Answer, HttpClient, HttpConfig, parse_json
from connectors.rows import BatchBuilder, fields_of
from connectors.tables import READINGS
from connectors.units import UNITS, fit_decimal, kinds_of, multiply_exactly

logger = logging.getLogger("connectors.prometheus")

KIND: Final = "prometheus"

# Prometheus refuses to give more points than this for a series in query_range; a piece of a
# window is kept below it as well, so that no answer grows without bound.
MAX_POINTS: Final = 11_000
_SELECTOR: Final = re.compile(
    r"""\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(\{(?:[^"'`{}]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)*\})?\s*"""
)
_SHORTEST: Final = dt.timedelta(minutes=1)
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Query(ConfigModel):
    """A set of series that measure one thing in one unit."""

    series: str
    """Selector of the series, such as `pdu_energy_wh_total{job="pdu"}`; no functions, no range."""
    meter_id: str
    """The meter's name made from labels, such as `{instance}/{outlet}`."""
    metric: Literal["energy", "power", "runtime", "traffic", "fuel"]
    kind: Literal["register", "gauge"]
    """`register` for a counter, `gauge` for an instantaneous value (power only)."""
    unit: str
    multiply: Decimal = Field(default=Decimal(1), gt=0)
    """Exact factor, for exporters that count in tenths: `"0.1"`."""

    @field_validator("series")
    @classmethod
    def _selector_only(cls, series: str) -> str:
        if not series.strip() or not _SELECTOR.fullmatch(series):
            raise ValueError(
                'expected a selector such as name{label="value"}; functions and ranges change '
                "samples, and only raw ones are billed"
            )
        return series.strip()

    @field_validator("meter_id")
    @classmethod
    def _template(cls, meter_id: str) -> str:
        fields_of(meter_id)
        return meter_id

    @model_validator(mode="after")
    def _goes_together(self) -> Query:
        if self.unit not in UNITS[self.metric]:
            raise ValueError(f"{self.metric} comes in {', '.join(UNITS[self.metric])}")
        if self.kind not in kinds_of(self.metric):
            raise ValueError("gauge goes with power and nothing else, register with the others")
        return self


class Config(HttpConfig):
    """A site whose meters are scraped by Prometheus, or by what answers like it."""

    readings: list[Query] = Field(min_length=1)
    piece_hours: int = Field(default=6, ge=1, le=24 * 7)
    """How much of a window is asked for at once."""
    scrape_seconds: int = Field(default=15, ge=1, le=3600)
    """How often the site scrapes at most; pieces are kept below 11,000 samples a series."""

    @property
    def piece(self) -> dt.timedelta:
        """Length of the pieces a window is asked for in."""
        most = dt.timedelta(seconds=self.scrape_seconds * (MAX_POINTS - 1))
        return min(dt.timedelta(hours=self.piece_hours), most)


class Prometheus:
    """Connector for one Prometheus server."""

    def __init__(self, config: Config, context: SourceContext, client: HttpClient) -> None:
        self._config = config
        self._context = context
        self._client = client

    def capabilities(self) -> frozenset[str]:
        """Return that it gives readings."""
        return frozenset({READINGS.name})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def readings(self, window: Window) -> Iterator[Batch]:
        """Yield the raw samples of the window, piece by piece."""
        for query in self._config.readings:
            # One origin for all: two series that claim one meter and instant contradict each other.
            builder = BatchBuilder(READINGS, origin=f"{self._config.url} readings")
            for piece in window.pieces(self._config.piece):
                for asked, matrix in self._samples(query, piece):
                    self._add(builder, query, matrix, asked)
                    if builder.full():
                        yield builder.take()
            yield from builder.rest()

    def _samples(self, query: Query, window: Window) -> Iterator[tuple[Window, list[Any]]]:
        """Ask for a piece; halve it where the server finds it too large."""
        # From Prometheus 3 on a range leaves out its left end; earlier versions include it. A
        # millisecond more, which is the resolution of a sample, covers both.
        milliseconds = _milliseconds(window.end - window.start) + 1
        params = {
            "query": f"{query.series}[{milliseconds}ms]",
            "time": f"{Decimal(_milliseconds(window.end - _EPOCH)) / 1000:.3f}",
        }
        divisible = window.end - window.start > _SHORTEST
        try:
            answer = self._client.request(
                "GET", "api/v1/query", params=params, accept=frozenset({400, 422})
            )
        except AnswerTooLargeError:
            if not divisible:
                raise
            yield from self._halves(query, window)
            return
        if answer.status in (400, 422):
            words = _refusal(answer)
            if "too many samples" in words and divisible:
                yield from self._halves(query, window)
                return
            raise SourceRefused(
                self._context.site_id, f"the query {params['query']} is not accepted: {words}"
            )
        body = self._client.read_json(answer)
        data = body.get("data") if isinstance(body, Mapping) else None
        if (
            not isinstance(data, Mapping)
            or body.get("status") != "success"
            or data.get("resultType") != "matrix"
            or not isinstance(data.get("result"), list)
        ):
            raise SourceAnswerError(
                self._context.site_id,
                f"the query {params['query']} was not answered with a matrix of samples; is "
                f"{self._config.url} a Prometheus?",
            )
        for warning in body.get("warnings", []):
            logger.warning("site=%s prometheus warns: %s", self._context.site_id, warning)
        if body.get("warnings"):
            # A federated store answers 200 with a warning when a part of it is out of reach.
            raise SourceUnavailable(
                self._context.site_id,
                f"the answer to {params['query']} may be partial: {body['warnings'][0]}",
            )
        yield window, data["result"]

    def _halves(self, query: Query, window: Window) -> Iterator[tuple[Window, list[Any]]]:
        for piece in window.pieces((window.end - window.start) / 2):
            yield from self._samples(query, piece)

    def _add(self, builder: BatchBuilder, query: Query, matrix: list[Any], window: Window) -> None:
        claims: dict[str, list[tuple[dt.datetime, dt.datetime, int]]] = defaultdict(list)
        read: list[tuple[str, Mapping[str, str], list[tuple[dt.datetime, Any]]]] = []
        for series in matrix:
            labels, values = self._series(series)
            meter_id = self._meter_id(query, labels)
            if meter_id is None:
                for _ in values:
                    builder.reject(
                        f"the series has not all labels of {query.meter_id}",
                        field="meter_id",
                        value=query.meter_id,
                        raw=_shown(labels),
                    )
                continue
            samples = [
                (instant, value)
                for instant, value in values
                if window.start <= instant < window.end
            ]
            if samples:
                claims[meter_id].append((samples[0][0], samples[-1][0], len(read)))
                read.append((meter_id, labels, samples))
        crossing = _crossing(claims)
        for number, (meter_id, labels, samples) in enumerate(read):
            for instant, value in samples:
                if number in crossing:
                    builder.reject(
                        "two series give this meter at the same time; add labels to meter_id or "
                        "to the selector until they are told apart",
                        meter=meter_id,
                        field="meter_id",
                        value=value,
                        raw=f"{_shown(labels)} at {instant.isoformat()}",
                    )
                else:
                    self._add_sample(builder, query, meter_id, instant, value)

    def _add_sample(
        self,
        builder: BatchBuilder,
        query: Query,
        meter_id: str,
        instant: dt.datetime,
        value: Any,
    ) -> None:
        try:
            number = multiply_exactly(_number(value), query.multiply)
            number = fit_decimal(number, precision=24, scale=9)
        except ValueError as error:
            builder.reject(
                str(error), meter=meter_id, field="value", value=value, raw=instant.isoformat()
            )
            return
        builder.add(
            (
                self._context.site_id,
                KIND,
                meter_id,
                query.metric,
                query.kind,
                query.unit,
                instant,
                None,
                number,
                "good",
            )
        )

    def _series(self, series: Any) -> tuple[Mapping[str, str], list[tuple[dt.datetime, Any]]]:
        try:
            labels = series["metric"]
            samples = [(_instant(stamp), value) for stamp, value in series.get("values", [])]
        except (TypeError, KeyError, ValueError, ArithmeticError, AttributeError):
            raise SourceAnswerError(
                self._context.site_id, f"a series of the answer is not readable: {series!r}"[:500]
            ) from None
        return labels, samples

    def _meter_id(self, query: Query, labels: Mapping[str, str]) -> str | None:
        if any(not labels.get(name) for name in fields_of(query.meter_id)):
            return None
        return re.sub(r"\{([^{}]+)\}", lambda match: labels[match[1]], query.meter_id)


def _refusal(answer: Answer) -> str:
    try:
        body = parse_json(answer.content)
    except (ValueError, ArithmeticError):
        return f"status {answer.status}"
    error = body.get("error") if isinstance(body, Mapping) else None
    return str(error)[:300] if error else f"status {answer.status}"


def _crossing(claims: Mapping[str, list[tuple[dt.datetime, dt.datetime, int]]]) -> set[int]:
    """Return the series that claim a meter while another one does.

    One after the other is fine: a series begins anew when a label of its target changes.
    """
    crossing: set[int] = set()
    for spans in claims.values():
        ordered = sorted(spans)
        until, holder = ordered[0][1], ordered[0][2]
        for start, end, number in ordered[1:]:
            if start <= until:
                crossing |= {number, holder}
            if end > until:
                until, holder = end, number
    return crossing


def _number(value: Any) -> Decimal:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a sample value")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{value} is not a finite number")
    return number


def _instant(stamp: Any) -> dt.datetime:
    microseconds = (Decimal(stamp) * 1_000_000).to_integral_value()
    return _EPOCH + dt.timedelta(microseconds=int(microseconds))


def _milliseconds(span: dt.timedelta) -> int:
    return -(-span // dt.timedelta(milliseconds=1))


def _shown(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def build(config: Config, context: SourceContext) -> Prometheus:
    """Build the connector of one site."""
    client = HttpClient(
        config, site_id=context.site_id, secrets=context.secrets, clock=context.clock
    )
    return Prometheus(config, context, client)
