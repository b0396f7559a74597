"""Reads every file of a book and checks each value by itself.

What comes out is a draft: the rows and keys that are sound, each with its place in its file, and
the names that stand anywhere, sound or not, so that one fault does not set off a chain of others.
The rules between rows and files come after (fleet, tariffs, money).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from connectors.book.documents import (
    BankFormat,
    Calendar,
    Document,
    DunningPolicy,
    Seller,
    Settings,
    SourceDocument,
    WebhookEndpoint,
    XeroMapping,
)
from connectors.book.faults import Findings
from connectors.book.plans import CHARGE_MODELS, Charge, PlanHead, VersionHead
from connectors.book.rows import (
    AlertRow,
    AssignmentRow,
    ContractRow,
    CreditRow,
    CustomerRow,
    FxRateRow,
    HolidayRow,
    IndexPriceRow,
    MachineRow,
    PayerRouteRow,
    PayerRow,
    ReadingEditRow,
    Row,
    SiteRow,
    TaxRuleRow,
)
from connectors.book.scalars import When
from connectors.book.textfiles import (
    CsvTable,
    Path_,
    YamlFile,
    keys_of,
    path_text,
    read_csv,
    read_yaml,
    required_of,
    validate,
)

TABLES: Mapping[str, type[Row]] = {
    "sites.csv": SiteRow,
    "machines.csv": MachineRow,
    "customers.csv": CustomerRow,
    "payers.csv": PayerRow,
    "contracts.csv": ContractRow,
    "assignments.csv": AssignmentRow,
    "payer_routes.csv": PayerRouteRow,
    "tax_rules.csv": TaxRuleRow,
    "fx_rates.csv": FxRateRow,
    "index_prices.csv": IndexPriceRow,
    "credits.csv": CreditRow,
    "holidays.csv": HolidayRow,
    "reading_edits.csv": ReadingEditRow,
    "alerts.csv": AlertRow,
}
REQUIRED_TABLES = frozenset(
    {
        "sites.csv",
        "machines.csv",
        "customers.csv",
        "payers.csv",
        "contracts.csv",
        "assignments.csv",
    }
)
DOCUMENTS = (
    "seller.yml",
    "settings.yml",
    "sources.yml",
    "dunning.yml",
    "xero.yml",
    "bank.yml",
    "webhooks.yml",
    "calendars.yml",
)

R = TypeVar("R", bound=Row)
D = TypeVar("D", bound=Document)


@dataclass(frozen=True, slots=True)
class Record(Generic[R]):
    """A sound row and where it stands."""

    file: str
    line: int
    row: R


@dataclass(frozen=True, slots=True)
class Item(Generic[D]):
    """A sound part of a YAML file and where it stands."""

    source: YamlFile
    path: Path_
    data: D


@dataclass(frozen=True, slots=True)
class ChargeItem:
    """A sound charge and where it stands."""

    source: YamlFile
    path: Path_
    charge: Charge


@dataclass(frozen=True, slots=True)
class VersionItem:
    """A plan version; `codes` are all its charges' codes and models, sound or not."""

    source: YamlFile
    path: Path_
    head: VersionHead
    charges: tuple[ChargeItem, ...]
    codes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PlanItem:
    """A plan whose head is sound."""

    source: YamlFile
    head: PlanHead
    versions: tuple[VersionItem, ...]


