"""A vat with a shelf of books, the same in plain Python, and what it must be after each numbered step."""

from __future__ import annotations

import random
from typing import Any

import captp
from captp import E

KEY = captp.PrivateKey.from_seed(b"s" * 32)


class Page(captp.Object):
    number: int = 0
    text: str = ""


class IBook(captp.Interface):
    @captp.method
    def shown(self) -> Any: ...


class Book(captp.Object, IBook):
    title: str = ""
    pages: captp.List[Any]
    marks: captp.Map[Any, Any]
    last: Page | None = None

    @captp.method
    def shown(self) -> Any:
        last = self.last and (self.last.number, self.last.text)
        return (self.title, tuple(self.pages), tuple(sorted(self.marks.items())), last)


class Shelf(captp.Object):
    """Everything that one step changes is changed in one turn."""

    number: int = 0
    notes: captp.Map[Any, Any]
    books: captp.Map[Any, Any]

    @captp.method
    def step(self, number: int) -> int:
        self.number = number
        take(self, number, Book, lambda number, text: Page(number=number, text=text))
        return self.number

    @captp.method
    def shown(self) -> Any:
        return (self.number, tuple(sorted(self.notes.items())), tuple(sorted(self.books)))

    @captp.method
    def book(self, name: int) -> IBook:
        found: IBook = self.books[name]
        return found


class Plain:
    """What a Shelf, a Book or a Page is without a vat."""

    def __init__(self, **fields: Any) -> None:
        self.number, self.title, self.text, self.last = 0, "", "", None
        self.pages: list[Any] = []
        self.notes: dict[Any, Any] = {}
        self.books: dict[Any, Any] = {}
        self.marks: dict[Any, Any] = {}
        vars(self).update(fields)


WHAT = ("note", "note", "forget", "add", "drop", "write", "write", "mark", "last", "long")


def take(shelf: Any, number: int, book: Any, page: Any) -> None:
    """Do what step ``number`` does, which follows from the number alone."""
    chance = random.Random(number)
    for _ in range(chance.randint(1, 4)):
        what = chance.choice(WHAT)
        names = sorted(shelf.books)
        if what == "note":
            shelf.notes[chance.randrange(40)] = text(chance, 200)
        elif what == "forget":
            shelf.notes.pop(chance.randrange(40), None)
        elif what == "add" or len(names) < 3:
            shelf.books[number] = book(title=f"book {number}")
        elif what == "drop" and len(names) > 12:
            del shelf.books[chance.choice(names)]
        else:
            one = shelf.books[chance.choice(names)]
            write(one, what, number, chance, page)


def write(one: Any, what: str, number: int, chance: random.Random, page: Any) -> None:
    if what == "mark":
        one.marks[chance.randrange(10)] = number
    elif what == "last":
        one.last = page(number, text(chance, 50))
    elif what == "long":
        one.title = text(chance, 20_000)
    elif len(one.pages) > 5:
        one.pages.pop(0)
    else:
        one.pages.append(text(chance, 300))


def text(chance: random.Random, most: int) -> str:
    return chance.choice("abcdef") * chance.randrange(most)


def plain_after(number: int) -> Any:
    """Return what ``shown`` gives after that many steps."""
    shelf = Plain()
    for step in range(1, number + 1):
        take(shelf, step, Plain, lambda number, text: Plain(number=number, text=text))
    shelf.number = number
    return shelf


def shown_plain(shelf: Plain) -> Any:
    books = {}
    for name, book in shelf.books.items():
        last = book.last and (book.last.number, book.last.text)
        books[name] = (book.title, tuple(book.pages), tuple(sorted(book.marks.items())), last)
    return (shelf.number, tuple(sorted(shelf.notes.items())), tuple(sorted(shelf.books))), books


async def shown(vat: Any) -> Any:
    """Return all that is on the shelf of an open vat."""
    shelf = E(vat.root("shelf", Shelf))
    top = await shelf.shown()
    return top, {name: await E(await shelf.book(name)).shown() for name in top[2]}
