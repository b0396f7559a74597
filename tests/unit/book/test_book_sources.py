"""sources.yml: checked by the connectors it names, without the environment of any machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.book import BookError, Fault, load_book

if TYPE_CHECKING:
    from tests.unit.book.conftest import BookFiles

FINLAND = """\
NO-OSL1:
  kind: prometheus
  config:
    url: ${SITE_URL}
    tls: plain
    piece_hours: 12
    readings:
      - {series: energy_total, meter_id: "{outlet}", metric: energy, kind: register, unit: J}
"""


def faults(book_files: BookFiles) -> tuple[Fault, ...]:
    with pytest.raises(BookError) as caught:
        load_book(book_files.folder)
    return caught.value.faults


def test_a_placeholder_stays_as_it_is(
    book_files: BookFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITE_URL", "http://127.0.0.1:1")
    book_files.write("sources.yml", FINLAND)
    source = load_book(book_files.folder).sources["NO-OSL1"]
    assert source.kind == "prometheus"
    assert source.config["url"] == "${SITE_URL}"
    assert source.config["piece_hours"] == 12
    assert source.secrets == {}


def test_a_default_of_a_placeholder_is_checked(book_files: BookFiles) -> None:
    book_files.write("sources.yml", FINLAND.replace("${SITE_URL}", "${SITE_URL:-http://host:1}"))
    load_book(book_files.folder)
    book_files.write("sources.yml", FINLAND.replace("${SITE_URL}", "${SITE_URL:-host}"))
    (fault,) = faults(book_files)
    assert (fault.file, fault.row, fault.column) == ("sources.yml", 4, "NO-OSL1.config.url")


@pytest.mark.parametrize(
    ("old", "new", "row", "column", "message"),
    [
        ("NO-OSL1:", "NO-OSL9:", 1, "NO-OSL9", "no such site"),
        ("kind: prometheus", "kind: carrier-pigeon", 2, "NO-OSL1.kind", "prometheus"),
        ("  kind: prometheus\n", "", 1, "NO-OSL1.kind", "required"),
        ("piece_hours", "peace_hours", 6, "NO-OSL1.config.peace_hours", "not a key"),
        ("unit: J", "unit: l", 8, "NO-OSL1.config.readings[0]", "energy comes in"),
        ("  config:\n", "  secret: {}\n  config:\n", 3, "NO-OSL1.secret", "unknown key"),
    ],
)
def test_a_source_is_checked_by_its_connector(
    book_files: BookFiles, old: str, new: str, row: int, column: str, message: str
) -> None:
    book_files.write("sources.yml", FINLAND.replace(old, new, 1))
    (fault,) = faults(book_files)
    assert (fault.file, fault.row, fault.column) == ("sources.yml", row, column)
    assert message in fault.message


@pytest.mark.parametrize("secret", ["hunter2-the-secret", "p4ss w0rd"])
def test_a_secret_in_the_book_is_refused_and_not_repeated(
    book_files: BookFiles, secret: str
) -> None:
    book_files.write("sources.yml", FINLAND + f"  secrets: {{api_key: {secret}}}\n")
    (fault,) = faults(book_files)
    assert (fault.row, fault.column) == (9, "NO-OSL1.secrets.api_key")
    assert secret not in str(fault)
    assert "environment variable" in fault.message


def test_sources_are_a_mapping(book_files: BookFiles) -> None:
    book_files.write("sources.yml", "- kind: files\n")
    (fault,) = faults(book_files)
    assert "a mapping of site_id" in fault.message


POWER = (
    FINLAND
    + """\
  power:
    kind: command_file
    config: {folder: shared}
