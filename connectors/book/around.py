"""Rules about the documents around the billing: sellers, sources, dunning, the mapping to Xero, the
bank, webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from connectors.base import SourceSpec
from connectors.book.documents import PowerDocument, SourceDocument
from connectors.book.draft import Draft, Item
from connectors.book.model import Placement
from connectors.book.scalars import is_private_host
from connectors.book.textfiles import Path_, plain
from connectors.placeholders import PLACEHOLDER, expand
from connectors.registry import check_source, power_targets


def check_sellers(draft: Draft) -> None:
    """Unique sellers; a logo that is there; bank accounts whose check digits are right."""
    seen: set[str] = set()
    for item in draft.sellers:
        seller = item.data
        if seller.seller_id in seen:
            draft.fault_at(
                item.source,
                (*item.path, "seller_id"),
                "this seller_id stands here twice",
                value=seller.seller_id,
            )
        seen.add(seller.seller_id)
        if seller.logo is not None and not _beside(draft, seller.logo):
            draft.fault_at(
                item.source,
                (*item.path, "logo"),
                "expected the name of a file beside seller.yml",
                value=seller.logo,
            )
        for currency, account in seller.bank_accounts.items():
            path = (*item.path, "bank_accounts", currency)
            if account.iban is None and account.account is None:
                draft.fault_at(item.source, path, "expected an iban or an account")
            if account.post_payments and account.xero_account is None:
                draft.fault_at(
                    item.source,
                    (*path, "post_payments"),
                    "expected xero_account beside it: the code of the account in Xero",
                )
            if account.iban is not None and not iban_is_sound(account.iban):
                draft.warn_at(
                    item.source,
                    (*path, "iban"),
                    "its check digits are wrong; customers cannot pay to it",
                    value=account.iban,
                )


def _beside(draft: Draft, name: str) -> bool:
    return "/" not in name and "\\" not in name and (draft.book_dir / name).is_file()


def iban_is_sound(iban: str) -> bool:
    """ISO 13616: with the first four characters moved to the end, modulo 97 gives 1."""
    plain_iban = iban.replace(" ", "")
    if not (plain_iban.isascii() and plain_iban.isalnum() and 15 <= len(plain_iban) <= 34):
        return False
    turned = plain_iban[4:] + plain_iban[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def check_dunning(draft: Draft) -> None:
    """Unique policies; stages in order of days, which refer to earlier ones."""
    seen: set[str] = set()
    for item in draft.policies:
        policy = item.data
        if policy.policy_id in seen:
            draft.fault_at(
                item.source,
                (*item.path, "policy_id"),
                "this policy_id stands here twice",
                value=policy.policy_id,
            )
        seen.add(policy.policy_id)
        earlier: list[str] = []
        days = -1
        for number, stage in enumerate(policy.stages):
            path = (*item.path, "stages", number)
            if stage.stage in earlier:
                draft.fault_at(
                    item.source, (*path, "stage"), "this stage stands here twice", value=stage.stage
                )
            if stage.days_overdue <= days:
                draft.fault_at(
                    item.source,
                    (*path, "days_overdue"),
                    f"expected more than {days}, the days of the stage before",
                    value=stage.days_overdue,
                )
            days = stage.days_overdue
            if stage.action == "email" and stage.template is None:
                draft.fault_at(item.source, (*path, "template"), "an email needs a template")
            for position, name in enumerate(stage.requires):
                if name not in earlier:
                    draft.fault_at(
                        item.source,
                        (*path, "requires", position),
                        "expected an earlier stage of this policy",
                        value=name,
                    )
            earlier.append(stage.stage)


def check_xero(draft: Draft) -> None:
    """Names that nothing in the book has are likely slips; Xero itself is asked at preflight."""
    item = draft.xero
    if item is None:
        return
    known = draft.charge_codes
    for code in item.data.accounts:
        if known is not None and code not in {"default", "credit"} and code not in known:
            draft.warn_at(
                item.source,
                ("accounts", code),
                "no plan of the book has a charge of this code",
                value=code,
            )
    for code in item.data.tax_types:
        if not draft.knows("tax_code", code):
            draft.warn_at(
                item.source, ("tax_types", code), "tax_rules.csv has no such tax_code", value=code
            )
    if item.data.tax_types:
        for code in sorted({r.row.tax_code for r in draft.tax_rules} - set(item.data.tax_types)):
            draft.warn_at(
                item.source, ("tax_types",), f"tax_code {code} of tax_rules.csv has no TaxType here"
            )


def check_bank(draft: Draft) -> None:
    """Formats of a bank's CSV: each says all that a line needs, once."""
    seen: set[str] = set()
    for item in draft.bank_formats:
        one, columns = item.data, item.data.columns
        if one.format_id in seen:
            draft.fault_at(
                item.source,
                (*item.path, "format_id"),
                "this format_id stands here twice",
                value=one.format_id,
            )
        seen.add(one.format_id)
        both = columns.money_in is not None and columns.money_out is not None
        either = columns.money_in is not None or columns.money_out is not None
        if (columns.amount is not None) == either or either != both:
            draft.fault_at(
                item.source,
                (*item.path, "columns"),
                "expected the column amount, or both money_in and money_out",
            )
        for name in ("account", "currency"):
            if (getattr(one, name) is None) == (getattr(columns, name) is None):
                draft.fault_at(
                    item.source, item.path, f"expected {name} here or in columns, not in both"
                )
        if columns.balance is not None and one.order is None:
            draft.fault_at(
                item.source,
                item.path,
                "expected order (oldest_first or newest_first) with a column balance",
            )
        if one.decimal == one.thousands:
            draft.fault_at(
                item.source,
                (*item.path, "thousands"),
                "expected another sign than decimal",
                value=one.thousands,
            )