@dataclass(slots=True)
class Draft:
    """Everything that could be read. A name set is None where the file could not be relied on."""

    book_dir: Path
    findings: Findings
    sites: list[Record[SiteRow]] = field(default_factory=list)
    machines: list[Record[MachineRow]] = field(default_factory=list)
    customers: list[Record[CustomerRow]] = field(default_factory=list)
    payers: list[Record[PayerRow]] = field(default_factory=list)
    contracts: list[Record[ContractRow]] = field(default_factory=list)
    assignments: list[Record[AssignmentRow]] = field(default_factory=list)
    payer_routes: list[Record[PayerRouteRow]] = field(default_factory=list)
    tax_rules: list[Record[TaxRuleRow]] = field(default_factory=list)
    fx_rates: list[Record[FxRateRow]] = field(default_factory=list)
    index_prices: list[Record[IndexPriceRow]] = field(default_factory=list)
    credits: list[Record[CreditRow]] = field(default_factory=list)
    holidays: list[Record[HolidayRow]] = field(default_factory=list)
    reading_edits: list[Record[ReadingEditRow]] = field(default_factory=list)
    alerts: list[Record[AlertRow]] = field(default_factory=list)
    plans: list[PlanItem] = field(default_factory=list)
    calendars: list[Item[Calendar]] = field(default_factory=list)
    sellers: list[Item[Seller]] = field(default_factory=list)
    policies: list[Item[DunningPolicy]] = field(default_factory=list)
    sources: dict[str, Item[SourceDocument]] = field(default_factory=dict)
    settings: Item[Settings] | None = None
    xero: Item[XeroMapping] | None = None
    bank_formats: list[Item[BankFormat]] = field(default_factory=list)
    webhooks: list[Item[WebhookEndpoint]] = field(default_factory=list)
    names: dict[str, set[str] | None] = field(default_factory=dict)
    charge_codes: set[str] | None = field(default_factory=set)
    content: dict[str, Any] = field(default_factory=dict)

    def knows(self, kind: str, name: str) -> bool:
        """False only if `name` certainly stands nowhere in the book."""
        names = self.names.get(kind)
        return names is None or name in names

    def fault(
        self, record: Record[Any], column: str, message: str, *, value: object = None
    ) -> None:
        """A fault of one value of a row."""
        shown = getattr(record.row, column, None) if value is None else value
        self.findings.fault(record.file, record.line, column, _written(shown), message)

    def warn(self, record: Record[Any], column: str, message: str) -> None:
        """A warning about one value of a row."""
        value = _written(getattr(record.row, column, None))
        self.findings.warn(record.file, record.line, column, value, message)

    def fault_at(
        self, source: YamlFile, path: Path_, message: str, *, value: object = None
    ) -> None:
        """A fault of one key of a YAML file."""
        self.findings.fault(
            source.name, source.line(path), path_text(path), value, message, source.subject(path)
        )

    def warn_at(self, source: YamlFile, path: Path_, message: str, *, value: object = None) -> None:
        """A warning about one key of a YAML file."""
        self.findings.warn(
            source.name, source.line(path), path_text(path), value, message, source.subject(path)
        )

    def instant(self, record: Record[Any], column: str, zone: str) -> datetime | None:
        """The moment in a column as an instant; None if empty or (with a fault) impossible."""
        when: When | None = getattr(record.row, column)
        if when is None:
            return None
        try:
            return when.resolve(zone)
        except OverflowError:
            self.fault(record, column, "is beyond the end of the calendar")
            return None


def _written(value: object) -> object:
    return value.text if isinstance(value, When) else value


def read_draft(book_dir: Path, findings: Findings) -> Draft:
    """Read all files of the folder; faults go to `findings`."""
    draft = Draft(book_dir, findings)
    if not book_dir.is_dir():
        findings.fault(str(book_dir), None, None, None, "there is no such folder")
        return draft
    _check_file_names(draft)
    draft.sites = _table(draft, "sites.csv", SiteRow, {"site_id": "site", "region": "region"})
    draft.machines = _table(draft, "machines.csv", MachineRow, {"machine_id": "machine"})
    draft.customers = _table(draft, "customers.csv", CustomerRow, {"customer_id": "customer"})
    draft.payers = _table(draft, "payers.csv", PayerRow, {"payer_id": "payer"})
    draft.contracts = _table(draft, "contracts.csv", ContractRow, {"contract_id": "contract"})
    draft.assignments = _table(draft, "assignments.csv", AssignmentRow)
    draft.payer_routes = _table(draft, "payer_routes.csv", PayerRouteRow)
    draft.tax_rules = _table(draft, "tax_rules.csv", TaxRuleRow, {"tax_code": "tax_code"})
    draft.fx_rates = _table(draft, "fx_rates.csv", FxRateRow)
    draft.index_prices = _table(draft, "index_prices.csv", IndexPriceRow)
    draft.credits = _table(draft, "credits.csv", CreditRow)
    draft.holidays = _table(draft, "holidays.csv", HolidayRow)
    draft.reading_edits = _table(draft, "reading_edits.csv", ReadingEditRow)
    draft.alerts = _table(draft, "alerts.csv", AlertRow)
    draft.sellers = _list(draft, "seller.yml", Seller, ("seller", "seller_id"))
    draft.policies = _list(draft, "dunning.yml", DunningPolicy, ("policy", "policy_id"))
    draft.bank_formats = _list(draft, "bank.yml", BankFormat, ("bank_format", "format_id"))
    draft.webhooks = _list(draft, "webhooks.yml", WebhookEndpoint, ("endpoint", "endpoint_id"))
    draft.calendars = _list(draft, "calendars.yml", Calendar, ("calendar", "calendar_id"))
    draft.settings = _mapping(draft, "settings.yml", Settings)
    draft.xero = _mapping(draft, "xero.yml", XeroMapping)
    _read_sources(draft)
    _read_plans(draft)
    _read_mail_texts(draft)
    return draft


