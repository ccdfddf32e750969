# mypy: disable-error-code="empty-body"
"""Values of another type are not bound, and what is needed is a term of a capability."""

from __future__ import annotations

import captp
from captp import Arena, Index

People = captp.Cap("People", Arena[str])
Words = captp.Cap("Words", list[str])
Both = captp.Cap.group(People, Words)


class Service(captp.Interface):
    @captp.method
    @captp.needs(Words.mut, carry=True)
    def enter(self, name: str) -> int: ...


def wrong(people: Arena[str], numbers: Arena[int], at: Index[int]) -> None:
    captp.bind(Words.ref(people))  # E: [call-overload]
    captp.bind(People.mut(numbers))  # E: [arg-type]
    captp.bind(people)  # E: [arg-type]
    Both.mut(people)  # E: [call-arg]
    Both.ref(people, people)  # E: [arg-type]
    Words.get().add("a")  # E: [attr-defined]
    with People.mut() as mine:
        mine.insert(3)  # E: [arg-type]
        mine[at]  # E: [index]


@captp.needs(Words)  # E: [arg-type]
def enter(name: str) -> int:
    return len(name)


@captp.needs(Words.ref)
def count(name: str) -> int:
    return len(name)


async def calls(service: Service) -> None:
    count(3)  # E: [arg-type]
    await service.enter(3)  # E: [arg-type]
    service.enter.only()  # E: [call-arg]
