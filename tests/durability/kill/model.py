"""What the ledger has to hold: the writes that were sent, what became of each, and the audit of a report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field, frozen

from tests.durability.kill.alarms import AlarmsModel
from tests.durability.kill.ledger import CLOSED, COMMON, FUNDS, SHOWN

__all__ = ["Findings", "Model", "Sender", "Write"]


@frozen
class Write:
    """One numbered write of a client."""

    number: int
    method: str
    args: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.number} {self.method}{self.args}"


@define
class Sender:
    """What one client has sent, as far as no audit has settled it."""

    name: str
    #: Whether it sends durable calls: each of its writes is made in the end.
    is_durable: bool = False
    last: int = 0
    #: The number up to which audits have seen all.
    settled: int = 0
    sent: dict[int, Write] = field(factory=dict)
    acknowledged: set[int] = field(factory=set)
    #: Those that another client was told of.
    seen: set[int] = field(factory=set)
    #: What the ledger could not do, though nothing was wrong with it when it was sent, or did not say right.
    failed: list[str] = field(factory=list)
    #: Accounts that it has opened and not closed, oldest first.
    opened: list[str] = field(factory=list)

    @property
    def promised(self) -> frozenset[int]:
        """What has to be there: it was answered, or others were told of it."""
        return frozenset(self.acknowledged | self.seen)

    @property
    def unanswered(self) -> list[Write]:
        return [write for number, write in self.sent.items() if number not in self.acknowledged]

    def write(self, method: str, *args: Any) -> Write:
        """Return the next write, which is entered as sent."""
        self.last += 1
        write = self.sent[self.last] = Write(self.last, method, args)
        return write


@define
class Findings:
    """What an audit found to be wrong."""

    lost: list[str] = field(factory=list)
    doubled: list[str] = field(factory=list)
    wrong: list[str] = field(factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.wrong)

    def __str__(self) -> str:
        rows = (("lost", self.lost), ("doubled", self.doubled), ("wrong", self.wrong))
        return "\n".join(f"{kind}: {text}" for kind, texts in rows for text in texts)

    def equal(self, what: str, found: Any, wanted: Any) -> None:
        """Note what differs."""
        if found != wanted:
            self.wrong.append(f"{what}: {found!r:.500}, and should be {wanted!r:.500}")


@define
class _Account:
    total: int = 0
    entries: int = 0
    #: What each client has entered.
    by: defaultdict[str, list[tuple[int, int]]] = field(factory=lambda: defaultdict(list))

    def enter(self, client: str, number: int, amount: int) -> None:
        self.total += amount
        self.entries += 1
        self.by[client] = [*self.by[client], (number, amount)][-SHOWN:]


class Model:
    """A ledger in memory; it knows what was sent, and learns from each audit what of that was made."""

    def __init__(self, senders: Iterable[Sender]) -> None:
        self.senders = {sender.name: sender for sender in senders}
        self._accounts = {name: _Account(FUNDS) for name in COMMON}
        self._closed: dict[str, list[str]] = {name: [] for name in self.senders}
        self._forgotten: Counter[str] = Counter()
        self._done: set[tuple[str, int]] = set()
        self._notes: set[tuple[str, int]] = set()
        self._finished: set[tuple[str, int]] = set()
        self._upto: Counter[str] = Counter()
        self.alarms = AlarmsModel()

    def promised(self) -> dict[str, frozenset[int]]:
        """Return what a report that is asked for now has to show of each client."""
        return {name: sender.promised for name, sender in self.senders.items()}

    def audit(self, report: tuple[Any, ...], promised: dict[str, frozenset[int]]) -> Findings:
        """Compare a report with what was sent; what it shows is what is so from now on."""
        accounts, done, finished, forgotten, noted, closed, alarms = report
        found = Findings()
        counts = dict(done)
        for (client, number), count in counts.items():
            if count > 1:
                found.doubled.append(f"write {number} of {client} was made {count} times")
        for sender in self.senders.values():
            self._settle(sender, counts, promised[sender.name], found)
        found.equal("writes that are there", set(counts), self._done)
        found.equal("forgotten", dict(forgotten), dict(self._forgotten))
        self._check_notes(dict(finished), dict(noted), found)
        self._check_accounts(accounts, found)
        wanted = [(name, 0) for names in self._closed.values() for name in names]
        found.equal("closed", sorted(closed), sorted(wanted))
        self.alarms.audit(*alarms, found)
        return found

    def _settle(
        self,
        sender: Sender,
        counts: Mapping[tuple[str, int], int],
        promised: frozenset[int],
        found: Findings,
    ) -> None:
        name, missing = sender.name, None
        found.wrong += [f"{name}: {text}" for text in sender.failed]
        # A client that hears of no audit may have had rows deleted that none has seen; they were counted.
        forgets = (write for write in sender.sent.values() if write.method == "forget")
        gone = max((write.args[0] for write in forgets if (name, write.number) in counts), default=0)
        for number, write in list(sender.sent.items()):
            if (name, number) in counts or (number <= gone and write.method != "refuse"):
                if missing is None:
                    self._make(name, write)
                else:
                    found.wrong.append(f"{name}: {write} is there, and {missing}, sent before it, is not")
            elif write.method != "refuse":
                missing = missing or write
                if number in promised:
                    found.lost.append(f"{name}: {write}, which was answered, or another client was told of")
                if sender.is_durable:
                    # It is on its way.
                    continue
            elif sender.is_durable and number not in promised:
                continue
            del sender.sent[number]
            sender.settled = number
        sender.acknowledged &= sender.sent.keys()
        sender.seen &= sender.sent.keys()
        if not sender.is_durable:
            sender.opened = [n for n in self._accounts if n.startswith(sender.name)]

    def _make(self, client: str, write: Write) -> None:
        number, accounts = write.number, self._accounts
        self._done.add((client, number))
        match write.method, write.args:
            case "transfer", (src, dst, amount):
                self._move(client, number, src, dst, amount)
                self.alarms.make(client, number)
            case "open", (name, src, amount):
                accounts[name] = _Account()
                self._move(client, number, src, name, amount)
            case "close", (name, dst):
                self._move(client, number, name, dst, accounts[name].total)
                del accounts[name]
                self._closed[client] = [*self._closed[client], name][-CLOSED:]
            case "note", ():
                self._notes.add((client, number))
                if number in self.senders[client].acknowledged:
                    self._finished.add((client, number))
            case "forget", (upto,):
                old = {key for key in self._done if key[0] == client and key[1] <= upto}
                self._done -= old
                self._notes -= old
                self._finished -= old
                self._forgotten[client] += len(old)
                self._upto[client] = upto
            case _:
                raise AssertionError(f"{client}: {write} was to be undone, and was made")

    def _move(self, client: str, number: int, src: str, dst: str, amount: int) -> None:
        self._accounts[src].enter(client, number, -amount)
        self._accounts[dst].enter(client, number, amount)

    def _check_notes(
        self, finished: dict[tuple[str, int], int], noted: dict[str, Any], found: Findings
    ) -> None:
        """Each of its turns is made once or not at all, none without the one before; all if acknowledged."""
        counts = {(client, n): count for client, rows in noted.items() for n, count in rows}
        for kind, rows in (("finished", finished), ("noted", counts)):
            for (client, number), count in rows.items():
                if count > 1:
                    found.doubled.append(f"note {number} of {client} was {kind} {count} times")
        for key in sorted(self._finished - finished.keys()):
            found.lost.append(f"the last turn of note {key}")
        for key in sorted(finished.keys() - counts.keys()):
            found.lost.append(f"note {key}, whose last turn is there")
        for key in sorted((finished.keys() | counts.keys()) - self._notes):
            if key[1] > self._upto[key[0]]:
                found.wrong.append(f"note {key} is there without its first turn")
        self._finished |= finished.keys()

    def _check_accounts(self, rows: Iterable[tuple[str, int, int, Any]], found: Findings) -> None:
        there = {name: (total, entries, shown) for name, total, entries, shown in rows}
        found.equal("accounts", sorted(there), sorted(self._accounts))
        found.equal("the sum", sum(total for total, _, _ in there.values()), FUNDS * len(COMMON))
        for name, account in self._accounts.items():
            if name not in there:
                continue
            total, entries, shown = there[name]
            found.equal(f"{name}: balance, entries", (total, entries), (account.total, account.entries))
            for client in self.senders:
                part = [(number, amount) for who, number, amount in shown if who == client]
                wanted = account.by[client][-len(part) :] if part else []
                found.equal(f"{name}: entries of {client}", part, wanted)
