"""Every rule of the book broken once: one fault, naming file, line, column and value."""

# ruff: noqa: E501 - rows of a book stand in one line

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from connectors.book import BookError, Fault, load_book, render_words
from connectors.book.plans import Discount, Percentage

if TYPE_CHECKING:
    from tests.unit.book.conftest import BookFiles

PLAN = "plans/all-models.yml"
V1 = "versions[0]"


def faults_of(folder: Path) -> tuple[Fault, ...]:
    with pytest.raises(BookError) as caught:
        load_book(folder)
    return caught.value.faults


# (file, old text, new text, line, column, value, part of the message)
# An empty old text means: add at the end.
CASES: list[tuple[str, str, str, int | None, str | None, str | None, str]] = [
    # --- files and headers
    ("sites.csv", ",estimation", ",estimate", 1, "estimate", "estimate", "unknown column"),
    (
        "holidays.csv",
        "country,date,name\nNO,2026-05-17,G",
        "country,name\nNO,G",
        1,
        "date",
        None,
        "required and missing",
    ),
    (
        "sites.csv",
        "tax_jurisdiction,expected_interval_minutes,default_rated_kw",
        "tax_jurisdiction,default_rated_kw,default_rated_kw",
        1,
        "default_rated_kw",
        "default_rated_kw",
        "twice",
    ),
    (
        "alerts.csv",
        "contract_id,measure,threshold",
        "contract_id;measure;threshold",
        1,
        None,
        "contract_id;measure;threshold",
        "separated by commas",
    ),
    (
        "sites.csv",
        ",15,,\n",
        ",15,\n",
        3,
        None,
        "ID-JKT1,Jakarta,ID,asia,Asia/Jakarta,ID,15,",
        "has 8 values where the header has 9",
    ),
    ("holidays.csv", "Grunnlovsdag", '"open', 2, None, None, "is not CSV"),
    ("holidays.csv", "", 'NO,2026-12-25,"x"y\n', 3, None, None, "is not CSV"),
    # --- identifiers and text
    ("customers.csv", "", "a b,Name,,,\n", 4, "customer_id", "a b", "an identifier"),
    ("customers.csv", "", "a" * 65 + ",Name,,,\n", 4, "customer_id", "a" * 65, "at most 64"),
    ("sites.csv", "", "all,A,NO,north,UTC,NO,,,\n", 4, "site_id", "all", "reserved"),
    ("sites.csv", "", "general,A,NO,north,UTC,NO,,,\n", 4, "site_id", "general", "reserved"),
    ("sites.csv", "", "x-1,A,NO,north,UTC,NO,,,\n", 4, "site_id", "x-1", "reserved"),
    ("sites.csv", "", "A1,A,NO,x-north,UTC,NO,,,\n", 4, "region", "x-north", "reserved"),
    ("sites.csv", ",Oslo,", ", Oslo,", 2, "name", " Oslo", "remove the spaces"),
    ("sites.csv", ",Oslo,", ",Os\x07lo,", 2, "name", "Os\x07lo", "control character"),
    ("sites.csv", ",Oslo,", ",,", 2, "name", None, "a value is required"),
    ("machines.csv", ",j-3,", "," + "j" * 129 + ",", 5, "meter_id", "j" * 129, "at most 128"),
    # --- sites
    ("sites.csv", "", "NO-OSL1,A,NO,north,UTC,NO,,,\n", 4, "site_id", "NO-OSL1", "twice"),
    ("sites.csv", ",Oslo,NO,", ",Oslo,Norway,", 2, "country", "Norway", "ISO 3166-1"),
    ("sites.csv", ",Oslo,NO,", ",Oslo,XX,", 2, "country", "XX", "ISO 3166-1"),
    ("sites.csv", "", "A1,A,NO,north,Europe/Olso,NO,,,\n", 4, "timezone", "Europe/Olso", "IANA"),
    ("sites.csv", ",60,5,", ",0,5,", 2, "expected_interval_minutes", "0", "from 1 to 1440"),
    ("sites.csv", ",60,5,", ",60,0,", 2, "default_rated_kw", "0", "more than 0"),
    ("sites.csv", "interpolate", "guess", 2, "estimation", "guess", "none, interpolate, like_day"),
    # --- decimals, numbers, dates
    ("machines.csv", "Model X,4.5", "Model X,4.5kW", 2, "rated_kw", "4.5kW", "a plain decimal"),
    ("machines.csv", "Model X,4.5", "Model X,1e3", 2, "rated_kw", "1e3", "a plain decimal"),
    ("machines.csv", "Model X,4.5", 'Model X,"1,5"', 2, "rated_kw", "1,5", "a plain decimal"),
    (
        "machines.csv",
        "Model X,4.5",
        "Model X,0.0123456789",
        2,
        "rated_kw",
        "0.0123456789",
        "at most 9 decimals",
    ),
    (
        "machines.csv",
        "Model X,4.5",
        "Model X,1234567890123456",
        2,
        "rated_kw",
        "1234567890123456",
        "at most 15 digits",
    ),
    (
        "machines.csv",
        "m3,ID-JKT1,j-3,2026-03-01,",
        "m3,ID-JKT1,j-3,2026-02-30,",
        5,
        "valid_from",
        "2026-02-30",
        "no date of the calendar",
    ),
    (
        "machines.csv",
        "m3,ID-JKT1,j-3,2026-03-01,",
        "m3,ID-JKT1,j-3,1.3.2026,",
        5,
        "valid_from",
        "1.3.2026",
        "YYYY-MM-DD",
    ),
    (
        "machines.csv",
        "m3,ID-JKT1,j-3,2026-03-01,",
        "m3,ID-JKT1,j-3,2026-03-01T10:00:00,",
        5,
        "valid_from",
        "2026-03-01T10:00:00",
        "with its offset",
    ),
    (
        "machines.csv",
        "m3,ID-JKT1,j-3,2026-03-01,",
        "m3,ID-JKT1,j-3,2026-03-01T25:00:00Z,",
        5,
        "valid_from",
        "2026-03-01T25:00:00Z",
        "no instant",
    ),
    # --- machines
    (
        "machines.csv",
        "",
        "m4,NO-XXX1,p,2026-01-01,,,,3,,\n",
        6,
        "site_id",
        "NO-XXX1",
        "no such site in sites.csv",
    ),
    (
        "machines.csv",
        "",
        "m4,NO-OSL1,p,2026-02-01,2026-02-01,,,3,,\n",
        6,
        "valid_to",
        "2026-02-01",
        "after valid_from",
    ),
    (
        "machines.csv",
        "",
        "m4,NO-OSL1,p,2026-02-01,2026-02-01T12:00:00Z,water,,3,,\n",
        6,
        "metrics",
        "water",
        "energy, power, runtime, traffic, fuel",
    ),
    ("machines.csv", "energy|traffic", "energy|energy", 2, "metrics", "energy|energy", "twice"),
    ("machines.csv", "tag-1,yes", "tag-1,no", 2, "never_suspend", "no", "'yes' or nothing"),
    (
        "machines.csv",
        "",
        "m4,NO-OSL1,pdu-1,2026-05-01,,,,3,,\n",
        6,
        "meter_id",
        "pdu-1",
        "measures machine m1 at the same time",
    ),
    (
        "machines.csv",
        "",
        "m1,NO-OSL1,pdu-1,2026-05-01,,traffic,,3,,\n",
        6,
        "meter_id",
        "pdu-1",
        "measures machine m1 at the same time",
    ),
    (
        "machines.csv",
        "",
        "m3,NO-OSL1,pdu-9,2026-05-01,,,,3,,\n",
        6,
        "machine_id",
        "m3",
        "stands at ID-JKT1 at the same time",
    ),
    # Bare dates of two sites are two midnights: 1 June begins in Jakarta while m2 is still in Oslo.
    ("machines.csv", "2026-06-02", "2026-06-01", 4, "machine_id", "m2", "stands at NO-OSL1"),
    # --- customers
    ("customers.csv", "", "acme,Other,,,\n", 4, "customer_id", "acme", "twice"),
    (
        "customers.csv",
        "Labs AS,acme",
        "Labs AS,acne",
        3,
        "parent_customer_id",
        "acne",
        "no such customer",
    ),
    (
        "customers.csv",
        "acme,Acme AS,,",
        "acme,Acme AS,acme-labs,",
        2,
        "parent_customer_id",
        "acme-labs",
        "circle: acme > acme-labs > acme",
    ),
    (
        "customers.csv",
        "ops@acme.example",
        "ops.acme.example",
        2,
        "email",
        "ops.acme.example",
        "e-mail",
    ),
    ("customers.csv", "nb-NO", "Norwegian", 2, "language", "Norwegian", "language tag"),
    # --- payers
    (
        "payers.csv",
        "",
        "ACME,A,NO,NOK,a@b.example,30,one,,,,,,,,,,,,\n",
        4,
        "payer_id",
        "ACME",
        "twice",
    ),
    ("payers.csv", "FI,EUR", "FI,EURO", 3, "currency", "EURO", "ISO 4217"),
    ("payers.csv", "FI,EUR", "FI,KWD", 3, "currency", "KWD", "at most 2 decimals"),
    (
        "payers.csv",
        "beta.example,14",
        "beta.example,two",
        3,
        "payment_terms_days",
        "two",
        "whole number",
    ),
    (
        "payers.csv",
        "by_site",
        "by_country",
        3,
        "consolidation",
        "by_country",
        "one, by_region, by_site",
    ),
    ("payers.csv", "card|bank_transfer", "card|card", 2, "payment_methods", "card|card", "twice"),
    ("payers.csv", "card|bank_transfer", "card|", 2, "payment_methods", "card|", "text"),
    ("payers.csv", ",standard,", ",strict,", 2, "dunning_policy", "strict", "no such policy"),
    ("payers.csv", "100.00", "-1", 2, "auto_approve_limit", "-1", "0 or more"),
    ("payers.csv", ",second\n", ",third\n", 2, "seller_id", "third", "no such seller"),
    # --- contracts
    (
        "contracts.csv",
        "K-2,acme-labs",
        "K-2,acme-lab",
        4,
        "customer_id",
        "acme-lab",
        "no such customer",
    ),
    ("contracts.csv", "acme-labs,ACME", "acme-labs,ACNE", 4, "payer_id", "ACNE", "no such payer"),
    ("contracts.csv", "ACME,small", "ACME,smal", 4, "plan_id", "smal", "no such plan"),
    (
        "contracts.csv",
        "K-1,acme,BETA",
        "K-1,acme-labs,BETA",
        3,
        "customer_id",
        "acme-labs",
        "all terms of contract K-1 share it",
    ),
    (
        "contracts.csv",
        "BETA,all-models,Europe/Oslo",
        "BETA,all-models,Europe/Paris",
        3,
        "billing_timezone",
        "Europe/Paris",
        "all terms of contract K-1 share it",
    ),
    (
        "contracts.csv",
        "2026-01-01,2026-07-01",
        "2026-01-01,2026-07-02",
        3,
        "valid_from",
        "2026-07-01",
        "overlaps that of line 2",
    ),
    (
        "contracts.csv",
        "2026-01-01,2026-07-01",
        "2026-01-01,2025-07-01",
        2,
        "valid_to",
        "2025-07-01",
        "after valid_from",
    ),
    (
        "contracts.csv",
        "Asia/Jakarta,2026-02-01",
        "Asia/Jakarta,2026-01-31",
        4,
        "plan_id",
        "small",
        "in force in 2026-01",
    ),
    (
        "contracts.csv",
        "Asia/Jakarta,2026-02-01,",
        "Asia/Jakarta,2026-02-01,9999-12-31T23:00:00-05:00",
        4,
        "valid_to",
        "9999-12-31T23:00:00-05:00",
        "no instant",
    ),
    # --- assignments
    ("assignments.csv", "", "m9,K-1,2026-01-01,\n", 5, "machine_id", "m9", "no such machine"),
    ("assignments.csv", "m3,K-2", "m3,K-9", 4, "contract_id", "K-9", "no such contract"),
    (
        "assignments.csv",
        "2026-08-01T00:00:00Z",
        "2026-02-01",
        4,
        "valid_to",
        "2026-02-01",
        "after valid_from",
    ),
    (
        "assignments.csv",
        "m3,K-2,2026-03-01",
        "m3,K-2,2026-02-27",
        4,
        "valid_from",
        "2026-02-27",
        "more than 24 hours outside the machine's placements",
    ),
    (
        "assignments.csv",
        "",
        "m3,K-1,2026-07-15,\n",
        5,
        "machine_id",
        "m3",
        "assigned to contract K-2 at the same time",
    ),
    # --- routes
    ("payer_routes.csv", "", "K-9,,,BETA,1\n", 4, "contract_id", "K-9", "no such contract"),
    ("payer_routes.csv", "", "K-2,NO,,BETA,1\n", 4, "site_id", "NO", "no such site"),
    ("payer_routes.csv", "", "K-2,,enrgy,BETA,1\n", 4, "charge_code", "enrgy", "no plan"),
    ("payer_routes.csv", "", "K-2,,,GAMMA,1\n", 4, "payer_id", "GAMMA", "no such payer"),
    ("payer_routes.csv", "", "K-2,,,BETA,first\n", 4, "priority", "first", "whole number"),
    ("payer_routes.csv", "", "K-1,,hosting,BETA,5\n", 4, "contract_id", "K-1", "twice"),
    (
        "payer_routes.csv",
        "",
        "K-1,,energy,ACME,10\n",
        4,
        "priority",
        "10",
        "the line of K-1 at ID-JKT1 for energy",
    ),
    # --- taxes
    ("tax_rules.csv", "NO-25,25,", "NO-25,25.00001,", 2, "rate_percent", "25.00001", "4 decimals"),
    ("tax_rules.csv", "NO-25,25,", "NO-25,-1,", 2, "rate_percent", "-1", "0 or more"),
    (
        "tax_rules.csv",
        "2020-01-01,2027-01-01",
        "2020-01-01,2020-01-01",
        4,
        "valid_to",
        "2020-01-01",
        "after valid_from",
    ),
    ("tax_rules.csv", "NO,NO,energy", "NO,NO,enrgy", 4, "charge_code", "enrgy", "no plan"),
    (
        "tax_rules.csv",
        "",
        ",NO,,NO-24,24,2026-05-01,,\n",
        5,
        "valid_from",
        "2026-05-01",
        "overlaps the rule of line 2",
    ),
    (
        "tax_rules.csv",
        "2020-01-01,2027-01-01,",
        "2020-01-01T00:00:00Z,2027-01-01,",
        4,
        "valid_from",
        "2020-01-01T00:00:00Z",
        "a date YYYY-MM-DD",
    ),
    # --- rates and prices
    ("fx_rates.csv", "", "2026-01-31,EUR,NOK,11.6\n", 3, "date", "2026-01-31", "twice"),
    ("fx_rates.csv", "", "2026-01-31,EUR,EUR,1\n", 3, "quote", "EUR", "another currency"),
    ("fx_rates.csv", "", "2026-01-31,EUR,USD,0\n", 3, "rate", "0", "more than 0"),
    (
        "fx_rates.csv",
        "",
        "2026-01-31,EUR,USD,1.0000000000001\n",
        3,
        "rate",
        "1.0000000000001",
        "at most 12 decimals",
    ),
    ("index_prices.csv", "", "NO1,2026-01-01T01:00:00Z,41,NOK\n", 4, "index_id", "NO1", "twice"),
    (
        "index_prices.csv",
        "",
        "NO1,2026-01-01T03:30:00Z,41,NOK\n",
        4,
        "hour_start",
        "2026-01-01T03:30:00Z",
        "beginning of an hour in UTC",
    ),
    (
        "index_prices.csv",
        "",
        "NO1,2026-01-01T03:00:00Z,41.1234567,NOK\n",
        4,
        "price",
        "41.1234567",
        "at most 6 decimals",
    ),
    # --- credits, holidays, alerts
    ("credits.csv", "", "c-1,K-1,sla,1,NOK,2026-03-01,,\n", 3, "credit_id", "c-1", "twice"),
    (
        "credits.csv",
        "",
        "c-2,K-9,sla,1,NOK,2026-03-01,,\n",
        3,
        "contract_id",
        "K-9",
        "no such contract",
    ),
    (
        "credits.csv",
        "",
        "c-2,K-1,gift,1,NOK,2026-03-01,,\n",
        3,
        "kind",
        "gift",
        "sla, goodwill, promotion, prepaid",
    ),
    ("credits.csv", "", "c-2,K-1,sla,0,NOK,2026-03-01,,\n", 3, "amount", "0", "more than 0"),
    (
        "credits.csv",
        "",
        "c-2,K-1,sla,1,NOK,2026-03-01,2026-03-01,\n",
        3,
        "valid_to",
        "2026-03-01",
        "after valid_from",
    ),
    ("holidays.csv", "", "NO,2026-05-17,Again\n", 3, "country", "NO", "twice"),
    ("alerts.csv", "", "K-9,amount,1\n", 3, "contract_id", "K-9", "no such contract"),
    ("alerts.csv", "", "K-1,kwh,1\n", 3, "measure", "kwh", "energy_kwh, amount"),
    ("alerts.csv", "", "K-1,amount,500.00\n", 3, "contract_id", "K-1", "twice"),
    # --- edits of readings
    (
        "reading_edits.csv",
        "",
        "XX,pdu-1,energy,2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,reject,,r,b\n",
        4,
        "site_id",
        "XX",
        "no such site",
    ),
    (
        "reading_edits.csv",
        "",
        "NO-OSL1,pdu-1,energy,2026-03-01,2026-03-02T00:00:00Z,reject,,r,b\n",
        4,
        "from",
        "2026-03-01",
        "with its offset",
    ),
    (
        "reading_edits.csv",
        "",
        "NO-OSL1,pdu-1,energy,2026-03-02T00:00:00Z,2026-03-02T00:00:00Z,reject,,r,b\n",
        4,
        "to",
        "2026-03-02T00:00:00Z",
        "after 'from'",
    ),
    (
        "reading_edits.csv",
        "",
        "NO-OSL1,pdu-1,energy,2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,set,,r,b\n",
        4,
        "quantity",
        "",
        "expected the quantity",
    ),
    (
        "reading_edits.csv",
        "",
        "NO-OSL1,pdu-1,energy,2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,accept,1,r,b\n",
        4,
        "quantity",
        "1",
        "takes no quantity",
    ),
    (
        "reading_edits.csv",
        "",
        "NO-OSL1,pdu-1,power,2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,set,1,r,b\n",
        4,
        "metric",
        "power",
        "write energy",
    ),
    (
        "reading_edits.csv",
        "",
        "NO-OSL1,pdu-1,energy,2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,drop,,r,b\n",
        4,
        "action",
        "drop",
        "reject, accept, set",
    ),
    (
        "reading_edits.csv",
        "",
        "NO-OSL1,pdu-1,energy,2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,reject,,,b\n",
        4,
        "reason",
        None,
        "a value is required",
    ),
    (
        "reading_edits.csv",
        "",
        "NO-OSL1,pdu-1,power,2026-02-01T01:00:00Z,2026-02-01T01:30:00Z,reject,,r,b\n",
        4,
        "from",
        "2026-02-01T01:00:00Z",
        "overlaps the edit of line 2",
    ),
    # --- calendars
    ("calendars.yml", '"07:00", to', '"07:10", to', 5, "[0].bands[0].from", "07:10", "quarter"),
    ("calendars.yml", '"07:00", to', '"7:00", to', 5, "[0].bands[0].from", "7:00", "HH:MM"),
    ("calendars.yml", '"07:00", to', '"23:00", to', 5, "[0].bands[0].to", "22:00", "after 'from'"),
    ("calendars.yml", 'to: "24:00"', 'to: "24:15"', 6, "[0].bands[1].to", "24:15", "24:00"),
    ("calendars.yml", "days: [sat]", "days: [sa]", 6, "[0].bands[1].days[0]", "sa", "mon, tue"),
    ("calendars.yml", "days: [sat]", "days: [sat, sat]", 6, "[0].bands[1].days", None, "twice"),
    ("calendars.yml", "days: [sat]", "days: []", 6, "[0].bands[1].days", None, "at least one"),
    ("calendars.yml", "days: [sat]", "days: sat", 6, "[0].bands[1].days", "sat", "a list"),
    (
        "calendars.yml",
        "",
        "- {calendar_id: day-night, default_band: x}\n",
        7,
        "[1].calendar_id",
        "day-night",
        "twice",
    ),
    # --- seller, settings, dunning, Xero, sources
    ("seller.yml", "  city: Bergen\n", "", 10, "[1].city", None, "a value is required"),
    ("seller.yml", "USD: {acc", "USB: {acc", 9, "[0].bank_accounts.USB", "USB", "ISO 4217"),
    (
        "seller.yml",
        "USD: {account: 123-456, ",
        "USD: {",
        9,
        "[0].bank_accounts.USD",
        None,
        "an iban or an account",
    ),
    (
        "seller.yml",
        "USD: {account: 123-456, ",
        "USD: {account: 123-456, post_payments: true, ",
        9,
        "[0].bank_accounts.USD.post_payments",
        None,
        "xero_account beside it",
    ),
    (
        "seller.yml",
        "  city: Bergen\n",
        "  city: Bergen\n  logo: logo.svg\n",
        14,
        "[1].logo",
        "logo.svg",
        "a file beside seller.yml",
    ),
    (
        "settings.yml",
        "lookback_days: 5",
        "look_back_days: 5",
        2,
        "look_back_days",
        "5",
        "unknown key; expected adjustment_months",
    ),
    (
        "settings.yml",
        "lookback_days: 5",
        "lookback_days: five",
        2,
        "lookback_days",
        "five",
        "whole number",
    ),
    (
        "settings.yml",
        "lookback_days: 5",
        "lookback_days: -1",
        2,
        "lookback_days",
        "-1",
        "from 0 to",
    ),
    (
        "settings.yml",
        "percent: 25",
        "percent: 2.5",
        1,
        "tolerance_percent",
        "2.5",
        'quoted decimal string: "2.5"',
    ),
    (
        "dunning.yml",
        "action: email, template: friendly",
        "action: letter",
        5,
        "[0].stages[0].action",
        "letter",
        "email, suspend_machines",
    ),
    (
        "dunning.yml",
        ", template: friendly",
        "",
        5,
        "[0].stages[0].template",
        None,
        "needs a template",
    ),
    (
        "dunning.yml",
        "days_overdue: 20",
        "days_overdue: 3",
        6,
        "[0].stages[1].days_overdue",
        "3",
        "expected more than 3",
    ),
    (
        "dunning.yml",
        "requires: [last]",
        "requires: [lost]",
        7,
        "[0].stages[2].requires[0]",
        "lost",
        "an earlier stage",
    ),
    (
        "dunning.yml",
        "business_days_only: true",
        "business_days_only: yes",
        3,
        "[0].business_days_only",
        "yes",
        "true or false",
    ),
    (
        "dunning.yml",
        'only_above: "25.00"',
        "only_above: 25.00",
        2,
        "[0].only_above",
        "25.00",
        'write it as a quoted decimal string: "25.00"',
    ),
    (
        "xero.yml",
        "tracking: {site",
        "statement_url: bills.example/{number}\ntracking: {site",
        3,
        "statement_url",
        "bills.example/{number}",
        "the address of a statement",
    ),
    (
        "xero.yml",
        "tracking: {site",
        "statement_url: https://bills.example/{no}\ntracking: {site",
        3,
        "statement_url",
        "https://bills.example/{no}",
        "an address with {number}",
    ),
    ("xero.yml", "tracking: {site", "tracking: {sight", 3, "tracking.sight", "Site", "unknown key"),
    (
        "xero.yml",
        "accounts: {default: 0200,",
        "accounts: {default: 0200, a b: 1,",
        1,
        "accounts.a b",
        "a b",
        "an identifier",
    ),
    # --- plans
    (PLAN, "plan_id: all-models\n", "", 1, "plan_id", None, "a value is required"),
    (PLAN, "currency: NOK", "currency: KWD", 3, "currency", "KWD", "at most 2 decimals"),
    (PLAN, "currency: NOK", "currency: NOK\nowner: me", 4, "owner", "me", "unknown key"),
    (
        PLAN,
        "valid_from: 2027-01",
        "valid_from: 2027-01-15",
        24,
        "versions[1].valid_from",
        "2027-01-15",
        "a month YYYY-MM",
    ),
    (
        PLAN,
        "valid_from: 2027-01",
        "valid_from: 2026-01",
        24,
        "versions[1].valid_from",
        "2026-01",
        "version 1 begins in the same month",
    ),
    (PLAN, "version: 2", "version: 1", 23, "versions[1].version", "1", "twice"),
    (PLAN, "version: 2", "version: 0", 23, "versions[1].version", "0", "whole number from 1"),
    (PLAN, "adjust: false", "adjust: no", 25, "versions[1].adjust", "no", "true or false"),
    (
        PLAN,
        'rate: "0.0825"}\n      - {code: grid',
        "rate: 0.08}\n      - {code: grid",
        8,
        f"{V1}.charges[0].rate",
        "0.08",
        'write it as a quoted decimal string: "0.08"',
    ),
    (
        PLAN,
        'amount: "42.00"',
        "amount: 42",
        16,
        f"{V1}.charges[8].amount",
        "42",
        'write it as a quoted decimal string: "42"',
    ),
    (
        PLAN,
        'amount: "42.00"',
        'amount: "-42.00"',
        16,
        f"{V1}.charges[8].amount",
        "-42.00",
        "0 or more",
    ),
    (
        PLAN,
        'unit: kWh, rate: "0.0825"',
        'unit: GB, rate: "0.0825"',
        8,
        f"{V1}.charges[0].unit",
        "GB",
        "no unit of energy",
    ),
    (
        PLAN,
        'unit: kWh, rate: "0.0825"',
        'unit: kwh, rate: "0.0825"',
        8,
        f"{V1}.charges[0].unit",
        "kwh",
        "one of the units Wh, kWh",
    ),
    (
        PLAN,
        "metric: traffic",
        "metric: power",
        11,
        f"{V1}.charges[3].metric",
        "power",
        "write energy",
    ),
    (
        PLAN,
        "metric: traffic",
        "metrik: traffic",
        11,
        f"{V1}.charges[3].metrik",
        "traffic",
        "unknown key; expected code, model",
    ),
    (
        PLAN,
        "per: contract, tiers",
        "per: region, tiers",
        9,
        f"{V1}.charges[1].per",
        "region",
        "site, contract, machine",
    ),
    (
        PLAN,
        "model: volume, ",
        "model: volume, per: machine, ",
        10,
        f"{V1}.charges[2].per",
        "machine",
        "site, contract",
    ),
    (
        PLAN,
        "model: volume, ",
        "model: volumes, ",
        10,
        f"{V1}.charges[2].model",
        "volumes",
        "one of the charge models per_unit",
    ),
    (
        PLAN,
        "model: package, metric",
        "model: package, per: machine, metric",
        11,
        f"{V1}.charges[3].per",
        "machine",
        "one of: site",
    ),
    (
        PLAN,
        'tiers: [{up_to: "10.5", rate: "0.01"}, {rate: "0"}]',
        "tiers: []",
        10,
        f"{V1}.charges[2].tiers",
        None,
        "at least one",
    ),
    (
        PLAN,
        '{rate: "0"}]',
        '{up_to: "10.5", rate: "0"}, {rate: "0"}]',
        10,
        f"{V1}.charges[2].tiers[1].up_to",
        "10.5",
        "more than 10.5",
    ),
    (
        PLAN,
        '{rate: "0"}]',
        '{up_to: "11", rate: "0"}]',
        10,
        f"{V1}.charges[2].tiers[1].up_to",
        "11",
        "the last tier is open",
    ),
    (
        PLAN,
        '{up_to: "10.5", rate: "0.01"}',
        '{rate: "0.01"}',
        10,
        f"{V1}.charges[2].tiers[0].up_to",
        None,
        "only the last tier is open",
    ),
    (
        PLAN,
        '{up_to: "10.5", rate: "0.01"}',
        '{up_to: "0", rate: "0.01"}',
        10,
        f"{V1}.charges[2].tiers[0].up_to",
        "0",
        "more than 0",
    ),
    (PLAN, 'size: "100"', 'size: "0"', 11, f"{V1}.charges[3].size", "0", "more than 0"),
    (
        PLAN,
        "calendar: day-night",
        "calendar: day-nite",
        13,
        f"{V1}.charges[5].calendar",
        "day-nite",
        "no such calendar",
    ),
    (PLAN, ', night: "0.07"', "", 13, f"{V1}.charges[5].rates", None, "missing: night"),
    (
        PLAN,
        ', night: "0.07"',
        ', night: "0.07", dusk: "1"',
        13,
        f"{V1}.charges[5].rates.dusk",
        "dusk",
        "has no such band",
    ),
    (
        PLAN,
        "sites: [NO-OSL1], regions",
        "sites: [NO-OSL2, NO-OSL1], regions",
        13,
        f"{V1}.charges[5].sites[0]",
        "NO-OSL2",
        "no such site",
    ),
    (
        PLAN,
        "regions: [nordics]",
        "regions: [nordics, nordic]",
        13,
        f"{V1}.charges[5].regions[1]",
        "nordic",
        "no such region",
    ),
    (
        PLAN,
        "model: index, ",
        "model: index, metric: traffic, ",
        14,
        f"{V1}.charges[6].metric",
        "traffic",
        "energy",
    ),
    (
        PLAN,
        'multiplier: "1.02"',
        'multiplier: "1.02345"',
        14,
        f"{V1}.charges[6].multiplier",
        "1.02345",
        "at most 4 decimals",
    ),
    (
        PLAN,
        "window_minutes: 15",
        "window_minutes: 20",
        15,
        f"{V1}.charges[7].window_minutes",
        "20",
        "15, 30 or 60",
    ),
    (
        PLAN,
        "model: demand, ",
        "model: demand, unit: kWh, ",
        15,
        f"{V1}.charges[7].unit",
        "kWh",
        "kW",
    ),
    (
        PLAN,
        "per: machine, amount",
        "per: rack, amount",
        16,
        f"{V1}.charges[8].per",
        "rack",
        "contract, site, machine",
    ),
    (
        PLAN,
        "prorate: none",
        "prorate: none, sites: [NO-OSL1]",
        17,
        f"{V1}.charges[9].sites",
        None,
        "one line without site",
    ),
    (
        PLAN,
        "prorate: none",
        "prorate: none, regions: [asia]",
        17,
        f"{V1}.charges[9].regions",
        None,
        "one line without site",
    ),
    (PLAN, "prorate: none", "prorate: day", 17, f"{V1}.charges[9].prorate", "day", "time, none"),
    (
        PLAN,
        "itemise: false",
        "itemise: false, sites: [NO-OSL1]",
        19,
        f"{V1}.charges[11].sites",
        None,
        "cannot be limited",
    ),
    (
        PLAN,
        "service_codes: [fuel]",
        "service_codes: [fuel, parts]",
        19,
        f"{V1}.charges[11].service_codes[1]",
        "parts",
        "charge services of this version has it",
    ),
    (
        PLAN,
        "service_codes: [fuel]",
        "service_codes: [fuel, fuel]",
        19,
        f"{V1}.charges[11].service_codes[1]",
        "fuel",
        "one charge of a version",
    ),
    (
        PLAN,
        "charges: [services, fuel]",
        "charges: [services, fool]",
        20,
        f"{V1}.charges[12].charges[1]",
        "fool",
        "no charge of this code",
    ),
    (
        PLAN,
        "charges: [services, fuel]",
        "charges: [services, handling]",
        20,
        f"{V1}.charges[12].charges[1]",
        "handling",
        "only charges that come before it",
    ),
    (
        PLAN,
        "charges: [services, fuel]",
        "charges: [services, welcome]",
        20,
        f"{V1}.charges[12].charges[1]",
        "welcome",
        "only charges that come before it",
    ),
    (
        PLAN,
        "charges: [hosting, desk, handling]",
        "charges: [hosting, commit]",
        21,
        f"{V1}.charges[13].charges[1]",
        "commit",
        "only charges that come before it",
    ),
    (
        PLAN,
        "charges: [energy, hosting, welcome]",
        "charges: [energy, energy]",
        22,
        f"{V1}.charges[14].charges[1]",
        "energy",
        "twice",
    ),
    (
        PLAN,
        'percent: "20"',
        'percent: "120"',
        21,
        f"{V1}.charges[13].percent",
        "120",
        "at most 100",
    ),
    (
        PLAN,
        "first_months: 3",
        "first_months: 0",
        21,
        f"{V1}.charges[13].first_months",
        "0",
        "from 1",
    ),
    (
        PLAN,
        "code: peak",
        "code: energy",
        15,
        f"{V1}.charges[7].code",
        "energy",
        "twice (first line 8)",
    ),
    (
        PLAN,
        "bill_while_suspended: false",
        "bill_while_suspended: 0",
        16,
        f"{V1}.charges[8].bill_while_suspended",
        "0",
        "true or false",
    ),
    (
        "plans/small.yml",
        "      - {code",
        "      - per_unit\n      - {code",
        7,
        f"{V1}.charges[0]",
        None,
        "expected a charge",
    ),
    # --- plans: numbers and names that rating could not use
    (
        PLAN,
        'unit: kWh, rate: "0.0825"',
        'unit: kWh, rate: "-0.0825"',
        8,
        f"{V1}.charges[0].rate",
        "-0.0825",
        "0 or more",
    ),
    (
        PLAN,
        'unit: kWh, rate: "0.0825"',
        'unit: kWh, rate: "0.0825000001"',
        8,
        f"{V1}.charges[0].rate",
        "0.0825000001",
        "at most 9 decimals, found 10",
    ),
    (
        PLAN,
        'unit: kWh, rate: "0.0825"',
        'unit: kWh, rate: "1000000000"',
        8,
        f"{V1}.charges[0].rate",
        "1000000000",
        "at most 9 digits before the point, found 10",
    ),
    (
        PLAN,
        '{rate: "0.0790"}',
        '{rate: "1000000000.5"}',
        9,
        f"{V1}.charges[1].tiers[1].rate",
        "1000000000.5",
        "at most 9 digits before the point",
    ),
    (
        PLAN,
        'day: "0.12"',
        'day: "12000000000"',
        13,
        f"{V1}.charges[5].rates.day",
        "12000000000",
        "at most 9 digits before the point",
    ),
    (
        PLAN,
        'window_minutes: 15, rate: "4.00"',
        'window_minutes: 15, rate: "4000000000"',
        15,
        f"{V1}.charges[7].rate",
        "4000000000",
        "at most 9 digits before the point",
    ),
    (
        PLAN,
        'amount: "300.00"',
        'amount: "1000000000000000"',
        22,
        f"{V1}.charges[14].amount",
        "1000000000000000",
        "at most 15 digits before the point, found 16",
    ),
    (PLAN, 'price: "3.75"', 'price: "-3.75"', 11, f"{V1}.charges[3].price", "-3.75", "0 or more"),
    (PLAN, 'size: "100"', 'size: "-100"', 11, f"{V1}.charges[3].size", "-100", "more than 0"),
    (
        PLAN,
        'included: "50"',
        'included: "-1"',
        11,
        f"{V1}.charges[3].included",
        "-1",
        "0 or more",
    ),
    (
        PLAN,
        '{amount: "80.00"}',
        '{amount: "-80.00"}',
        12,
        f"{V1}.charges[4].tiers[1].amount",
        "-80.00",
        "0 or more",
    ),
    (
        PLAN,
        'night: "0.07"',
        'night: "-0.07"',
        13,
        f"{V1}.charges[5].rates.night",
        "-0.07",
        "0 or more",
    ),
    (
        PLAN,
        'multiplier: "1.02"',
        'multiplier: "-1"',
        14,
        f"{V1}.charges[6].multiplier",
        "-1",
        "0 or more",
    ),
    (
        PLAN,
        'markup_percent: "10"',
        'markup_percent: "-10"',
        18,
        f"{V1}.charges[10].markup_percent",
        "-10",
        "0 or more",
    ),
    (
        PLAN,
        'percent: "5"',
        'percent: "-5"',
        20,
        f"{V1}.charges[12].percent",
        "-5",
        "0 or more",
    ),
    (
        PLAN,
        'percent: "20"',
        'percent: "100.0001"',
        21,
        f"{V1}.charges[13].percent",
        "100.0001",
        "at most 100",
    ),
    (
        PLAN,
        'max_amount: "25.00"',
        'max_amount: "-25.00"',
        21,
        f"{V1}.charges[13].max_amount",
        "-25.00",
        "0 or more",
    ),
    (
        PLAN,
        "charges: [hosting, desk, handling]",
        "charges: [hosting, disk]",
        21,
        f"{V1}.charges[13].charges[1]",
        "disk",
        "no charge of this code",
    ),
    (
        PLAN,
        "charges: [energy, hosting, welcome]",
        "charges: [energy, hostign]",
        22,
        f"{V1}.charges[14].charges[1]",
        "hostign",
        "no charge of this code",
    ),
    (
        PLAN,
        "charges: [energy, hosting, welcome]",
        "charges: [energy, commit]",
        22,
        f"{V1}.charges[14].charges[1]",
        "commit",
        "only charges that come before it",
    ),
    (
        PLAN,
        'index_id: NO1, multiplier: "1.02"',
        'multiplier: "1.02"',
        14,
        f"{V1}.charges[6].index_id",
        None,
        "a value is required",
    ),
    (PLAN, "code: peak", "code: credit", 15, f"{V1}.charges[7].code", "credit", "credits"),
    ("contracts.csv", "ACME,small", "ACME,", 4, "plan_id", None, "a value is required"),
    ("alerts.csv", "", "K-2,amount,0\n", 3, "threshold", "0", "more than 0"),
    (
        "credits.csv",
        "c-1,K-1,sla,20.00",
        "c-1,K-1,sla,-20.00",
        2,
        "amount",
        "-20.00",
        "more than 0",
    ),
    # --- YAML itself
    (
        PLAN,
        'rate: "4.00"}',
        'rate: "4.00", rate: "5.00"}',
        15,
        f"{V1}.charges[7].rate",
        "5.00",
        "stands here twice (first line 15)",
    ),
    (
        "settings.yml",
        "lookback_days: 5",
        "tolerance_percent: 5",
        2,
        "tolerance_percent",
        "5",
        "stands here twice (first line 1)",
    ),
    ("settings.yml", "lookback_days: 5", "lookback_days: [5", 3, None, None, "is not YAML"),
    (
        "settings.yml",
        "lookback_days: 5",
        "lookback_days: !!int 5",
        2,
        "lookback_days",
        "5",
        "tags",
    ),
    (
        "settings.yml",
        "tolerance_percent: 25\nlookback_days: 5\n",
        "- 5\n",
        1,
        None,
        None,
        "a mapping",
    ),
    ("settings.yml", "", "---\nlookback_days: 6\n", 3, None, None, "is not YAML"),
]