def _check_file_names(draft: Draft) -> None:
    expected = {*TABLES, *DOCUMENTS}
    for path in sorted(draft.book_dir.iterdir()):
        name = path.name
        if name.startswith((".", "~")) or name in expected or path.is_dir():
            continue
        if path.suffix.lower() in {".csv", ".yml", ".yaml"}:
            draft.findings.fault(
                name,
                None,
                None,
                None,
                "is no file of a book and would be overlooked; expected "
                + ", ".join([*TABLES, *DOCUMENTS]),
            )


def _table(
    draft: Draft, name: str, model: type[R], names: Mapping[str, str] | None = None
) -> list[Record[R]]:
    path = draft.book_dir / name
    if not path.is_file():
        if name in REQUIRED_TABLES:
            draft.findings.fault(name, None, None, None, "this file is required and missing")
        table = CsvTable(sound=name not in REQUIRED_TABLES)
    else:
        table = read_csv(path, name, keys_of(model), required_of(model), draft.findings)
    for column, kind in (names or {}).items():
        sound = table.sound and column not in table.missing
        draft.names[kind] = _names(table, column) if sound else None
    if table.rows:
        draft.content[name] = sorted(sorted(row.values.items()) for row in table.rows)
    records = []
    for row in table.rows:
        value = validate(
            model,
            dict(row.values),
            findings=draft.findings,
            file=name,
            source=row,
            ignore_missing=table.missing,
        )
        if value is not None:
            records.append(Record(name, row.line, value))
    return records


def _names(table: CsvTable, column: str) -> set[str]:
    return {row.values[column] for row in table.rows if column in row.values} | table.damaged


def _open(draft: Draft, name: str) -> YamlFile | None:
    path = draft.book_dir / name
    if not path.is_file():
        return YamlFile(name, None, {})
    source = read_yaml(path, name, draft.findings)
    if source is not None and source.data:
        draft.content[name] = source.data
    return source


def _list(draft: Draft, name: str, model: type[D], names: tuple[str, str]) -> list[Item[D]]:
    kind, key = names
    draft.names[kind] = None
    source = _open(draft, name)
    if source is None:
        return []
    data = [] if source.data is None else source.data
    if not isinstance(data, list):
        draft.fault_at(source, (), f"expected a list ('- {key}: ...')")
        return []
    draft.names[kind] = set(_values(data, key))
    items = []
    for number, entry in enumerate(data):
        value = validate(
            model, entry, findings=draft.findings, file=name, path=(number,), source=source
        )
        if value is not None:
            items.append(Item(source, (number,), value))
    return items


def _values(entries: Iterable[Any], key: str) -> Iterable[str]:
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get(key), str):
            yield entry[key]


def _mapping(draft: Draft, name: str, model: type[D]) -> Item[D] | None:
    source = _open(draft, name)
    if source is None:
        return None
    data = {} if source.data is None else source.data
    value = validate(model, data, findings=draft.findings, file=name, source=source)
    return None if value is None else Item(source, (), value)


