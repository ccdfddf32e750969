"""A host in a process of its own, which is given context by its callers; its first line is a URI."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import os
import secrets
import signal

import trio

import captp
from captp.net.tls import TlsNetlayer, TlsPort
from tests.context.people import People, Person, Words


class Office(captp.Interface):
    """Works in its callers' world."""

    @captp.method
    @captp.needs(People.mut, Words.ref, carry=True)
    def enter(self, name: str) -> int: ...

    @captp.method
    @captp.needs(People.mut, carry=True)
    async def enter_and_wait(self, name: str, until: captp.Promise[None]) -> None: ...

    @captp.method
    @captp.needs(People.mut, carry=True)
    async def enter_and_die(self, name: str) -> None: ...


class Clerk(captp.Object, Office):
    @captp.method
    @captp.needs(People.mut, Words.ref, carry=True)
    def enter(self, name: str) -> int:
        with People.mut() as people:
            people.insert(Person(name + Words.get()[0]))
        return len(people)

    @captp.method
    @captp.needs(People.mut, carry=True)
    async def enter_and_wait(self, name: str, until: captp.Promise[None]) -> None:
        with People.mut() as people:
            people.insert(Person(name))
        await until

    @captp.method
    @captp.needs(People.mut, carry=True)
    async def enter_and_die(self, name: str) -> None:
        with People.mut() as people:
            people.insert(Person(name))
        await captp.sleep(0)
        os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    """Serve a clerk until killed."""
    key = captp.PrivateKey.from_seed(secrets.token_bytes(32))
    async with captp.open_vat(key=key, listen=[TlsNetlayer(key, TlsPort())]) as vat:
        print(vat.mint(Clerk()).reveal(), flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    # By its name, so that its interface is the one that others import.
    from tests.e2e import context_host

    trio.run(context_host.main)