@pytest.mark.parametrize(
    ("file", "old", "new", "row", "column", "value", "message"),
    CASES,
    ids=[f"{case[0]}-{case[4] or 'file'}-{number}" for number, case in enumerate(CASES)],
)
def test_one_broken_rule_is_one_fault_in_its_place(
    book_files: BookFiles,
    file: str,
    old: str,
    new: str,
    row: int | None,
    column: str | None,
    value: str | None,
    message: str,
) -> None:
    book_files.replace(file, old, new)
    (fault,) = faults_of(book_files.folder)
    assert (fault.file, fault.row, fault.column, fault.value) == (file, row, column, value)
    assert message in fault.message
    assert str(fault).startswith(f"{file} line {row}")
    assert str(fault).endswith(fault.message)


# --- faults that are several, or of no single line ---------------------------------------------


def places_of(faults: tuple[Fault, ...]) -> list[tuple[str, int | None, str | None]]:
    return [(fault.file, fault.row, fault.column) for fault in faults]


def test_all_faults_are_told_at_once(book_files: BookFiles) -> None:
    for file, old, new in [
        ("sites.csv", ",60,5,", ",none,5,"),
        ("sites.csv", ",Jakarta,ID,", ",Jakarta,XX,"),
        ("machines.csv", "tag-1,yes", "tag-1,no"),
        ("machines.csv", "Model X,4.5", "Model X,-4.5"),
        ("customers.csv", "ops@acme.example", "ops"),
        ("payers.csv", "FI,EUR", "FI,EURO"),
        ("payers.csv", ",standard,", ",strict,"),
        ("contracts.csv", "ACME,small", "ACME,smal"),
        ("assignments.csv", "", "m9,K-1,2026-01-01,\n"),
        ("payer_routes.csv", "", "K-2,,enrgy,BETA,1\n"),
        ("tax_rules.csv", "NO-25,25,", "NO-25,25.00001,"),
        ("fx_rates.csv", "", "2026-01-31,EUR,USD,0\n"),
        ("index_prices.csv", "", "NO1,2026-01-01T03:30:00Z,41,NOK\n"),
        ("credits.csv", "", "c-2,K-1,gift,1,NOK,2026-03-01,,\n"),
        ("alerts.csv", "", "K-1,kwh,1\n"),
        ("settings.yml", "lookback_days", "look_back_days"),
        ("dunning.yml", "requires: [last]", "requires: [lost]"),
        (PLAN, 'amount: "42.00"', "amount: 42.00"),
        (PLAN, "window_minutes: 15", "window_minutes: 20"),
        (PLAN, "charges: [services, fuel]", "charges: [services, fool]"),
    ]:
        book_files.replace(file, old, new)
    with pytest.raises(BookError) as caught:
        load_book(book_files.folder)
    faults = caught.value.faults
    assert len(faults) == 20
    assert str(caught.value).splitlines() == [str(fault) for fault in faults]
    assert places_of(faults) == sorted(places_of(faults), key=lambda p: (p[0], p[1] or 0))