def _read_sources(draft: Draft) -> None:
    source = _open(draft, "sources.yml")
    if source is None or source.data is None:
        return
    if not isinstance(source.data, dict):
        draft.fault_at(source, (), "expected a mapping of site_id to kind, config, secrets, power")
        return
    for site_id, entry in source.data.items():
        value = validate(
            SourceDocument,
            entry,
            findings=draft.findings,
            file=source.name,
            path=(site_id,),
            source=source,
        )
        if value is not None:
            draft.sources[site_id] = Item(source, (site_id,), value)


def _read_plans(draft: Draft) -> None:
    folder = draft.book_dir / "plans"
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    paths = [path for path in paths if not path.name.startswith((".", "~"))]
    draft.names["plan"] = set()
    for path in paths:
        name = f"plans/{path.name}"
        if path.suffix == ".yml" and path.is_file():
            _read_plan(draft, name)
        elif path.suffix.lower() in {".yml", ".yaml", ".csv"}:
            draft.findings.fault(
                name, None, None, None, "would be overlooked; a plan is a file ending in .yml"
            )
    if not any(path.suffix == ".yml" for path in paths):
        draft.findings.fault(
            "plans/", None, None, None, "expected at least one plan, a file ending in .yml"
        )
        draft.names["plan"] = None
        draft.charge_codes = None


def _read_mail_texts(draft: Draft) -> None:
    """Texts of mails, a file a language. What may stand in them is for those to say who write
    mails; here they are sound YAML, and part of what the book says."""
    folder = draft.book_dir / "mail"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = f"mail/{path.name}"
        if path.name.startswith((".", "~")):
            continue
        if path.suffix == ".yml" and path.is_file():
            source = _open(draft, name)
            if source is not None and not isinstance(source.data, dict | None):
                draft.fault_at(source, (), "expected a mapping with labels and templates")
        elif path.suffix.lower() in {".yml", ".yaml", ".csv"}:
            draft.findings.fault(
                name, None, None, None, "would be overlooked; texts are a file such as de.yml"
            )


def _read_plan(draft: Draft, name: str) -> None:
    source = _open(draft, name)
    if source is None or not isinstance(source.data, dict):
        if source is not None:
            draft.fault_at(source, (), "expected a mapping with plan_id, currency and versions")
        draft.names["plan"] = None
        draft.charge_codes = None
        return
    plan_id = source.data.get("plan_id")
    if isinstance(plan_id, str):
        if draft.names["plan"] is not None:
            draft.names["plan"].add(plan_id)
    else:
        draft.names["plan"] = None
    head = validate(PlanHead, source.data, findings=draft.findings, file=name, source=source)
    entries = source.data.get("versions")
    versions = []
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        version = _read_version(draft, source, ("versions", number), entry)
        if version is not None:
            versions.append(version)
    if head is not None:
        draft.plans.append(PlanItem(source, head, tuple(versions)))


def _read_version(draft: Draft, source: YamlFile, path: Path_, entry: object) -> VersionItem | None:
    head = validate(
        VersionHead, entry, findings=draft.findings, file=source.name, path=path, source=source
    )
    entries = entry.get("charges") if isinstance(entry, dict) else None
    codes: dict[str, str] = {}
    charges = []
    for number, data in enumerate(entries if isinstance(entries, list) else []):
        place = (*path, "charges", number)
        if isinstance(data, dict) and isinstance(data.get("code"), str):
            codes.setdefault(data["code"], str(data.get("model")))
            if draft.charge_codes is not None:
                draft.charge_codes.add(data["code"])
        charge = _read_charge(draft, source, place, data)
        if charge is not None:
            charges.append(ChargeItem(source, place, charge))
    return None if head is None else VersionItem(source, path, head, tuple(charges), codes)


def _read_charge(draft: Draft, source: YamlFile, path: Path_, data: object) -> Charge | None:
    if not isinstance(data, dict):
        draft.fault_at(source, path, "expected a charge: a mapping with code, model and more")
        return None
    model = data.get("model")
    if not isinstance(model, str) or model not in CHARGE_MODELS:
        message = "expected one of the charge models " + ", ".join(CHARGE_MODELS)
        draft.fault_at(source, (*path, "model"), message, value=model)
        # Its other keys mean nothing without a model; a code says at least what others refer to.
        return None
    return validate(
        CHARGE_MODELS[model],
        data,
        findings=draft.findings,
        file=source.name,
        path=path,
        source=source,
    )
