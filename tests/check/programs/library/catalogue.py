"""Finding books."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

import captp
from captp import Index
from library.caps import Book, Books, State

T = TypeVar("T")


class Finder(Protocol):
    def find(self, word: str) -> list[Index[Book]]: ...


class ByTitle:
    def find(self, word: str) -> list[Index[Book]]:
        return [index for index, book in Books.get().items() if word in book.title]


class Free:
    def __init__(self, inner: Finder) -> None:
        self.inner = inner

    def find(self, word: str) -> list[Index[Book]]:
        books = Books.get()
        return [index for index in self.inner.find(word) if books[index].state is State.FREE]


class Shelf(Generic[T]):
    """A list with a name."""

    def __init__(self, name: str, items: Iterable[T]) -> None:
        self.name = name
        self.items = list(items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)


def stock(*titles: str) -> Shelf[Index[Book]]:
    with Books.mut() as books:
        return Shelf("new", [books.insert(Book(title)) for title in titles])


@captp.needs(Books.ref)
def title_of(book: Index[Book]) -> str:
    return Books.get()[book].title


def titles(finder: Finder, word: str) -> str:
    return ", ".join(sorted(title_of(book) for book in finder.find(word)))


def report() -> Iterator[str]:
    for book in Books.get():
        yield f"{book.title}: {book.state.value}, {len(book.history)} times"