@pytest.mark.parametrize(
    "name",
    [
        "sites.csv",
        "machines.csv",
        "customers.csv",
        "payers.csv",
        "contracts.csv",
        "assignments.csv",
    ],
)
def test_a_missing_required_file_is_one_fault(book_files: BookFiles, name: str) -> None:
    book_files.remove(name)
    (fault,) = faults_of(book_files.folder)
    assert (fault.file, fault.row, fault.message) == (
        name,
        None,
        "this file is required and missing",
    )


def test_a_book_needs_a_plan(book_files: BookFiles) -> None:
    book_files.remove(PLAN)
    book_files.remove("plans/small.yml")
    (fault,) = faults_of(book_files.folder)
    assert (fault.file, fault.row) == ("plans/", None)


def test_a_folder_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    (fault,) = faults_of(tmp_path / "nowhere")
    assert "no such folder" in fault.message


@pytest.mark.parametrize(
    "name", ["credit.csv", "sellers.yml", "seller.yaml", "plans/other.yaml", "plans/rates.csv"]
)
def test_a_file_that_would_be_overlooked_is_a_fault(book_files: BookFiles, name: str) -> None:
    book_files.write(name, "x\n")
    (fault,) = faults_of(book_files.folder)
    assert fault.file == name
    assert "overlooked" in fault.message


