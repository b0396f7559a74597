"""A small sound book that uses everything, and how to change it."""

# ruff: noqa: E501 - rows of a book stand in one line

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

SOUND: Mapping[str, str] = {
    "sites.csv": """\
site_id,name,country,region,timezone,tax_jurisdiction,expected_interval_minutes,default_rated_kw,estimation
NO-OSL1,Oslo,NO,nordics,Europe/Oslo,NO,60,5,interpolate
ID-JKT1,Jakarta,ID,asia,Asia/Jakarta,ID,15,,
""",
    "machines.csv": """\
machine_id,site_id,meter_id,valid_from,valid_to,metrics,model,rated_kw,asset_tag,never_suspend
m1,NO-OSL1,pdu-1,2026-01-01,,energy|traffic,Model X,4.5,tag-1,yes
m2,NO-OSL1,pdu-2,2026-01-01,2026-06-01,,,,,
m2,ID-JKT1,"rack 7, outlet 2",2026-06-02,,,,3,,
m3,ID-JKT1,j-3,2026-03-01,,,,3,,
""",
    "customers.csv": """\
customer_id,name,parent_customer_id,email,language
acme,Acme AS,,ops@acme.example,nb-NO
acme-labs,Acme Labs AS,acme,,
""",
    "payers.csv": """\
payer_id,name,country,currency,email,payment_terms_days,consolidation,tax_number,po_number,approval_owner,payment_methods,dunning_policy,auto_approve_limit,language,address_line1,address_line2,postal_code,city,seller_id
ACME,Acme AS,NO,NOK,pay@acme.example,30,one,,,,card|bank_transfer,standard,100.00,nb-NO,Street 1,,0150,Oslo,second
BETA,Beta Oy,FI,EUR,pay@beta.example,14,by_site,,,,,,,,,,,,
""",
    "contracts.csv": """\
contract_id,customer_id,payer_id,plan_id,billing_timezone,valid_from,valid_to,po_number
K-1,acme,ACME,all-models,Europe/Oslo,2026-01-01,2026-07-01,
K-1,acme,BETA,all-models,Europe/Oslo,2026-07-01,,PO 7
K-2,acme-labs,ACME,small,Asia/Jakarta,2026-02-01,,
""",
    "assignments.csv": """\
machine_id,contract_id,valid_from,valid_to
m1,K-1,2026-01-01,
m2,K-1,2026-01-01,
m3,K-2,2026-03-01,2026-08-01T00:00:00Z
""",
    "payer_routes.csv": """\
contract_id,site_id,charge_code,payer_id,priority
K-1,ID-JKT1,,BETA,10
K-1,,hosting,ACME,5
""",
    "tax_rules.csv": """\
site_jurisdiction,payer_country,charge_code,tax_code,rate_percent,valid_from,valid_to,note
,NO,,NO-25,25,2020-01-01,,
,FI,,RC,0,2020-01-01,,Reverse charge
NO,NO,energy,NO-15,15,2020-01-01,2027-01-01,
""",
    "fx_rates.csv": """\
date,base,quote,rate
2026-01-31,EUR,NOK,11.500000000001
""",
    "index_prices.csv": """\
index_id,hour_start,price,currency
NO1,2026-01-01T00:00:00Z,-3.500000,NOK
NO1,2026-01-01T02:00:00+01:00,40,NOK
""",
    "credits.csv": """\
credit_id,contract_id,kind,amount,currency,valid_from,valid_to,note
c-1,K-1,sla,20.00,NOK,2026-03-01,,
""",
    "holidays.csv": """\
country,date,name
NO,2026-05-17,Grunnlovsdag
""",
    "reading_edits.csv": """\
site_id,meter_id,metric,from,to,action,quantity,reason,by
NO-OSL1,pdu-1,energy,2026-02-01T00:00:00Z,2026-02-01T02:00:00Z,set,2.5,seen on site,ann
NO-OSL1,pdu-1,energy,2026-02-01T02:00:00Z,2026-02-01T03:00:00Z,reject,,seen on site,ann
""",
    "alerts.csv": """\
contract_id,measure,threshold
K-1,amount,500.00
""",
    "calendars.yml": """\
- calendar_id: day-night
  country_holidays: NO
  default_band: night
  bands:
    - {band: day, days: [mon, tue, wed, thu, fri], from: "07:00", to: 22:00}
    - {band: day, days: [sat], from: "08:00", to: "24:00"}
""",
    "seller.yml": """\
- seller_id: first
  legal_name: First AS
  address_line1: Street 2
  postal_code: 0151
  city: Oslo
  country: NO
  bank_accounts:
    EUR: {iban: NO9386011117947, bic: DNBANOKK}
    USD: {account: 123-456, bank: Example Bank}
- seller_id: second
  legal_name: Second AS
  address_line1: Street 3
  city: Bergen
  country: NO
""",
    "settings.yml": "tolerance_percent: 25\nlookback_days: 5\n",
    "dunning.yml": """\
- policy_id: standard
  only_above: "25.00"
  business_days_only: true
  stages:
    - {stage: first, days_overdue: 3, action: email, template: friendly}
    - {stage: last, days_overdue: 20, action: email, template: final_notice, copy_to: [head]}
    - {stage: pause, days_overdue: 30, action: suspend_machines, requires: [last], notice_days: 7, approval: auto}
""",
    "xero.yml": """\
accounts: {default: 0200, energy: "201", credit: "209"}
tax_types: {NO-25: OUTPUT2, NO-15: OUTPUT3, RC: NONE}
tracking: {site: Site, region: Region}
""",
    "plans/all-models.yml": """\
plan_id: all-models
description: Every model
currency: NOK
versions:
  - version: 1
    valid_from: 2026-01
    charges:
      - {code: energy, model: per_unit, unit: kWh, rate: "0.0825"}
      - {code: grid, model: graduated, per: contract, tiers: [{up_to: "100000", rate: "0.0825"}, {rate: "0.0790"}]}
      - {code: green, model: volume, tiers: [{up_to: "10.5", rate: "0.01"}, {rate: "0"}]}
      - {code: blocks, model: package, metric: traffic, size: "100", price: "3.75", included: "50"}
      - {code: access, model: stairstep, tiers: [{up_to: "150", amount: "20.00"}, {amount: "80.00"}]}
      - {code: tou, model: time_of_use, calendar: day-night, rates: {day: "0.12", night: "0.07"}, sites: [NO-OSL1], regions: [nordics]}
      - {code: spot, model: index, index_id: NO1, multiplier: "1.02", adder: "-1.5", sites: [NO-OSL1]}
      - {code: peak, model: demand, window_minutes: 15, rate: "4.00"}
      - {code: hosting, model: recurring, per: machine, amount: "42.00", bill_while_suspended: false}
      - {code: desk, model: recurring, amount: "33.33", prorate: none}
      - {code: services, model: pass_through, service_codes: [hands, parts], markup_percent: "10"}
      - {code: fuel, model: pass_through, service_codes: [fuel], itemise: false}
      - {code: handling, model: percentage, percent: "5", charges: [services, fuel]}
      - {code: welcome, model: discount, percent: "20", charges: [hosting, desk, handling], first_months: 3, max_amount: "25.00"}
      - {code: commit, model: minimum_commit, amount: "300.00", charges: [energy, hosting, welcome]}
  - version: 2
    valid_from: 2027-01
    adjust: false
    charges:
      - {code: energy, model: per_unit, unit: kWh, rate: "0.09"}
""",
    "plans/small.yml": """\
plan_id: small
currency: NOK
versions:
  - version: 1
    valid_from: 2026-02
    charges:
      - {code: energy, model: per_unit, rate: "1"}
""",
}


class BookFiles:
    """A book on disk that tests change: replace text, add lines, remove files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in SOUND.items():
            self.write(name, text)

    def write(self, name: str, text: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def replace(self, name: str, old: str, new: str) -> None:
        """Put `new` in the place of `old`, which stands there exactly once; "" is the end."""
        text = (self.folder / name).read_text()
        if old == "":
            self.write(name, text + new)
            return
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        self.write(name, text.replace(old, new))

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()


@pytest.fixture
def book_files(tmp_path: Path) -> BookFiles:
    return BookFiles(tmp_path / "book")
