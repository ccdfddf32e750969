"""What each code means, why it matters, what is wrong and what is right, and how a finding is waived."""

from __future__ import annotations

from typing import Final

from attrs import frozen

__all__ = ["CODES", "Code", "explain"]


@frozen
class Code:
    """One kind of finding."""

    title: str
    means: str
    matters: str
    wrong: str
    right: str


def explain(code: str) -> str:
    """Return all that there is to say about a code, as text."""
    about = CODES[code]
    wrong = "\n".join(f"    {line}" for line in about.wrong.strip().splitlines())
    right = "\n".join(f"    {line}" for line in about.right.strip().splitlines())
    waive = (
        f"To allow one, say why behind the line or above it:\n\n    # captp: allow {code} the reason\n"
        if not code.startswith("CAP0")
        else "It cannot be waived.\n"
    )
    return (
        f"{code}: {about.title}\n\n{about.means}\n{about.matters}\n\n"
        f"Wrong:\n\n{wrong}\n\nRight:\n\n{right}\n\n{waive}"
    )


CODES: Final = {
    "CAP001": Code(
        "waiver without a reason",
        "A comment allows findings, and does not say which code or why.",
        "Whoever reads it later cannot tell whether it is still right.",
        "insert(person)  # captp: allow CAP303",
        "insert(person)  # captp: allow CAP303 the plug-in host binds People before it loads this",
    ),
    "CAP002": Code(
        "waiver that allows nothing",
        "A comment allows a finding that is not there.",
        "It would hide the next one, which may be another mistake.",
        "total = 1  # captp: allow CAP303 bound by the host",
        "total = 1",
    ),
    "CAP003": Code(
        "unreadable file",
        "A file is no Python that this version can parse, or is no text.",
        "What is in it is missing from the program: needs, bindings and calls.",
        "def main(:",
        "def main():",
    ),
    "CAP301": Code(
        "conflicting borrows",
        "A capability is borrowed to be changed while it is borrowed, or a view is used after a change,"
        " or something is changed through a shared borrow.",
        "At run time this is BorrowConflict, or a view that shows what is no longer so.",
        """
with People.mut() as people:
    for index, _ in people.items():
        greet(index)        # borrows People too, somewhere below
""",
        """
for index, _ in list(People.get().items()):
    greet(index)
""",
    ),
    "CAP302": Code(
        "an object that needs context becomes a reference",
        "A method that is marked @captp.method needs a capability that it neither binds nor carries.",
        "Who calls it by reference has no context for it: at run time it is refused with UnsizeError.",
        """
class Desk(captp.Object):
    @captp.method
    def count(self) -> int:
        return len(People.get())
""",
        """
class Desk(captp.Object):
    @captp.method
    @captp.needs(People.ref, carry=True)
    def count(self) -> int:
        return len(People.get())
""",
    ),
    "CAP303": Code(
        "missing context",
        "A function needs a capability, and on one way from the program's start to it nothing binds that.",
        "At run time this is MissingContext, on that way only.",
        """
def main():
    insert(Person())
main()
""",
        """
def main():
    with captp.bind(People.mut(Arena())):
        insert(Person())
main()
""",
    ),
    "CAP304": Code(
        "a tied value is kept too long",
        "What a capability gave is stored, returned without @captp.tie, or used after its block.",
        "It is good for as long as the borrow or the binding; afterwards each use of it raises.",
        """
with People.ref() as people:
    ada = people[index]
print(ada.name)
""",
        """
with People.ref() as people:
    name = people[index].name
print(name)
""",
    ),
    "CAP305": Code(
        "generic context",
        "A capability is made for a type parameter, for Any, or for a Protocol that run time cannot check.",
        "Nothing can tell whether what is bound to it is what its users expect.",
        'Thing = captp.Cap("Thing", T)',
        'Thing = captp.Cap("Thing", Person)',
    ),
    "CAP306": Code(
        "declared needs leave something out",
        "A function has @captp.needs, and its body needs more than that.",
        "The check before the body passes, and the function fails in its middle.",
        """
@captp.needs(People.ref)
def rename(index, name):
    with People.mut() as people:
        people[index].name = name
""",
        """
@captp.needs(People.mut)
def rename(index, name):
    with People.mut() as people:
        people[index].name = name
""",
    ),
    "CAP401": Code(
        "use after move",
        "A unique reference is used after it was passed on or shared, on some way through the function.",
        "There is one holder, who has it now: here each use raises Moved.",
        """
captp.E(printer).take(job)
captp.E(other).take(job)
""",
        """
job = captp.share(job)
captp.E(printer).take(job)
captp.E(other).take(job)
""",
    ),
    "CAP402": Code(
        "a borrow escapes",
        "A borrowed reference is stored, returned, captured by what outlives the call, shared or passed on.",
        "It is over when the call ends, and using it raises BorrowEscape.",
        """
@captp.method
def keep(self, table: captp.Borrowed[Table]) -> None:
    self.kept = table
""",
        """
@captp.method
def keep(self, table: Table) -> None:
    self.kept = table
""",
    ),
    "CAP403": Code(
        "a unique reference in state",
        "A field of an Object is declared as unique, or a unique reference is stored in one.",
        "State is shared, and a unique reference has one holder: the assignment raises Moved.",
        """
class Queue(captp.Object):
    job: captp.Unique[Job]
""",
        """
class Queue(captp.Object):
    job: Job
""",
    ),
    "CAP404": Code(
        "a unique reference that must be used is dropped",
        "On some way through a function nothing is done with a unique reference, not even a look at it, and"
        " its Interface is declared with `must_use=True`.",
        "Nobody else has it, so that it is gone, and what its class says must come of it does not.",
        """
class Ticket(captp.Interface, must_use=True): ...

async def enter(office: Office, is_open: bool) -> None:
    ticket = await office.sell()
    if is_open:
        await ticket.redeem()
""",
        """
async def enter(office: Office, is_open: bool) -> None:
    if is_open:
        ticket = await office.sell()
        await ticket.redeem()
""",
    ),
    "CAP501": Code(
        "a capture that a trustee refuses",
        "A function for a trustee captures what others may change: a list, an object, a method, a partial.",
        "Two trustees could share it; the call raises CaptureError.",
        """
seen = []
await counter.apply(lambda c: seen.append(c.count))
""",
        "seen = [await counter.apply(lambda c: c.count)]",
    ),
    "CAP502": Code(
        "a fiber awaits what is no promise",
        "An async method of an Object, or a launched function, awaits something of trio or asyncio.",
        "A fiber is no trio task: the await raises ForeignAwait and the call breaks.",
        """
@captp.method
async def wait(self) -> None:
    await trio.sleep(1)
""",
        """
@captp.method
async def wait(self) -> None:
    await captp.sleep(1)
""",
    ),
    "CAP503": Code(
        "an Object behind an Interface annotation",
        "A variable or a parameter is annotated with an Interface, holds the Object itself, and is called.",
        "The call runs at once and gives a value, where the annotation says that it gives a promise.",
        """
account: Account = Purse()
total = await account.deposit(1)
""",
        """
account = vat.export(Purse())
total = await account.deposit(1)
""",
    ),
    "CAP504": Code(
        "a far reference called as near",
        "A result is used, passed or kept before it is awaited, or .now() is asked of what is far.",
        "It is a promise until it is awaited: computing with it raises, and comparing it is never true.",
        "if account.balance() > 10: ...",
        "if await account.balance() > 10: ...",
    ),
}