@pytest.mark.parametrize("name", ["README.md", ".gitignore", "~lock.csv", "plans/NOTES.txt"])
def test_files_that_are_no_tables_may_lie_beside(book_files: BookFiles, name: str) -> None:
    book_files.write(name, "x\n")
    load_book(book_files.folder)


def test_text_that_is_not_utf8_is_refused_with_its_line(book_files: BookFiles) -> None:
    text = (book_files.folder / "customers.csv").read_text()
    book_files.write("customers.csv", text.replace("Labs", "Läbs").encode("latin-1"))
    (fault,) = faults_of(book_files.folder)
    assert (fault.file, fault.row, fault.value) == ("customers.csv", 3, "byte 0xe4")
    assert "UTF-8" in fault.message


def test_utf16_is_refused(book_files: BookFiles) -> None:
    text = (book_files.folder / "alerts.csv").read_text()
    book_files.write("alerts.csv", text.encode("utf-16"))
    (fault,) = faults_of(book_files.folder)
    assert (fault.file, fault.row) == ("alerts.csv", 1)


def test_an_empty_table_file_lacks_its_header(book_files: BookFiles) -> None:
    book_files.write("alerts.csv", "")
    (fault,) = faults_of(book_files.folder)
    assert (fault.file, fault.row) == ("alerts.csv", 1)
    assert "contract_id, measure, threshold" in fault.message


