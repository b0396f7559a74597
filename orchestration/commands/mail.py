"""Commands about mails to payers: which texts there are, and how a mail will look."""

from __future__ import annotations

import email
from email.policy import default
from pathlib import Path

import click
import yaml

from orchestration.commands.base import cli, command
from orchestration.settings import SettingsError, clock_from_env
from orchestration.steps import App, note_bounces
from orchestration.terminal import DONE, NEEDS_PERSON


@command(cli)
@click.option("--apply", is_flag=True, help="Note and put away; without it only show.")
def bounces(app: App, apply: bool) -> int:
    """Take mail that came back: note who was not reached, so that nobody counts as reminded.

    It is read from bounces/inbox of the data dir (.eml files, mboxes) and from the mailbox
    M2C_BOUNCES_IMAP_URL, if set. Only a report about a message that went out from here counts;
    what cannot be told stays where it is and is named.
    """
    return app.answer(note_bounces(app, apply=apply))


@cli.group()
def mail() -> None:
    """Mails to payers: whose words they have, and what they look like. Nothing is sent."""


@command(mail)
@click.option("--language", help="All words of one language, as YAML to start a file from.")
def texts(app: App, language: str | None) -> int:
    """Which templates there are in which languages, where each comes from, which stages use it.

    Words that the book has in mail/LANGUAGE.yml stand before those built in; a file needs only what
    differs, and may have templates of its own. Exit code 1 names what is wrong with a file.
    """
    from connectors.book import load_book
    from exporters.collections.texts import read_texts
    from orchestration.mailtexts import stages_by_template

    found = read_texts(app.data_dir.mail_texts)
    if language is not None and language not in found.languages:
        known = ", ".join(sorted(found.languages))
        raise click.BadParameter(f"no texts in {language!r}; there are {known}")
    faults = [str(fault) for fault in found.faults]
    if language is not None and not faults:
        words = found.words[language]
        if app.terminal.as_json:
            app.terminal.json(words)
        else:
            text = yaml.safe_dump(dict(words), allow_unicode=True, sort_keys=False, width=1000)
            app.terminal.lines(text.rstrip("\n").split("\n"))
        return DONE
    book = load_book(app.data_dir.book) if app.data_dir.book.is_dir() and not faults else None
    used = stages_by_template(book)
    origins = [o for o in found.origins if language in (None, o.language)]
    if app.terminal.as_json:
        app.terminal.json(
            {
                "texts": [
                    {
                        "template": one.template,
                        "language": one.language,
                        "source": one.source,
                        "changed": list(one.changed),
                        "stages": used.get(one.template, []),
                    }
                    for one in origins
                ],
                "faults": faults,
            }
        )
    else:
        app.terminal.table(
            ["template", "language", "comes from", "changed", "stages"],
            [
                [
                    one.template,
                    one.language,
                    one.source,
                    ", ".join(one.changed),
                    ", ".join(used.get(one.template, [])),
                ]
                for one in sorted(origins, key=lambda o: (o.template, o.language))
            ],
        )
        for fault in faults:
            app.terminal.error(fault)
    return NEEDS_PERSON if faults else DONE


@command(mail)
@click.argument("template")
@click.option("--language", help="In this language instead of the payer's.")
@click.option("--payer", help="A payer of the book; without it a made-up one.")
@click.option(
    "--to",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it there: FILE.html for a browser, FILE.eml for a mail program.",
)
def preview(
    app: App, template: str, language: str | None, payer: str | None, to: Path | None
) -> int:
    """Show the mail of a TEMPLATE, filled with made-up invoices. Nothing is sent.

    TEMPLATE is one that m2c mail texts lists, such as friendly_reminder or suspended.
    """
    from exporters.collections.mail import TextsError
    from orchestration.mailtexts import preview_mail

    if to is not None and to.suffix not in (".html", ".eml"):
        raise click.BadParameter(f"--to {to}: expected a name that ends in .html or .eml")
    try:
        made = preview_mail(
            app.data_dir, template, language=language, payer_id=payer, now=clock_from_env()()
        )
    except TextsError as error:
        app.terminal.error(str(error))
        return NEEDS_PERSON
    parsed = email.message_from_bytes(made.content, policy=default)
    parts = {"text": parsed.get_body(("plain",)), "html": parsed.get_body(("html",))}
    shown = {
        kind: str(part.get_content()).replace("\r\n", "\n") if part else ""
        for kind, part in parts.items()
    }
    if to is not None:
        content = made.content if to.suffix == ".eml" else shown["html"].encode()
        try:
            to.write_bytes(content)
        except OSError as error:
            raise SettingsError(f"cannot write {to}: {error.strerror}") from error
    written = str(parsed["Content-Language"])
    if language is not None and not language.lower().startswith(written):
        app.terminal.note(f"there is no such text in {language}: a payer gets it in {written}")
    if app.terminal.as_json:
        app.terminal.json(
            {
                "template": template,
                "language": written,
                "to": made.recipients[0],
                "subject": made.subject,
                **shown,
                "file": str(to) if to else None,
            }
        )
    elif to is not None:
        app.terminal.lines([f"{made.subject} ({written}): {to}"])
    else:
        heads = [f"{name}: {parsed[name]}" for name in ("From", "To", "Subject")]
        app.terminal.lines([*heads, "", *shown["text"].splitlines()])
    return DONE
