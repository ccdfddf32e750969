"""A day in the library."""

from __future__ import annotations

from contextlib import ExitStack

import captp
from captp import Arena, Index
from library import caps, catalogue
from library.caps import Member, Members
from library.loans import give_back, try_all


def join(*names: str) -> list[Index[Member]]:
    with Members.mut() as members:
        return [members.insert(Member(name)) for name in names]


def day() -> None:
    shelf = catalogue.stock("Dune", "Emma", "Ulysses", "Dubliners")
    ann, bob = join("Ann", "Bob")
    for told in try_all(list(shelf), ann):
        print(told)
    finder = catalogue.Free(catalogue.ByTitle())
    print("free:", catalogue.titles(finder, "D"))
    if give_back(ann) > 1:
        print(try_all(finder.find("D"), bob))
    for line in catalogue.report():
        print(line)


def main() -> None:
    with ExitStack() as stack:
        stack.enter_context(captp.bind(caps.All.mut(Arena(), Arena())))
        stack.enter_context(captp.bind(caps.Rules.ref(caps.Policy(2, "Enjoy it"))))
        day()


if __name__ == "__main__":
    main()