def test_names_of_broken_rows_are_known_all_the_same(book_files: BookFiles) -> None:
    """A row with a value too many, or a bad value, sets off no dangling references to it."""
    book_files.replace("customers.csv", "acme-labs,Acme Labs AS,acme,,", "acme-labs,Labs, Acme,,,,")
    book_files.replace("sites.csv", "Asia/Jakarta", "Asia/Batavia")
    book_files.replace("payers.csv", "pay@beta.example", "pay")
    assert places_of(faults_of(book_files.folder)) == [
        ("customers.csv", 3, None),
        ("payers.csv", 3, "email"),
        ("sites.csv", 3, "timezone"),
    ]


def test_a_charge_with_a_fault_is_known_by_its_code(book_files: BookFiles) -> None:
    book_files.replace(PLAN, 'amount: "42.00"', 'amount: "42,00"')
    book_files.replace(PLAN, "model: pass_through, service_codes: [hands", "model: pass, x: [hands")
    assert places_of(faults_of(book_files.folder)) == [
        (PLAN, 16, "versions[0].charges[8].amount"),
        (PLAN, 18, "versions[0].charges[10].model"),
    ]


def test_a_reference_to_a_misspelt_name_is_a_fault_each(book_files: BookFiles) -> None:
    book_files.replace("sites.csv", "ID-JKT1,Jakarta", "ID-JKT2,Jakarta")
    assert places_of(faults_of(book_files.folder)) == [
        ("machines.csv", 4, "site_id"),
        ("machines.csv", 5, "site_id"),
        ("payer_routes.csv", 2, "site_id"),
    ]


