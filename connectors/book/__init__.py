"""The billing book: everything a person decides, in small text files, loaded all or nothing.

`load_book` reads and checks a folder and refuses it with every fault at once; `compile_book` writes
the typed tables that SQL reads; `render_words` puts rate plans in sentences that finance can sign.
Nothing here knows a reading or an amount of money that is billed.
"""

from connectors.book.compiled import compile_book
from connectors.book.faults import BookError, Fault
from connectors.book.load import load_book
from connectors.book.model import Book
from connectors.book.words import PlanWords, render_words

__all__ = [
    "Book",
    "BookError",
    "Fault",
    "PlanWords",
    "compile_book",
    "load_book",
    "render_words",
]