def check_webhooks(draft: Draft) -> None:
    """Endpoints of webhooks: unique, of customers and payers that are there, nowhere inside a
    network of ours unless that is said."""
    seen: set[str] = set()
    for item in draft.webhooks:
        one = item.data
        if one.endpoint_id in seen:
            draft.fault_at(
                item.source,
                (*item.path, "endpoint_id"),
                "this endpoint_id stands here twice",
                value=one.endpoint_id,
            )
        seen.add(one.endpoint_id)
        for key, kind in (("customers", "customer"), ("payers", "payer")):
            for number, name in enumerate(getattr(one, key)):
                if not draft.knows(kind, name):
                    draft.fault_at(
                        item.source,
                        (*item.path, key, number),
                        f"there is no such {kind} in {kind}s.csv",
                        value=name,
                    )
        if is_private_host(urlsplit(one.url).hostname or "") and not one.private:
            draft.fault_at(
                item.source,
                (*item.path, "url"),
                "is this machine or inside a network: write private: true beside it if it is meant",
                value=one.url,
            )
        if (one.customers or one.payers) and not one.events:
            draft.warn_at(
                item.source,
                item.path,
                "is told of some customers or payers only, but of every event: also of exceptions "
                "and approvals, which are your own affair; name its events",
            )


def sources_of(draft: Draft) -> dict[str, SourceSpec]:
    """sources.yml, each entry checked by the connector it names; placeholders stay as they are."""
    found: dict[str, SourceSpec] = {}
    for site_id, item in draft.sources.items():
        if not draft.knows("site", site_id):
            draft.fault_at(
                item.source, item.path, "there is no such site in sites.csv", value=site_id
            )
        if item.data.kind is None and (item.data.power is None or _reads(item.data)):
            draft.fault_at(item.source, (*item.path, "kind"), "a value is required")
            continue
        found[site_id] = spec = _spec_of(item.data)
        _check_connector(draft, item, spec)
    return found


def check_switches(
    draft: Draft, sources: Mapping[str, SourceSpec], placements: Sequence[Placement]
) -> None:
    """Machines that stand at a site lead to one device each, by what the book says of its power.

    Two on one device are a fault: pausing one would pause the other. None is a warning.
    """
    for site_id, spec in sources.items():
        item = draft.sources[site_id]
        path = (*item.path, "power" if spec.power is not None else "config")
        standing = {
            placement.meter_id: placement
            for placement in placements
            if placement.site_id == site_id
            and placement.valid_to_at is None
            and not placement.never_suspend
        }
        targets, reasons = power_targets(spec, standing)
        first: dict[str, Placement] = {}
        for meter_id, target in targets.items():
            one, other = standing[meter_id], first.setdefault(target, standing[meter_id])
            if one.machine_id != other.machine_id:
                draft.fault_at(
                    item.source,
                    path,
                    f"meters {other.meter_id} and {meter_id} lead to one device ({target}): "
                    f"pausing {other.machine_id} would pause {one.machine_id} too",
                )
        if reasons:
            meter_id, why = next(iter(sorted(reasons.items())))
            draft.warn_at(
                item.source,
                path,
                f"of {len(standing)} meters {len(reasons)} lead to no device, so machines on them "
                f"cannot be paused; {meter_id}: {why}",
            )


def _reads(document: SourceDocument) -> bool:
    return bool(document.config or document.secrets)


def _spec_of(document: SourceDocument | PowerDocument) -> SourceSpec:
    power = document.power if isinstance(document, SourceDocument) else None
    return SourceSpec(
        document.kind or "",
        plain(dict(document.config)),
        dict(document.secrets),
        None if power is None else _spec_of(power),
    )


def _check_connector(draft: Draft, item: Item[SourceDocument], spec: SourceSpec) -> None:
    """What the connectors of these kinds say about their configs.

    A placeholder with a default is checked as that default. One without has no value before the
    connector is built, so what is said about it now means nothing.
    """
    written: dict[str, Any] = {"config": spec.config}
    power = spec.power
    if power is not None:
        written["power"] = {"config": power.config}
        power = replace(power, config=expand(power.config, {}))
    for field, value, message in check_source(
        replace(spec, config=expand(spec.config, {}), power=power)
    ):
        path: Path_ = (
            *item.path,
            *(int(step) if step.isdecimal() else step for step in field.split(".")),
        )
        if not _is_open(_at(written, path[len(item.path) :])):
            draft.fault_at(item.source, path, message, value=value)


def _at(value: Any, path: Path_) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _is_open(value: Any) -> bool:
    return isinstance(value, str) and any(m[2] is None for m in PLACEHOLDER.finditer(value))