def test_wrong_keys_are_both_missing_and_unknown(book_files: BookFiles) -> None:
    book_files.replace("calendars.yml", "default_band: night", "default_bnd: night")
    book_files.replace(PLAN, '{up_to: "150", amount', '{up_to: "150", rate')
    assert places_of(faults_of(book_files.folder)) == [
        ("calendars.yml", 1, "[0].default_band"),
        ("calendars.yml", 3, "[0].default_bnd"),
        (PLAN, 12, "versions[0].charges[4].tiers[0].amount"),
        (PLAN, 12, "versions[0].charges[4].tiers[0].rate"),
    ]


def test_a_fault_of_a_plan_names_plan_version_and_charge(book_files: BookFiles) -> None:
    book_files.replace(PLAN, 'size: "100"', 'size: "0"')
    book_files.replace(PLAN, "[services, fuel]", "[services, fool]")
    book_files.replace("calendars.yml", '"08:00"', '"08:10"')
    words = [str(fault) for fault in faults_of(book_files.folder)]
    assert words[0] == (
        "calendars.yml line 6, [0].bands[1].from (calendar day-night, band day): '08:10':"
        " expected a time on a quarter of an hour (:00, :15, :30, :45)"
    )
    assert words[1] == (
        f"{PLAN} line 11, versions[0].charges[3].size"
        " (plan all-models, version 1, charge blocks): '0': expected more than 0"
    )
    assert words[2].startswith(
        f"{PLAN} line 20, versions[0].charges[12].charges[1]"
        " (plan all-models, version 1, charge handling): 'fool': there is no charge of this code"
    )


