"""A real IMAP server on loopback, with one user and an own configuration."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

MISSING = "Dovecot is not installed: apt-get install dovecot-imapd"
USER, PASSWORD = "bounces@hosting.example", "open sesame"
_CONFIG = """
protocols = imap
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {internal}
first_valid_uid = 1
mail_location = maildir:{folder}/mail
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home
}}
"""


def is_installed() -> bool:
    return binary() is not None


def binary() -> str | None:
    return shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass(frozen=True)
class Dovecot:
    """`folder` holds everything of it; mails lie in `mail`, a maildir."""

    folder: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        user = USER.replace("@", "%40")
        return {
            "M2C_BOUNCES_IMAP_URL": f"imap://{user}@127.0.0.1:{self.port}/INBOX",
            "M2C_BOUNCES_IMAP_PASSWORD": PASSWORD,
        }

    def deliver(self, name: str, content: bytes) -> None:
        """Put a mail into the mailbox, unread."""
        target = self.folder / "mail" / "new" / name
        target.write_bytes(content)
        _own(target)

    def seen(self) -> set[str]:
        """Names of the mails that are marked as read."""
        files = (self.folder / "mail" / "cur").iterdir()
        return {f.name.partition(":")[0] for f in files if "S" in f.name.partition(":2,")[2]}

    def clear(self) -> None:
        for folder in ("new", "cur"):
            for file in (self.folder / "mail" / folder).iterdir():
                file.unlink()


@contextmanager
def running() -> Iterator[Dovecot]:
    """A server that is stopped at the end. As root it works as nobody, as it insists."""
    program = binary()
    assert program is not None
    # Not below pytest's folders, which other users may not enter.
    with tempfile.TemporaryDirectory(prefix="m2c-dovecot-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        account = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        for part in ("mail", "mail/new", "mail/cur", "mail/tmp", "home", "run", "state"):
            (folder / part).mkdir(mode=0o755)
            if not part.startswith(("run", "state")):
                _own(folder / part)
        (folder / "users").write_text(f"{USER}:{PASSWORD}\n", "utf-8")
        (folder / "users").chmod(0o644)
        port = _free_port()
        config = folder / "dovecot.conf"
        config.write_text(
            _CONFIG.format(
                folder=folder,
                port=port,
                internal=account.pw_name,
                group=_group(account.pw_gid),
                uid=account.pw_uid,
                gid=account.pw_gid,
            ),
            "utf-8",
        )
        server = subprocess.Popen(
            [program, "-F", "-c", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            _wait(server, port, folder)
            yield Dovecot(folder=folder, port=port)
        finally:
            server.terminate()
            server.communicate(timeout=20)


def _wait(server: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        assert server.poll() is None, (server.stderr.read() if server.stderr else b"").decode()
        with closing(socket.socket()) as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0 and probe.recv(4):
                return
        time.sleep(0.05)
    raise AssertionError((folder / "dovecot.log").read_text("utf-8"))


def _own(path: Path) -> None:
    if os.getuid() == 0:
        account = pwd.getpwnam("nobody")
        os.chown(path, account.pw_uid, account.pw_gid)


def _group(gid: int) -> str:
    import grp

    return grp.getgrgid(gid).gr_name


def _free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
