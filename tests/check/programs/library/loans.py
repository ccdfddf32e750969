"""Lending books, and getting them back."""

from __future__ import annotations

from captp import Index
from library.caps import Book, Books, Member, Members, Rules, State
from library.catalogue import title_of


class Refused(Exception):
    """A book cannot be lent."""


def may_lend(member: Index[Member]) -> bool:
    return len(Members.get()[member].books) < Rules.get().limit


def lend(book: Index[Book], member: Index[Member]) -> str:
    if not may_lend(member):
        raise Refused(f"too many books, among them {title_of(book)}")
    name = Members.get()[member].name
    with Books.mut() as books:
        if books[book].state is State.LENT:
            raise Refused("lent already")
        books[book].state = State.LENT
        books[book].history.append(name)
    with Members.mut() as members:
        members[member].books.append(book)
    return f"{Rules.get().greeting}, {name}"


def give_back(member: Index[Member]) -> int:
    with Members.mut() as members:
        returned = list(members[member].books)
        members[member].books.clear()
    for book in returned:
        free(book)
    return len(returned)


def free(book: Index[Book]) -> None:
    with Books.mut() as books:
        books[book].state = State.FREE


def try_all(books: list[Index[Book]], member: Index[Member]) -> list[str]:
    told = []
    for book in books:
        try:
            told.append(lend(book, member))
        except Refused as problem:
            told.append(f"refused: {problem}")
    return told
