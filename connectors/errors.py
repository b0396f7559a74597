"""What can go wrong between a site and the landing zone, told apart by what a person does about it.

``ConfigError``: correct the book. ``SourceUnavailable``: wait, it is tried again later.
``SourceRefused``: the site said no, and asking again gives the same. ``SourceAnswerError``: the
site answered something other than its configuration says. Messages never contain a secret.
"""

from __future__ import annotations

from dataclasses import dataclass


class ConnectorError(Exception):
    """A site could not be read; the others go on."""

    def __init__(self, site_id: str, message: str) -> None:
        super().__init__(site_id, message)
        self.site_id = site_id
        self.message = message

    def __str__(self) -> str:
        return f"site {self.site_id}: {self.message}"


@dataclass(frozen=True)
class ConfigFault:
    """One fault of a source's configuration, in the form the book reports faults."""

    field: str
    value: str
    message: str

    def __str__(self) -> str:
        return f"{self.field} is {self.value}: {self.message}"


class ConfigError(ConnectorError):
    """The configuration of a source is wrong, or a secret it names is not there."""

    def __init__(self, site_id: str, faults: tuple[ConfigFault, ...]) -> None:
        super().__init__(site_id, "; ".join(str(fault) for fault in faults))
        self.faults = faults


class SourceUnavailable(ConnectorError):  # noqa: N818 - it is a state of the site, not of the program
    """The site did not answer in time, however often it was asked; it may later."""


class CircuitOpen(SourceUnavailable):
    """The site failed so often in a row that it is not asked again for a while."""


class SourceRefused(ConnectorError):  # noqa: N818 - as above
    """The site refused: wrong credentials, unknown address, a query it does not accept."""


class SourceAnswerError(ConnectorError):
    """The answer is not what the configuration says: broken JSON, a missing field, no end."""


class AnswerTooLargeError(SourceAnswerError):
    """The answer is longer than is accepted at once; a shorter window may help."""
