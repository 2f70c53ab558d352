"""Logins: Twisted, which offers Basic before Digest in two headers; httpbin, with every kind of Digest challenge."""

from __future__ import annotations

import tempfile
from itertools import product
from pathlib import Path

from common import Operator, environment, offers, running, until

TWISTED_PORT, HTTPBIN_PORT = 5206, 5207
PICTURE = Path("picture.jpg")
TWISTED = """
import sys
from pathlib import Path
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import endpoints, reactor
from twisted.web.guard import BasicCredentialFactory, DigestCredentialFactory, HTTPAuthSessionWrapper
from twisted.web.resource import IResource
from twisted.web.server import Site
from twisted.web.static import File
from zope.interface import implementer

@implementer(IRealm)
class Realm:
    def requestAvatar(self, name, mind, *interfaces):
        return IResource, File("."), lambda: None

portal = Portal(Realm(), [InMemoryUsernamePasswordDatabaseDontUse(admin=b"right")])
kinds = [BasicCredentialFactory(b"camera"), DigestCredentialFactory(b"md5", b"camera")]
root = HTTPAuthSessionWrapper(portal, kinds)
endpoints.serverFromString(reactor, f"tcp:{sys.argv[1]}:interface=127.0.0.1").listen(Site(root))
reactor.run()
"""


def basic_first(folder: Path, python: Path) -> None:
    (folder / "server.py").write_text(TWISTED)
    camera = f"127.0.0.1:{TWISTED_PORT}/{PICTURE}"
    with running(python, "server.py", TWISTED_PORT, cwd=folder):
        operator = Operator(folder, username="admin", password="right")
        until(lambda: operator.probe(f"http://{camera}")["error_state"] != "unreachable")
        answer = operator.probe(f"http://{camera}")
        assert answer["ok"], answer
        assert offers(answer) == 1
        assert not any("Basic" in step["text"] for step in answer["steps"] if "offering" in step["text"])
        assert Operator(folder, username="admin", password="wrong").probe(f"http://{camera}")["error_state"] == "auth"


def every_challenge(folder: Path, python: Path) -> None:
    """It answers with JSON: a login that was taken is told as `not_an_image`."""
    flask = [python, "-m", "flask", "--app", "httpbin:app", "run", "--host", "127.0.0.1", "--port", HTTPBIN_PORT]
    server = f"http://127.0.0.1:{HTTPBIN_PORT}"
    with running(*flask, cwd=folder):
        until(lambda: Operator(folder).probe(f"{server}/get")["error_state"] == "not_an_image")
        asked = product(("auth", "auth,auth-int", "none"), ("MD5", "SHA-256", "SHA-512"), ("never", "2"))
        for number, (qop, algorithm, stale) in enumerate(asked):
            path = f"digest-auth/{qop}/user/secret{number}/{algorithm}/{stale}"
            answer = Operator(folder, username="user", password=f"secret{number}").probe(f"{server}/{path}")
            assert answer["error_state"] == "not_an_image", (path, answer)
        answer = Operator(folder, username="user", password="wrong").probe(f"{server}/digest-auth/auth/user/x/MD5")
        assert (answer["error_state"], offers(answer)) == ("auth", 1), answer


def main() -> None:
    python = environment("digest", "twisted", "httpbin", "flask", "pillow") / "python"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        from cctv_images.process.fallback import builtin_fallback

        (folder / PICTURE).write_bytes(builtin_fallback())
        basic_first(folder, python)
        every_challenge(folder, python)


if __name__ == "__main__":
    main()
