"""The billing book: everything a person decides, in small text files, loaded all or nothing.

`load_book` reads and checks a folder and refuses it with every fault at once; `compile_book` writes
the typed tables that SQL reads; `render_words` puts rate plans in sentences that finance can sign;
`changed_words` tells which of these sentences differ between two books; `propose_edit` checks a row
of reading_edits.csv before it is written; `write_variant` puts another plan in a copy of the book,
to see what it would bring.
Nothing here knows a reading or an amount of money that is billed.
"""

from connectors.book.changes import WordsChange, changed_words
from connectors.book.compiled import compile_book
from connectors.book.edits import EditProposal, EditText, propose_edit
from connectors.book.faults import BookError, Fault
from connectors.book.load import load_book
from connectors.book.model import Book
from connectors.book.variant import PlanVariant, write_variant
from connectors.book.words import PlanWords, render_words

__all__ = [
    "Book",
    "BookError",
    "EditProposal",
    "EditText",
    "Fault",
    "PlanVariant",
    "PlanWords",
    "WordsChange",
    "changed_words",
    "compile_book",
    "load_book",
    "propose_edit",
    "render_words",
    "write_variant",
]