"""
)
ONLY_POWER = "NO-OSL1:\n  power: {kind: command_file}\n"


def test_how_machines_are_switched_stands_beside_how_a_site_is_read(book_files: BookFiles) -> None:
    book_files.write("sources.yml", POWER)
    book = load_book(book_files.folder)
    source = book.sources["NO-OSL1"]
    assert source.kind == "prometheus"
    assert source.power is not None
    assert (source.power.kind, source.power.config) == ("command_file", {"folder": "shared"})
    assert book.sites_read == ("NO-OSL1",)


def test_a_site_may_be_switched_and_not_read(book_files: BookFiles) -> None:
    book_files.write("sources.yml", ONLY_POWER)
    book = load_book(book_files.folder)
    assert not book.sources["NO-OSL1"].is_read
    assert book.sites_read == ()


@pytest.mark.parametrize(
    ("text", "row", "column", "message"),
    [
        (POWER.replace("command_file", "smoke-signals"), 10, "NO-OSL1.power.kind", "command_file"),
        (POWER.replace("{folder", "{foldr"), 11, "NO-OSL1.power.config.foldr", "not a key"),
        (POWER.replace("    kind: command_file\n", ""), 9, "NO-OSL1.power.kind", "required"),
        (POWER + "    secrets: {a: B}\n", 12, "NO-OSL1.power.secrets.a", "not used"),
        (POWER + "    secret: {}\n", 12, "NO-OSL1.power.secret", "unknown key"),
        (ONLY_POWER + "  config: {url: x}\n", 1, "NO-OSL1.kind", "required"),
        ("NO-OSL1: {}\n", 1, "NO-OSL1.kind", "required"),
    ],
)
def test_power_is_checked_by_its_connector(
    book_files: BookFiles, text: str, row: int, column: str, message: str
) -> None:
    book_files.write("sources.yml", text)
    (fault,) = faults(book_files)
    assert (fault.file, fault.row, fault.column) == ("sources.yml", row, column)
    assert message in fault.message


def test_an_address_of_power_may_come_from_the_environment(book_files: BookFiles) -> None:
    text = """\
NO-OSL1:
  power:
    kind: redfish
    config:
      url: "https://bmc-{meter_id}.${BMC_DOMAIN}"
      auth: {type: none}
"""
    book_files.write("sources.yml", text)
    load_book(book_files.folder)
    filled = text.replace("${BMC_DOMAIN}", "${BMC_DOMAIN:-example}")
    book_files.write("sources.yml", filled.replace("https", "ftp"))
    (fault,) = faults(book_files)
    assert fault.column == "NO-OSL1.power.config.url"


FLEET = """\
machine_id,site_id,meter_id,valid_from,valid_to,never_suspend
m1,NO-OSL1,row-a/1,2026-01-01,,
m1,NO-OSL1,row-a/2,2026-01-01,,
m2,NO-OSL1,row-b/1,2026-01-01,,
m3,NO-OSL1,cellar,2026-01-01,2026-06-01,
m4,NO-OSL1,attic,2026-01-01,,yes
"""
SWITCHED = """\
NO-OSL1:
  power:
    kind: redfish
    config:
      url: https://bmc.example
      system: "{row}"
      pattern: (?P<row>row-[a-z])/\\d+
      auth: {type: none}
"""


def fleet(book_files: BookFiles, sources: str, *machines: str) -> None:
    book_files.write("machines.csv", FLEET + "".join(f"{machine}\n" for machine in machines))
    book_files.write("assignments.csv", "machine_id,contract_id,valid_from,valid_to\n")
    book_files.write("sources.yml", sources)


def test_two_feeds_of_a_machine_lead_to_it(book_files: BookFiles) -> None:
    fleet(book_files, SWITCHED)
    assert not [w for w in load_book(book_files.folder).warnings if "sources.yml" in w]


def test_two_machines_on_one_device_are_a_fault(book_files: BookFiles) -> None:
    fleet(book_files, SWITCHED, "m5,NO-OSL1,row-b/7,2026-01-01,,")
    (fault,) = faults(book_files)
    assert (fault.row, fault.column) == (2, "NO-OSL1.power")
    assert fault.message == (
        "meters row-b/1 and row-b/7 lead to one device (system row-b of https://bmc.example): "
        "pausing m2 would pause m5 too"
    )


def test_a_meter_that_leads_to_no_device_is_a_warning(book_files: BookFiles) -> None:
    fleet(book_files, SWITCHED, "m5,NO-OSL1,roof,2026-01-01,,", "m6,NO-OSL1,shed,2026-01-01,,")
    (warning,) = [w for w in load_book(book_files.folder).warnings if "sources.yml" in w]
    assert "of 5 meters 2 lead to no device" in warning
    assert r"roof: the pattern (?P<row>row-[a-z])/\d+ does not fit it" in warning


def test_nothing_is_said_of_devices_that_the_environment_names(book_files: BookFiles) -> None:
    fleet(book_files, SWITCHED.replace("bmc.example", "${BMC}"), "m5,NO-OSL1,roof,2026-01-01,,")
    assert not [w for w in load_book(book_files.folder).warnings if "sources.yml" in w]