def test_a_discount_of_all_and_a_surcharge_above_all_are_legal(book_files: BookFiles) -> None:
    """A month for nothing is a promotion that people give; a share on top has no upper bound."""
    book_files.replace(PLAN, 'percent: "20"', 'percent: "100"')
    book_files.replace(PLAN, 'percent: "5"', 'percent: "150"')
    charges = load_book(book_files.folder).plans[0].versions[0].charges
    assert [str(c.percent) for c in charges if isinstance(c, Discount | Percentage)] == [
        "150",
        "100",
    ]


def test_amounts_of_money_may_be_as_large_as_currencies_are_small(book_files: BookFiles) -> None:
    for old in ('amount: "300.00"', 'max_amount: "25.00"', 'amount: "80.00"', 'price: "3.75"'):
        name = old.split(":")[0]
        book_files.replace(PLAN, old, f'{name}: "999999999999999.99"')
    book_files.replace(PLAN, 'rate: "4.00"', 'rate: "999999999.999999999"')
    sentences = next(w.text for w in render_words(load_book(book_files.folder)))
    assert sentences.count("NOK 999,999,999,999,999.99") == 4
    assert "NOK 999,999,999.999999999 per kW" in sentences


def test_credit_is_no_code_of_a_charge(book_files: BookFiles) -> None:
    book_files.replace("plans/small.yml", "code: energy", "code: credit")
    (fault,) = faults_of(book_files.folder)
    assert (fault.row, fault.column, fault.value) == (7, "versions[0].charges[0].code", "credit")


