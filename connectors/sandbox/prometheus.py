"""The Finnish way: the Prometheus HTTP interface over counters in joules.

Speaks what a billing reader needs of it, in the words of Prometheus 2 (ranges and lookback include
both their ends): instant queries with or without a range selector, `query_range` with its limit of
11,000 points a series, series, labels, label values, build information, and errors as
Prometheus words them. Expressions are one series selector with matchers and an optional range;
functions and operators are refused, for nothing may be billed from `rate()` or `increase()`.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from connectors.sandbox.power import PowerBoard
from connectors.sandbox.recordings import Reading, Recording

METRIC = "pdu_outlet_energy_joules_total"
VERSION = "2.53.0"
MAX_POINTS = 11_000
_LOOKBACK_MS = 5 * 60 * 1000
_UNIT_MS = {
    "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000,
    "w": 7 * 86_400_000, "y": 365 * 86_400_000,
}  # fmt: skip
_SELECTOR = re.compile(
    r"\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(?:\{(?P<matchers>.*)\})?\s*"
    r"(?:\[(?P<range>[0-9a-z]+)\])?\s*",
    re.DOTALL,
)
_MATCHER = re.compile(
    r"\s*(?P<label>[a-zA-Z_][a-zA-Z0-9_]*)\s*(?P<op>=~|!~|!=|=)\s*"
    r"(?:\"(?P<double>(?:[^\"\\]|\\.)*)\"|'(?P<single>(?:[^'\\]|\\.)*)')\s*(?:,|$)"
)
_DURATION = re.compile(r"([0-9]+)(ms|[smhdwy])")


class QueryError(ValueError):
    """A query that Prometheus would answer with `bad_data`."""


@dataclass(frozen=True, slots=True)
class Series:
    """One time series: labels with `__name__`, rising times in milliseconds, values as printed."""

    labels: Mapping[str, str]
    times: Sequence[int]
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label condition of a selector."""

    label: str
    operator: str
    value: str

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels is meant; an absent label is an empty one."""
        given = labels.get(self.label, "")
        if self.operator == "=":
            return given == self.value
        if self.operator == "!=":
            return given != self.value
        found = re.fullmatch(self.value, given) is not None
        return found if self.operator == "=~" else not found


@dataclass(frozen=True, slots=True)
class Selector:
    """A parsed expression: matchers and, for a range selector, its length."""

    matchers: tuple[Matcher, ...]
    range_ms: int | None

    def pick(self, series: Iterable[Series]) -> list[Series]:
        """The series that the matchers name."""
        return [s for s in series if all(m.holds(s.labels) for m in self.matchers)]


def parse_selector(text: str) -> Selector:
    """Parses `name{label="value",…}[range]`; everything else is a `QueryError`."""
    found = _SELECTOR.fullmatch(text)
    if found is None or not (found["name"] or found["matchers"]):
        raise QueryError(f'invalid parameter "query": parse error: cannot read {text!r} here')
    matchers = [Matcher("__name__", "=", found["name"])] if found["name"] else []
    rest, at = found["matchers"] or "", 0
    while rest[at:].strip():
        match = _MATCHER.match(rest, at)
        if match is None:
            raise QueryError(
                f'invalid parameter "query": parse error: unexpected {rest[at:]!r} in label '
                "matching"
            )
        value = match["double"] if match["double"] is not None else match["single"]
        matcher = Matcher(match["label"], match["op"], re.sub(r"\\(.)", r"\1", value))
        if matcher.operator in ("=~", "!~"):
            try:
                re.compile(matcher.value)
            except re.error as wrong:
                raise QueryError(
                    f'invalid parameter "query": parse error: error parsing regexp: {wrong}'
                ) from wrong
        matchers.append(matcher)
        at = match.end()
    if all(m.operator in ("=", "=~") and m.value == "" for m in matchers):
        raise QueryError(
            'invalid parameter "query": parse error: vector selector must contain at least one '
            "non-empty matcher"
        )
    return Selector(tuple(matchers), _duration_ms(found["range"]) if found["range"] else None)


def _duration_ms(text: str) -> int:
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise QueryError(f'invalid parameter "query": parse error: bad duration {text!r}')
    total = sum(int(number) * _UNIT_MS[unit] for number, unit in parts)
    if total == 0:
        raise QueryError('invalid parameter "query": parse error: duration must be greater than 0')
    return total


def parse_time(text: str, name: str) -> int:
    """A time parameter, unix seconds with decimals or RFC 3339, in milliseconds."""
    try:
        return int((Decimal(text) * 1000).to_integral_value())
    except InvalidOperation:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise QueryError(f'invalid parameter "{name}": cannot parse "{text}" to a valid timestamp')
    return int(moment.astimezone(UTC).timestamp() * 1000)


def parse_step(text: str) -> int:
    """The step of a range query, seconds or a duration, in milliseconds."""
    try:
        step = int((Decimal(text) * 1000).to_integral_value())
    except InvalidOperation:
        step = _duration_ms(text)
    if step <= 0:
        raise QueryError(
            'invalid parameter "step": zero or negative query resolution step widths are not '
            "accepted. Try a positive integer"
        )
    return step


def _sample(at_ms: int, value: str) -> list[object]:
    return [at_ms // 1000 if at_ms % 1000 == 0 else at_ms / 1000, value]


@dataclass
class PrometheusSite:
    """The HTTP interface over series that `read` hands out; `app` is its ASGI application."""

    read: Callable[[], Sequence[Series]]
    now: Callable[[], datetime]
    is_down: Callable[[], bool] = lambda: False
    version: str = VERSION

    @property
    def app(self) -> Starlette:
        """The routes of the interface."""
        both = ["GET", "POST"]
        return Starlette(
            routes=[
                Route("/-/healthy", self._healthy),
                Route("/-/ready", self._healthy),
                Route("/api/v1/query", self._answering(self._query), methods=both),
                Route("/api/v1/query_range", self._answering(self._query_range), methods=both),
                Route("/api/v1/series", self._answering(self._series), methods=both),
                Route("/api/v1/labels", self._answering(self._labels), methods=both),
                Route("/api/v1/label/{name}/values", self._answering(self._label_values)),
                Route("/api/v1/status/buildinfo", self._answering(self._buildinfo)),
            ]
        )

    async def _healthy(self, _: Request) -> Response:
        if self.is_down():
            return PlainTextResponse("Service Unavailable", 503)
        return PlainTextResponse("Prometheus Server is Healthy.\n")

    def _answering(
        self, answer: Callable[[Request, Mapping[str, list[str]]], object]
    ) -> Callable[[Request], object]:
        async def endpoint(request: Request) -> Response:
            if self.is_down():
                return PlainTextResponse("Service Unavailable", 503)
            given: dict[str, list[str]] = {}
            for name, value in request.query_params.multi_items():
                given.setdefault(name, []).append(value)
            if request.method == "POST":
                for name, value in parse_qsl((await request.body()).decode("utf-8", "replace")):
                    given.setdefault(name, []).append(value)
            try:
                return JSONResponse({"status": "success", "data": answer(request, given)})
            except QueryError as wrong:
                return JSONResponse(
                    {"status": "error", "errorType": "bad_data", "error": str(wrong)}, 400
                )

        return endpoint

    def _query(self, _: Request, given: Mapping[str, list[str]]) -> object:
        selector = parse_selector(_one(given, "query"))
        at = parse_time(given["time"][0], "time") if "time" in given else self._now_ms()
        if selector.range_ms is None:
            result = []
            for series in selector.pick(self.read()):
                last = _value_at(series, at)
                if last is not None:
                    result.append({"metric": dict(series.labels), "value": _sample(at, last)})
            return {"resultType": "vector", "result": result}
        matrix = []
        for series in selector.pick(self.read()):
            first = bisect_left(series.times, at - selector.range_ms)
            until = bisect_right(series.times, at)
            if first < until:
                samples = [_sample(series.times[i], series.values[i]) for i in range(first, until)]
                matrix.append({"metric": dict(series.labels), "values": samples})
        return {"resultType": "matrix", "result": matrix}

    def _query_range(self, _: Request, given: Mapping[str, list[str]]) -> object:
        start = parse_time(_one(given, "start"), "start")
        end = parse_time(_one(given, "end"), "end")
        if end < start:
            raise QueryError('invalid parameter "end": end timestamp must not be before start time')
        step = parse_step(_one(given, "step"))
        if (end - start) // step > MAX_POINTS:
            raise QueryError(
                "exceeded maximum resolution of 11,000 points per timeseries. "
                "Try decreasing the query resolution (?step=XX)"
            )
        selector = parse_selector(_one(given, "query"))
        if selector.range_ms is not None:
            raise QueryError(
                'invalid parameter "query": invalid expression type "range vector" for range '
                "query, must be Scalar or instant Vector"
            )
        matrix = []
        for series in selector.pick(self.read()):
            samples = []
            for at in range(start, end + 1, step):
                value = _value_at(series, at)
                if value is not None:
                    samples.append(_sample(at, value))
            if samples:
                matrix.append({"metric": dict(series.labels), "values": samples})
        return {"resultType": "matrix", "result": matrix}

    def _series(self, _: Request, given: Mapping[str, list[str]]) -> object:
        if "match[]" not in given:
            raise QueryError("no match[] parameter provided")
        return [dict(series.labels) for series in self._matched(given)]

    def _labels(self, _: Request, given: Mapping[str, list[str]]) -> object:
        return sorted({label for series in self._matched(given) for label in series.labels})

    def _label_values(self, request: Request, given: Mapping[str, list[str]]) -> object:
        name = request.path_params["name"]
        return sorted({s.labels[name] for s in self._matched(given) if name in s.labels})

    def _matched(self, given: Mapping[str, list[str]]) -> list[Series]:
        """Series that any match[] names (all without one) with a sample between start and end."""
        start = parse_time(given["start"][0], "start") if "start" in given else None
        end = parse_time(given["end"][0], "end") if "end" in given else None
        selectors = [parse_selector(text) for text in given.get("match[]", ())]
        found = []
        for series in self.read():
            if selectors and not any(selector.pick([series]) for selector in selectors):
                continue
            first = bisect_left(series.times, start) if start is not None else 0
            until = bisect_right(series.times, end) if end is not None else len(series.times)
            if first < until:
                found.append(series)
        return found

    def _buildinfo(self, _: Request, __: Mapping[str, list[str]]) -> object:
        return {
            "version": self.version,
            "revision": "stand-in",
            "branch": "HEAD",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        }

    def _now_ms(self) -> int:
        return int(self.now().timestamp() * 1000)


def _one(given: Mapping[str, list[str]], name: str) -> str:
    values = given.get(name)
    if not values or not values[0]:
        raise QueryError(f'invalid parameter "{name}": empty or missing')
    return values[0]


def _value_at(series: Series, at: int) -> str | None:
    """The newest sample at or before `at`, no older than the lookback of five minutes."""
    index = bisect_right(series.times, at) - 1
    if index < 0 or series.times[index] < at - _LOOKBACK_MS:
        return None
    return series.values[index]


@dataclass
class RecordedSeries:
    """The site's counters as Prometheus has stored them by the clock's time."""

    recording: Recording
    now: Callable[[], datetime]
    board: PowerBoard | None = None
    _cache: tuple[tuple[datetime, int], list[Series]] | None = None

    def __call__(self) -> list[Series]:
        """One series a meter, in order of meter."""
        key = (self.now(), 0 if self.board is None else len(self.board.orders))
        if self._cache is None or self._cache[0] != key:
            self._cache = (key, self._read(key[0]))
        return self._cache[1]

    def _read(self, now: datetime) -> list[Series]:
        samples: dict[str, tuple[list[int], list[str]]] = {}
        for reading in self._counted(self.recording.seen_at(now)):
            times, values = samples.setdefault(reading.meter_id, ([], []))
            times.append(int(reading.start.timestamp()) * 1000)
            values.append(f"{reading.value:f}")
        site_id = self.recording.place.site_id
        return [
            Series(
                {"__name__": METRIC, "job": "pdu", "outlet": meter_id, "site": site_id},
                times,
                values,
            )
            for meter_id, (times, values) in samples.items()
        ]

    def _counted(self, readings: Iterable[Reading]) -> Iterator[Reading]:
        """The counters as they stand if machines that are switched off use nothing."""
        site_id = self.recording.place.site_id
        switched = frozenset[str]() if self.board is None else self.board.switched(site_id)
        before: dict[str, Reading] = {}
        unused: dict[str, Decimal] = {}
        for reading in readings:
            meter_id = reading.meter_id
            if self.board is None or meter_id not in switched:
                yield reading
                continue
            last = before.get(meter_id)
            before[meter_id] = reading
            if last is None or reading.value < last.value:
                unused[meter_id] = Decimal(0)  # the first, or the counter starts again
            elif self.board.state(site_id, meter_id, last.start) == "off":
                unused[meter_id] += reading.value - last.value
            yield replace(reading, value=reading.value - unused[meter_id])
