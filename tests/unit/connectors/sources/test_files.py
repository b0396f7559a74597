"""Files as sites drop them: late, cut off, doubled, sent again, in everyone's own format."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import lzma
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from connectors.base import Batch, Rejected, SourceContext, Window
from connectors.errors import ConfigError, SourceUnavailable
from connectors.landing import LandingResult, land
from connectors.sources.files import Config, Files

REALDATA = Path(__file__).parents[5] / "shared" / "realdata"
DAY = dt.datetime(2026, 5, 10, tzinfo=dt.UTC)
WINDOW = Window(DAY, DAY + dt.timedelta(days=2))
MAP: dict[str, Any] = {
    "meter_id": "meter",
    "metric": {"fixed": "energy"},
    "kind": {"fixed": "interval"},
    "unit": {"fixed": "kWh"},
    "value": "kwh",
    "start": "from",
    "minutes": 60,
}
LINES = [
    "meter,from,kwh",
    "m1,2026-05-10T00:00:00Z,1.5",
    "m1,2026-05-10T01:00:00Z,2.25",
    "m1,2026-05-10T02:00:00Z,123.4",
]
CSV = "\n".join(LINES) + "\n"


def files(folder: Path | str, **set_: Any) -> Files:
    whole = {"pattern": "*.csv*", "format": {"type": "csv"}} | set_
    if whole["format"]["type"] in ("csv", "jsonl", "parquet"):
        whole = {"map": MAP} | whole
    config = Config.model_validate({"folder": str(folder), "readings": [whole]})
    context = SourceContext(
        site_id="ET-ADD1", timezone="Africa/Addis_Ababa", secrets={}, clock=lambda: DAY
    )
    return Files(config, context)


def read(folder: Path, *, window: Window = WINDOW, **set_: Any) -> list[Batch]:
    return list(files(folder, **set_).readings(window))


def values(batches: list[Batch]) -> list[str]:
    return [format(v.normalize(), "f") for b in batches for v in b.frame["value"]]


def starts(batches: list[Batch]) -> list[str]:
    return [s.strftime("%dT%H:%M") for b in batches for s in b.frame["interval_start"]]


def rejected(batches: list[Batch]) -> list[Rejected]:
    return [r for batch in batches for r in batch.rejected]


# --- delimited text ------------------------------------------------------------------------------


def test_reads_columns_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    (batch,) = read(tmp_path)
    assert batch.frame.row(0) == (
        "ET-ADD1", "files", "m1", "energy", "interval", "kWh", DAY,
        DAY + dt.timedelta(hours=1), Decimal("1.500000000"), "good",
    )  # fmt: skip
    assert (batch.frame.height, batch.rejected, batch.origin) == (3, (), "a.csv")


def test_export_as_found_in_the_field(tmp_path: Path) -> None:
    # Newest first, a BOM, lines above, a footer, semicolons, decimal commas, local time.
    text = (
        "\ufeffExport 10.05.2026\r\n"
        "\r\n"
        "Zähler;Zeit;Verbrauch (kWh)\r\n"
        "Z-1;10.05.2026 02:00;1.234,50\r\n"
        'Z-1;10.05.2026 01:00;"7,25"\r\n'
        "Z-1;10.05.2026 00:00;0,5\r\n"
        "Summe;;1242,25\r\n"
    )
    (tmp_path / "a.csv").write_bytes(text.encode("utf-8"))
    mapping = MAP | {
        "meter_id": "Zähler",
        "value": "Verbrauch (kWh)",
        "start": {"field": "Zeit", "format": "%d.%m.%Y %H:%M", "timezone": "Europe/Vienna"},
        "numbers": {"decimal_mark": ",", "group_mark": "."},
    }
    format_ = {"type": "csv", "delimiter": ";", "skip_lines": 1, "ignore_lines": ["^Summe;"]}
    batches = read(tmp_path, format=format_, map=mapping)
    assert values(batches) == ["1234.5", "7.25", "0.5"]
    assert starts(batches) == ["10T00:00", "09T23:00", "09T22:00"]
    assert rejected(batches) == []


@pytest.mark.parametrize(("encoding", "bom"), [("cp1252", b""), ("utf-16", b"")])
def test_encodings(tmp_path: Path, encoding: str, bom: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(bom + CSV.replace("m1", "Zähler 1").encode(encoding))
    (batch,) = read(tmp_path, format={"type": "csv", "encoding": encoding})
    assert batch.frame["meter_id"].unique().to_list() == ["Zähler 1"]


def test_tabs_and_columns_named_in_the_book(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("m1\t2026-05-10T00:00:00Z\t1\n")
    format_ = {"type": "csv", "delimiter": "\t", "columns": ["meter", "from", "kwh"]}
    assert values(read(tmp_path, format=format_)) == ["1"]


def test_time_at_the_end_of_the_interval(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    mapping = {k: v for k, v in MAP.items() if k != "start"} | {"end": "from"}
    assert starts(read(tmp_path, map=mapping))[:2] == ["09T23:00", "10T00:00"]


def test_filter_map_template_and_no_reading(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "rack,outlet,from,kwh,state,uom,q\n"
        "r1,1,2026-05-10T00:00:00Z,1,ok,KWH,A\n"
        "r1,2,2026-05-10T00:00:00Z,-1,ok,KWH,A\n"
        "r1,3,2026-05-10T00:00:00Z,3,off,KWH,A\n"
        "r1,4,2026-05-10T00:00:00Z,4,ok,BTU,A\n"
        "r1,5,2026-05-10T00:00:00Z,5,ok,KWH,E\n"
    )
    mapping = MAP | {
        "meter_id": {"template": "{rack}/{outlet}"},
        "unit": {"field": "uom", "map": {"KWH": "kWh"}},
        "quality": {"field": "q", "map": {"A": "good", "E": "estimated"}},
        "no_reading": ["-1"],
        "records": {"only": {"state": ["ok"]}},
    }
    (batch,) = read(tmp_path, map=mapping)
    assert batch.frame.select("meter_id", "quality").rows() == [
        ("r1/1", "good"),
        ("r1/5", "estimated"),
    ]
    assert batch.skipped == 2
    (told,) = batch.rejected
    assert (told.meter, told.field, told.value, told.row) == ("r1/4", "uom", "BTU", 5)


@pytest.mark.parametrize("policy", ["ascending", "descending"])
def test_autumn_hour_printed_twice(tmp_path: Path, policy: str) -> None:
    lines = [f"m1,2026-10-25 {h},{n}" for n, h in enumerate(["01:00", "02:00", "02:00", "03:00"])]
    if policy == "descending":
        lines.reverse()
    (tmp_path / "a.csv").write_text("\n".join(["meter,from,kwh", *lines]) + "\n")
    clock = {"field": "from", "timezone": "Europe/Oslo", "doubled_hour": policy}
    day = dt.datetime(2026, 10, 24, tzinfo=dt.UTC)
    window = Window(day, day + dt.timedelta(days=2))
    (batch,) = read(tmp_path, window=window, map=MAP | {"start": clock})
    got = sorted(zip(starts([batch]), values([batch]), strict=True))
    assert got == [("24T23:00", "0"), ("25T00:00", "1"), ("25T01:00", "2"), ("25T02:00", "3")]


def test_autumn_hour_without_a_policy_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("meter,from,kwh\nm1,2026-10-25 02:00,1\n")
    clock = {"field": "from", "timezone": "Europe/Oslo"}
    (batch,) = read(tmp_path, map=MAP | {"start": clock})
    assert "happened twice in Europe/Oslo" in batch.rejected[0].reason


BAD_LINES = [
    ("m1,2026-05-10T03:00:00Z", "has 2 fields, expected 3"),
    ("m1,2026-05-10T03:00:00Z,1,2", "has 4 fields, expected 3"),
    ("m1,2026-05-10T03:00:00Z,abc", "is not a number"),
    ("m1,2026-05-10T03:00:00Z,", "is not a number"),
    ("m1,2026-05-10T03:00:00Z,1e40", "more than 15 digits"),
    ("m1,2026-05-10T03:00:00,1", "has no offset from UTC"),
    ("m1,,1", "is missing; it gives the time"),
    ('m1,"2026-05-10"x,1', "is no row of delimited text"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_bad_line_is_set_aside_and_the_rest_read(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "a.csv").write_text("\n".join([*LINES[:3], line, LINES[3]]) + "\n")
    (batch,) = read(tmp_path)
    assert batch.frame.height == 3
    (told,) = batch.rejected
    assert reason in told.reason
    assert (told.row, told.origin) == (4, "a.csv")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    content = CSV.encode().replace(b"m1,2026-05-10T01", b"m\xff\xfe,2026-05-10T01")
    (tmp_path / "a.csv").write_bytes(content.replace(b",123.4", b",12\x003.4"))
    (batch,) = read(tmp_path)
    assert batch.frame.height == 1
    assert [r.reason for r in batch.rejected] == ["is not text in utf-8"] * 2


def test_missing_column_refuses_the_file_and_not_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV.replace("kwh", "kWh"))
    (tmp_path / "b.csv").write_text(CSV)
    batches = read(tmp_path)
    assert len(values(batches)) == 3
    (told,) = rejected(batches)
    assert "columns missing: kwh; nothing of the file was read" in told.reason
    assert told.raw == "meter,from,kWh"


def test_column_named_twice(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("meter,from,kwh,kwh\nm1,2026-05-10T00:00:00Z,1,2\n")
    assert "columns named twice: kwh" in rejected(read(tmp_path))[0].reason


@pytest.mark.parametrize("cut", [1, 2, 4, 5, 6, 12, 24, 29, 30])
def test_cut_off_last_line_is_never_half_a_number(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a.csv").write_text(CSV[:-cut])
    batches = read(tmp_path)
    assert values(batches) == ["1.5", "2.25"]
    assert len(rejected(batches)) == (0 if cut == 30 else 1)


def test_last_line_without_end_if_the_site_never_ends_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV.rstrip("\n"))
    format_ = {"type": "csv", "final_newline": "optional"}
    assert len(values(read(tmp_path, format=format_))) == 3


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gz", "xz"])
def test_compressed_whole_and_cut_off(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    suffix = "gz" if pack is gzip.compress else "xz"
    lines = [f"m{n},2026-05-10T00:00:00Z,{n * 7919 % 10007}.{n}" for n in range(20000)]
    packed = pack("\n".join(["meter,from,kwh", *lines, ""]).encode())
    (tmp_path / f"a.csv.{suffix}").write_bytes(packed)
    assert len(values(read(tmp_path))) == 20000
    (tmp_path / f"a.csv.{suffix}").write_bytes(packed[: len(packed) * 2 // 3])
    batches = read(tmp_path)
    got = values(batches)
    assert 1000 < len(got) < 20000
    assert got == [
        format(Decimal(line.split(",")[2]).normalize(), "f") for line in lines[: len(got)]
    ]
    assert "the compressed file is cut off after line" in rejected(batches)[-1].reason


def test_compressed_and_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(b"not gzip at all")
    assert "the compressed file is damaged" in rejected(read(tmp_path))[0].reason


@pytest.mark.parametrize("content", ["", "meter,from,kwh\n", "\n\n"])
def test_empty_files_are_just_empty(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    assert values(read(tmp_path)) == []
    assert rejected(read(tmp_path)) == []


def test_line_without_end_does_not_fill_memory(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV + "x" * 5_000_000)
    batches = read(tmp_path)
    assert len(values(batches)) == 3
    assert "does not end within" in rejected(batches)[0].reason


def test_unclosed_quote_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n".join([*LINES[:2], 'm1,"2026', *LINES[2:]]) + "\n")
    batches = read(tmp_path)
    assert values(batches) == ["1.5"]
    assert len(rejected(batches)) == 1


ROWS = [(f"m{n}", f"2026-05-10T{n:02d}:00:00Z", f"{1 + n * 37 % 11}{n}.{n}5") for n in range(24)]
WHOLE = {
    "csv": "meter,from,kwh\n" + "".join(f"{m},{t},{v}\n" for m, t, v in ROWS),
    "quoted": "meter,from,kwh\n" + "".join(f'"{m}","{t}","{v}"\n' for m, t, v in ROWS),
    "jsonl": "".join(f'{{"meter": "{m}", "from": "{t}", "kwh": {v}}}\n' for m, t, v in ROWS),
}


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    part=st.floats(min_value=0, max_value=1),
    packing=st.sampled_from(["", ".gz", ".xz"]),
)
def test_wherever_a_file_is_cut_no_row_is_invented(
    kind: str,
    part: float,
    packing: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    content = WHOLE[kind].encode()
    if packing:
        content = gzip.compress(content) if packing == ".gz" else lzma.compress(content)
    cut = content[: int(len(content) * part)]
    folder = tmp_path_factory.mktemp("cut")
    (folder / f"a{packing}").write_bytes(cut)
    format_ = {"type": "jsonl" if kind == "jsonl" else "csv"}
    batches = read(folder, pattern="a*", format=format_)
    got = [
        (row["meter_id"], row["interval_start"].strftime("%Y-%m-%dT%H:%M:%SZ"), row["value"])
        for batch in batches
        for row in batch.frame.iter_rows(named=True)
    ]
    expected = [(m, t, Decimal(v)) for m, t, v in ROWS]
    assert got == expected[: len(got)]
    if cut == content:
        assert got == expected
        assert rejected(batches) == []
    elif len(got) < len(expected) and cut and packing:
        assert rejected(batches) != []


# --- other formats -------------------------------------------------------------------------------


def test_json_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"d": {"id": 7}, "points": [0.1], "from": "2026-05-10T00:00:00Z"}\n'
        "\n"
        "[1]\n"
        '{"d": \n'
        '{"d": {"id": 8}, "points": [0.3], "from": "2026-05-10T00:00:00Z"}\n'
        '{"d": {"id": 9}, "points": [0.'
    )
    mapping = MAP | {"meter_id": "d.id", "value": "points.0"}
    batches = read(tmp_path, pattern="*.jsonl", format={"type": "jsonl"}, map=mapping)
    assert values(batches) == ["0.1", "0.3"]
    assert [r.row for r in rejected(batches)] == [3, 4, 6]
    assert "the file is cut off here" in rejected(batches)[2].reason


def test_parquet(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "meter": ["m1", "m2", "m3"],
            "from": [DAY, DAY, DAY],
            "kwh": [Decimal("0.1"), Decimal("2"), None],
            "other": [1, 2, 3],
        },
        schema_overrides={"from": pl.Datetime("ns", "UTC"), "kwh": pl.Decimal(12, 3)},
    )
    frame.write_parquet(tmp_path / "a.parquet")
    frame.with_columns(pl.col("kwh").cast(pl.Float64)).write_parquet(tmp_path / "b.parquet")
    (tmp_path / "c.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-100])
    frame.drop("kwh").write_parquet(tmp_path / "d.parquet")
    batches = read(tmp_path, pattern="*.parquet", format={"type": "parquet"}, order="name")
    assert values(batches) == ["0.1", "2", "0.1", "2"]
    reasons = [r.reason for r in rejected(batches)]
    assert reasons[0] == reasons[1] == "is not a number"
    assert "is no whole Parquet file" in reasons[2]
    assert "columns missing: kwh" in reasons[3]


def espi(*readings: str, reading_type: str = "", cut: int | None = None) -> str:
    type_ = reading_type or (
        "<accumulationBehaviour>4</accumulationBehaviour><flowDirection>1</flowDirection>"
        "<powerOfTenMultiplier>3</powerOfTenMultiplier><uom>72</uom>"
    )
    entry = "<entry>{links}<title>{title}</title><content>{content}</content></entry>"
    up = "/Up/UsagePoint/5/MeterReading/01"
    block = "".join(f"<IntervalReading>{reading}</IntervalReading>" for reading in readings)
    return (
        '<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom">'
        + entry.format(
            links='<link rel="self" href="/Up/UsagePoint/5"/>',
            title="Main",
            content='<UsagePoint xmlns="http://naesb.org/espi"/>',
        )
        + entry.format(
            links=f'<link rel="self" href="{up}"/><link rel="related" href="/ReadingType/7"/>',
            title="",
            content='<MeterReading xmlns="http://naesb.org/espi"/>',
        )
        + entry.format(
            links=f'<link rel="up" href="{up}/IntervalBlock"/>',
            title="",
            content=f'<IntervalBlock xmlns="http://naesb.org/espi">{block}</IntervalBlock>',
        )
        + entry.format(
            links='<link rel="self" href="/ReadingType/7"/>',
            title="",
            content=f'<ReadingType xmlns="http://naesb.org/espi">{type_}</ReadingType>',
        )
        + "</feed>"
    )[:cut]


def espi_reading(value: object, *, quality: str = "", start: object = 1778371200) -> str:
    period = f"<timePeriod><duration>900</duration><start>{start}</start></timePeriod>"
    said = f"<ReadingQuality><quality>{quality}</quality></ReadingQuality>" if quality else ""
    return f"{said}{period}<value>{value}</value>"


def green(tmp_path: Path, text: str, **format_: str) -> list[Batch]:
    (tmp_path / "a.xml").write_text(text)
    return read(
        tmp_path,
        pattern="*.xml",
        format={"type": "green_button", "meter_id": "{usage_point}/{meter_reading}/{title}"}
        | format_,
    )


def test_green_button_whatever_the_order_of_entries(tmp_path: Path) -> None:
    (batch,) = green(tmp_path, espi(espi_reading(282, quality="8"), espi_reading("0")))
    assert batch.frame.row(0) == (
        "ET-ADD1", "files", "5/01/Main", "energy", "interval", "Wh", DAY,
        DAY + dt.timedelta(minutes=15), Decimal(282000), "estimated",
    )  # fmt: skip
    assert batch.frame["quality"].to_list() == ["estimated", "good"]


def test_green_button_faults(tmp_path: Path) -> None:
    batches = green(
        tmp_path,
        espi(
            espi_reading(1),
            espi_reading(""),
            espi_reading("1", start="soon"),
            espi_reading(2, quality="12"),
            espi_reading(2, quality="77"),
            "<value>3</value>",
        ),
    )
    assert values(batches) == ["1000"]
    reasons = [r.reason for r in rejected(batches)]
    assert len(reasons) == 5
    assert "it is a forecast" in reasons[2]
    assert "quality 77 is not known" in reasons[3]


def test_green_button_other_units_flows_and_types(tmp_path: Path) -> None:
    therms = "<accumulationBehaviour>4</accumulationBehaviour><uom>169</uom>"
    (batch,) = green(tmp_path, espi(espi_reading(1), reading_type=therms))
    assert batch.rejected[0].value == "169/4"
    (batch,) = green(tmp_path, espi(espi_reading(1)), flow="reverse")
    assert (batch.skipped, batch.frame.height) == (1, 0)
    text = espi(espi_reading(1)).replace('rel="self" href="/ReadingType/7"', 'rel="x"')
    assert "its ReadingType is not in the feed" in green(tmp_path, text)[0].rejected[0].reason


def test_green_button_register_and_power(tmp_path: Path) -> None:
    register = "<accumulationBehaviour>3</accumulationBehaviour><uom>72</uom>"
    (batch,) = green(tmp_path, espi(espi_reading(1), reading_type=register))
    assert batch.frame.row(0)[3:8] == ("energy", "register", "Wh", DAY, None)
    power = "<accumulationBehaviour>12</accumulationBehaviour><uom>38</uom>"
    (batch,) = green(tmp_path, espi(espi_reading(1), reading_type=power))
    assert batch.frame.row(0)[3:6] == ("power", "gauge", "W")


def test_green_button_cut_off(tmp_path: Path) -> None:
    batches = green(tmp_path, espi(espi_reading(1), cut=-5))
    assert values(batches) == ["1000"]
    assert "is not whole XML" in rejected(batches)[0].reason


LOG = """Timestamp: 2026-05-10 00:00:01 UTC
Fan 1            | 7000 RPM          | ok
Sys Power        | 310 Watts         | ok
PSU Power        | 2555 Watts        | ok
Timestamp: 2026-05-10 00:01:02 UTC
Sys Power        | no reading        | ns
Timestamp: 2026-05-10 00:02
Sys Power        | 320 Watts         | ok
Timestamp: 2026-05-10 00:03:01 UTC
Sys Power        | 0x01              | ok
Sys Power        | 40 degrees C      | ok
Timestamp: 2026-05-10 00:04:01 UTC
Sys Power        | 330 Watts         | ok
"""
IPMI = {
    "type": "ipmitool",
    "sensors": ["Sys Power"],
    "file_name": r"(?P<node>[^/]+)-\d{4}",
    "meter_id": "{node}",
}


def test_ipmi_log(tmp_path: Path) -> None:
    (tmp_path / "n1-2026.txt").write_text(LOG)
    (tmp_path / "other.txt").write_text(LOG)
    batches = read(tmp_path, pattern="*.txt", format=IPMI, order="name")
    assert values(batches) == ["310", "330"]
    assert batches[0].frame["meter_id"].unique().to_list() == ["n1"]
    assert batches[0].frame.row(0)[3:8] == (
        "power", "gauge", "W", DAY + dt.timedelta(seconds=1), None,
    )  # fmt: skip
    assert [r.row for r in rejected(batches)] == [7, 8, 10, 11, None]
    assert "file_name" in rejected(batches)[4].reason
    assert batches[0].skipped == 1


def test_ipmi_several_sensors_and_saturation(tmp_path: Path) -> None:
    (tmp_path / "n1-2026.txt").write_text(LOG)
    format_ = IPMI | {
        "sensors": ["Sys Power", "PSU Power"], "meter_id": "{node}/{sensor}",
        "no_reading": ["2555"],
    }  # fmt: skip
    (batch,) = read(tmp_path, pattern="*.txt", format=format_)
    assert batch.frame["meter_id"].unique().to_list() == ["n1/Sys Power"]
    assert batch.skipped == 2


@pytest.mark.parametrize("cut", range(1, 12))
def test_ipmi_cut_off_is_never_half_a_number(tmp_path: Path, cut: int) -> None:
    (tmp_path / "n1-2026.txt").write_text(LOG.rstrip("\n")[: -cut * 4])
    assert "3" not in values(read(tmp_path, pattern="*.txt", format=IPMI))
    assert "33" not in values(read(tmp_path, pattern="*.txt", format=IPMI))


# --- which files ---------------------------------------------------------------------------------


def put(path: Path, text: str, *, changed: dt.datetime) -> None:
    path.write_text(text)
    os.utime(path, (changed.timestamp(), changed.timestamp()))


def landed(folder: Path, root: Path, **set_: Any) -> LandingResult:
    return land(
        files(folder, **set_),
        site_id="ET-ADD1",
        window=WINDOW,
        landing_dir=root / "landing",
        rejected_dir=root / "rejected",
        clock=lambda: DAY + dt.timedelta(days=3),
    )


def test_file_that_comes_whole_the_second_time(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "a.csv").write_text(CSV[:-3])
    first = landed(drop, tmp_path)
    assert (first.rows_landed, first.rows_rejected) == (2, 1)
    (drop / "a.csv").write_text(CSV)
    second = landed(drop, tmp_path)
    assert (second.rows_unchanged, second.rows_landed, second.rows_rejected) == (2, 1, 0)
    assert landed(drop, tmp_path).rows_landed == 0


def test_same_file_twice_and_one_with_a_correction(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    put(drop / "z.csv", CSV, changed=DAY)
    put(drop / "y.csv", CSV, changed=DAY + dt.timedelta(hours=1))
    put(drop / "a.csv", CSV.replace("2.25", "2.5"), changed=DAY + dt.timedelta(hours=2))
    result = landed(drop, tmp_path)
    assert (result.rows_landed, result.rows_duplicate, result.rows_rejected) == (3, 6, 0)
    rows = pl.read_parquet(list(result.files), hive_partitioning=False)
    assert Decimal("2.5") in rows["value"].to_list()
    by_name = landed(drop, tmp_path / "other", order="name")
    rows = pl.read_parquet(list(by_name.files), hive_partitioning=False)
    assert Decimal("2.25") in rows["value"].to_list()


def test_late_file_lands_within_the_window(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    put(drop / "a.csv", CSV, changed=DAY)
    landed(drop, tmp_path)
    put(drop / "0-late.csv", CSV.replace("m1", "m2"), changed=DAY + dt.timedelta(days=2))
    assert landed(drop, tmp_path).rows_landed == 3


def test_files_are_left_alone_that_cannot_hold_the_window(tmp_path: Path) -> None:
    for name in ("m-20260501.csv", "m-20260509.csv", "m-20260513.csv", "m-x.csv", "m-20269999.csv"):
        put(tmp_path / name, CSV, changed=DAY - dt.timedelta(days=1))
    date = {"pattern": r"-(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)\."}
    origins = [batch.origin for batch in read(tmp_path, name_date=date, order="name")]
    assert origins == ["m-20260509.csv", "m-20260513.csv", "m-20269999.csv", "m-x.csv"]
    put(tmp_path / "m-20260509.csv", CSV, changed=DAY)
    origins = [batch.origin for batch in read(tmp_path, changed_since_window=True)]
    assert origins == ["m-20260509.csv"]


def test_hidden_and_half_copied_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".a.csv").write_text(CSV)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.csv").write_text(CSV)
    assert read(tmp_path) == []
    assert [b.origin for b in read(tmp_path, pattern="**/*.csv")] == ["sub/b.csv"]


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="is not there"):
        read(tmp_path / "none")


def test_relative_folder_is_below_the_data_dir(tmp_path: Path) -> None:
    (tmp_path / "drops").mkdir()
    (tmp_path / "drops" / "a.csv").write_text(CSV)
    set_ = {"pattern": "*.csv", "format": {"type": "csv"}, "map": MAP}
    config = Config.model_validate({"folder": "drops", "readings": [set_]})
    context = SourceContext(
        site_id="ET-ADD1", timezone="UTC", secrets={}, clock=lambda: DAY, data_dir=tmp_path
    )
    assert len(values(list(Files(config, context).readings(WINDOW)))) == 3
    with pytest.raises(ConfigError, match="is relative to the data dir"):
        files("drops")


def test_other_file_systems() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/drops/a.csv", CSV.encode())
    try:
        assert len(values(list(files("memory://drops").readings(WINDOW)))) == 3
    finally:
        memory.rm("/drops", recursive=True)


def test_unknown_file_system_is_a_fault_without_the_secret() -> None:
    config = Config.model_validate(
        {
            "folder": "gopher://x/y",
            "secret_options": {"password": "pw"},
            "readings": [{"pattern": "*", "format": {"type": "csv"}, "map": MAP}],
        }
    )
    context = SourceContext(
        site_id="X", timezone="UTC", secrets={"pw": SecretStr("hunter2")}, clock=lambda: DAY
    )
    with pytest.raises(ConfigError, match="cannot be reached") as caught:
        Files(config, context)
    assert "hunter2" not in str(caught.value)


def test_memory_is_bounded_by_batches(tmp_path: Path) -> None:
    out = io.StringIO("")
    out.write("meter,from,kwh\n")
    for n in range(25_000):
        out.write(f"m{n},2026-05-10T00:00:00Z,1\n")
    (tmp_path / "a.csv").write_text(out.getvalue())
    assert [batch.frame.height for batch in read(tmp_path)] == [10_000, 10_000, 5_000]


@pytest.mark.parametrize(
    ("set_", "message"),
    [
        ({"format": {"type": "csv", "ignore_lines": ["("]}}, "is no regular expression"),
        ({"format": {"type": "csv", "encoding": "klingon"}}, "is no encoding"),
        ({"format": {"type": "xls"}}, "does not match any of the expected tags"),
        ({"format": {"type": "csv"}, "map": MAP | {"minuets": 5}}, "Extra inputs"),
        ({"format": {"type": "green_button", "meter_id": "{x}"}}, "known: "),
        ({"format": IPMI | {"meter_id": "{host}"}}, "meter_id uses host"),
        ({"format": IPMI | {"sensors": ["a", "b"]}}, "needs {sensor}"),
        ({"name_date": {"pattern": r"\d+"}}, "expected the groups"),
        (
            {"map": MAP | {"numbers": {"decimal_mark": ",", "group_mark": ","}}},
            "cannot mark the decimals",
        ),
    ],
)
def test_configuration_faults(tmp_path: Path, set_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        files(tmp_path, **set_)


# --- real data -----------------------------------------------------------------------------------

recorded = pytest.mark.skipif(not REALDATA.is_dir(), reason="the recorded data is not here")


@recorded
def test_real_green_button_feed_over_the_change_of_clocks() -> None:
    config = {"type": "green_button", "meter_id": "{usage_point}"}
    batches = list(files(REALDATA / "greenbutton", pattern="*.xml", format=config).readings(WINDOW))
    frame = pl.concat([batch.frame for batch in batches]).sort("interval_start")
    assert rejected(batches) == []
    assert frame.height == 1340
    assert frame["meter_id"].unique().to_list() == ["5446AF3F"]
    assert frame["value"][0] == 282
    ends, following = frame["interval_end"][:-1], frame["interval_start"][1:]
    assert (ends == following).all()
    assert frame["quality"].value_counts().sort("count")["quality"].to_list()[-1] == "good"


@recorded
def test_real_ipmi_logs_and_their_extract_agree() -> None:
    folder = REALDATA / "harvard_ipmi"
    mapping = {
        "meter_id": "node",
        "metric": {"fixed": "power"},
        "kind": {"fixed": "gauge"},
        "unit": {"field": "unit", "map": {"Watts": "W"}},
        "value": "value",
        "start": {
            "field": "timestamp_utc", "format": "%Y-%m-%d %H:%M:%S UTC", "timezone": "UTC",
        },
        "records": {"only": {"sensor": ["Sys Power"], "status": ["ok"]}},
    }  # fmt: skip
    logs = list(
        files(
            folder,
            pattern="raw/*.txt.xz",
            format=IPMI | {"file_name": r"raw/(?P<node>[^/]+)-\d{4}-"},
        ).readings(WINDOW)
    )
    nodes = pl.concat([batch.frame for batch in logs])
    extract = list(files(folder, pattern="*.csv.gz", map=mapping).readings(WINDOW))
    table = pl.concat([batch.frame for batch in extract])
    assert rejected(logs) == rejected(extract) == []
    assert nodes["meter_id"].n_unique() == 5
    same = ["meter_id", "interval_start"]
    shared = table.join(nodes.select("meter_id").unique(), on="meter_id")
    assert shared.height > 0
    assert nodes.join(shared, on=[*same, "value"]).height == shared.height