def test_two_plans_of_one_name_are_refused(book_files: BookFiles) -> None:
    text = (book_files.folder / "plans/small.yml").read_text()
    book_files.write("plans/small-2.yml", text)
    (fault,) = faults_of(book_files.folder)
    assert (fault.file, fault.column, fault.value) == ("plans/small.yml", "plan_id", "small")
    assert "plans/small-2.yml" in fault.message


def test_two_stages_or_sellers_of_one_name_are_refused(book_files: BookFiles) -> None:
    book_files.replace("dunning.yml", "stage: pause", "stage: first")
    book_files.replace("seller.yml", "seller_id: first", "seller_id: second")
    assert places_of(faults_of(book_files.folder)) == [
        ("dunning.yml", 7, "[0].stages[2].stage"),
        ("seller.yml", 10, "[1].seller_id"),
    ]


# --- YAML that would harm ------------------------------------------------------------------------


def test_yaml_that_contains_itself_is_refused(book_files: BookFiles) -> None:
    book_files.write("calendars.yml", "- &a [*a]\n")
    (fault,) = faults_of(book_files.folder)
    assert fault.file == "calendars.yml"
    assert "refers to itself" in fault.message


def test_yaml_that_unfolds_without_end_is_refused(book_files: BookFiles) -> None:
    lines = ["- &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    book_files.write("calendars.yml", "\n".join(lines) + "\n")
    (fault,) = faults_of(book_files.folder)
    assert "far too much" in fault.message


def test_yaml_with_control_characters_is_refused(book_files: BookFiles) -> None:
    book_files.replace("settings.yml", "25", "2\x075")
    (fault,) = faults_of(book_files.folder)
    assert "is not YAML" in fault.message


def test_a_merge_takes_mappings_only(book_files: BookFiles) -> None:
    book_files.replace("settings.yml", "lookback_days: 5", "<<: 5")
    (fault,) = faults_of(book_files.folder)
    assert "<< takes a mapping" in fault.message


# --- assignments, routes and taxes that meet or do not -------------------------------------------


def test_an_assignment_may_begin_and_end_a_day_outside(book_files: BookFiles) -> None:
    book_files.replace("assignments.csv", "m3,K-2,2026-03-01", "m3,K-2,2026-02-28")
    load_book(book_files.folder)


def test_an_assignment_outside_both_is_told_of_both(book_files: BookFiles) -> None:
    book_files.replace("assignments.csv", "m1,K-1,2026-01-01", "m1,K-1,2025-12-30")
    faults = faults_of(book_files.folder)
    assert places_of(faults) == [("assignments.csv", 2, "valid_from")] * 2
    assert "the contract's terms" in faults[0].message
    assert "the machine's placements" in faults[1].message


def test_an_open_assignment_needs_an_open_contract(book_files: BookFiles) -> None:
    book_files.replace(
        "contracts.csv", "Europe/Oslo,2026-07-01,", "Europe/Oslo,2026-07-01,2027-01-01"
    )
    faults = faults_of(book_files.folder)
    assert places_of(faults) == [
        ("assignments.csv", 2, "valid_to"),
        ("assignments.csv", 3, "valid_to"),
    ]
    assert "expected an end" in faults[0].message


def test_routes_that_never_meet_may_have_one_priority(book_files: BookFiles) -> None:
    book_files.replace("payer_routes.csv", "", "K-1,ID-JKT1,tou,BETA,5\nK-1,,commit,ACME,10\n")
    load_book(book_files.folder)


def test_routes_of_one_priority_that_a_better_one_beats_are_sound(book_files: BookFiles) -> None:
    book_files.replace("payer_routes.csv", "", "K-1,,energy,ACME,10\nK-1,ID-JKT1,energy,BETA,1\n")
    load_book(book_files.folder)


def test_tax_rules_tie_only_where_a_line_can_be(book_files: BookFiles) -> None:
    """No site is in SE, so (SE, any) and (any, NO) never meet; (ID, any) and (any, NO) do."""
    book_files.replace("tax_rules.csv", "", "SE,,,SE-25,25,2020-01-01,,\n")
    load_book(book_files.folder)
    book_files.replace("tax_rules.csv", "", "ID,,,ID-11,11,2020-01-01,,\n")
    faults = faults_of(book_files.folder)
    assert places_of(faults) == [("tax_rules.csv", 6, "tax_code")] * 2
    assert "lines at sites of ID" in faults[0].message


def test_a_tie_of_tax_rules_that_a_narrower_one_beats_is_sound(book_files: BookFiles) -> None:
    book_files.replace("tax_rules.csv", "NO-25,25,2020-01-01,,\n", "NO-25,25,2020-01-01,,\n")
    book_files.replace(
        "tax_rules.csv",
        "",
        "ID,,,ID-11,11,2020-01-01,,\nID,NO,,A,0,2020-01-01,,\nID,FI,,B,0,2020-01-01,,\n",
    )
    load_book(book_files.folder)


def test_a_tie_of_tax_rules_between_month_ends_touches_no_line(book_files: BookFiles) -> None:
    book_files.replace("tax_rules.csv", "", "ID,,,ID-11,11,2026-05-01,2026-05-31,\n")
    load_book(book_files.folder)
    book_files.replace("tax_rules.csv", "2026-05-01,2026-05-31", "2026-05-01,2026-06-01")
    assert len(faults_of(book_files.folder)) == 2


# --- versions --------------------------------------------------------------------------------------


def test_only_a_version_in_force_must_price_all_bands(book_files: BookFiles) -> None:
    book_files.replace(PLAN, 'rates: {day: "0.12", night: "0.07"}', 'rates: {day: "0.12"}')
    assert len(faults_of(book_files.folder)) == 1
    for line in ("2026-01-01,2026-07-01", "2026-07-01,,PO 7"):
        later = line.replace("2026-07", "2028-07").replace("2026-01-01", "2027-01-01")
        book_files.replace("contracts.csv", line, later)
    book_files.replace("assignments.csv", "m1,K-1,2026", "m1,K-1,2027")
    book_files.replace("assignments.csv", "m2,K-1,2026", "m2,K-1,2027")
    book = load_book(book_files.folder)
    assert any("missing: night" in warning for warning in book.warnings)


def test_versions_are_numbered_in_order_of_time(book_files: BookFiles) -> None:
    book_files.replace(PLAN, "valid_from: 2027-01", "valid_from: 2025-01")
    (fault,) = faults_of(book_files.folder)
    assert (fault.row, fault.column) == (6, "versions[0].valid_from")
    assert "later versions have greater numbers" in fault.message
