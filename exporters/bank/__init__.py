"""What the bank saw: its lines brought in, matched to issued statements, and what people decide
about them. Everything is a fact of the ledger; payments go to Xero from there
(`exporters.xero.posting`).
"""

from exporters.bank.csvfile import CsvFormat
from exporters.bank.decisions import confirm, confirm_file, dismiss, release
from exporters.bank.importing import ImportReport, import_files
from exporters.bank.model import BankError, OurAccount, our_accounts
from exporters.bank.proposals import ProposalsReport, propose, write_csv
from exporters.bank.settling import settle

__all__ = [
    "BankError",
    "CsvFormat",
    "ImportReport",
    "OurAccount",
    "ProposalsReport",
    "confirm",
    "confirm_file",
    "dismiss",
    "import_files",
    "our_accounts",
    "propose",
    "release",
    "settle",
    "write_csv",
]
