"""A vat whose collector lies: it says what suits it, forges, strips and repeats what others have signed.

It signs with its own keys only, and uses references only that it has: what it can do with them it does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from random import Random
from typing import Any

from captp.peer.cycles import statements
from captp.peer.cycles.ground import Key, Send
from captp.peer.cycles.words import Commit, Confirm, Confirmed, End, Query, Reply, Word, read, runs
from captp.sim.cycles import program
from captp.sim.cycles.ground import VatGround
from captp.sim.cycles.values import Said, Side
from captp.sim.cycles.vat import Vat
from captp.sim.cycles.world import World

#: Words that a liar remembers.
MEMORY = 60


class LyingGround(VatGround):
    """Nothing is rooted, or everything is, as it likes at the moment."""

    def __init__(self, vat: Vat, random: Random) -> None:
        super().__init__(vat)
        self._random = random

    def reaching(self, side: Any, position: int) -> frozenset[Key] | None:
        """Say that nothing leads to an import, or the half of it, or that it lives."""
        del side, position
        chance = self._random.random()
        if chance < 0.15:
            return None
        exports = sorted(self._vat.exports())
        return frozenset(Key(key) for key in exports if chance > 0.5 and self._random.random() < 0.5)

    def unrooted(self, keys: Collection[Key], but: Collection[Key] = ()) -> set[Key]:
        """Say that no root reaches anything."""
        del but
        return set(keys)

    def candidates(self) -> list[Key]:
        """Suspect everything."""
        return [Key(key) for key in sorted(self._vat.exports())]


class Liar:
    """What a vat that lies makes of what it hears and says."""

    def __init__(self, world: World, vat: Vat, random: Random) -> None:
        self._world = world
        self._vat = vat
        self._random = random
        self._heard: deque[tuple[Side, tuple[Any, ...]]] = deque(maxlen=MEMORY)
        vat.ground = LyingGround(vat, random)
        vat.collector.ground = vat.ground

    def _tell(self, side: Side, word: Word) -> None:
        self._world.counts["lies"] += 1
        self._world.send(self._vat, side, Said(word.wire()))

    def _key(self, side: Side) -> bytes:
        return self._vat.collector.neighbours[side].key

    # What comes in.

    def heard(self, side: Side, word: tuple[Any, ...]) -> None:
        """Take a word: answer it with a lie, change it, forget it, or be honest for once."""
        self._heard.append((side, word))
        said = read(word)
        chance = self._random.random()
        match said:
            case Query() if chance < 0.75:
                self._answer(side, said, chance)
                return
            case Reply():
                claims = [*map(self._twist, said.claims), *self._missing(side, said)]
                said = Reply(said.trace, said.number, tuple(claims), (), "")
            case Confirm() if chance < 0.7:
                self._confirm(side, said)
                return
            case Confirmed():
                stands = [*map(self._twist, said.statements), *self._stands(side, said)]
                said = Confirmed(said.trace, said.digest, tuple(stands))
        if chance < 0.9:
            self._vat.collector.heard(side, said.wire(), self._world.now)
            self.obey()

    def _answer(self, side: Side, said: Query, chance: float) -> None:
        """Answer a question with something else than the truth."""
        tokens = [token for _, token in said.edges]
        if chance < 0.08:
            self._tell(side, Reply(said.trace, said.number, (), tuple(tokens), ""))
            return
        if chance < 0.14:
            return
        claims = self._others(said.trace) if 0.3 < chance < 0.4 else []
        leading: tuple[statements.Edge, ...] = ()
        if 0.4 < chance < 0.5:
            # Name honest strangers.
            leading = tuple(self._edges(said.trace)[:5])
        if chance > 0.45:
            self._ask_before(said, side)
        if chance > 0.55:
            # In one's own name, for tokens that were given to others.
            tokens += [token for _, token in self._edges(said.trace)]
        made = statements.claim(self._vat.seals, self._key(side), said.trace, dict.fromkeys(tokens, leading))
        self._tell(side, Reply(said.trace, said.number, (made, *claims), (), ""))

    def _ask_before(self, said: Query, asker: Side) -> None:
        """Ask whoever holds something of this vat, in somebody else's trace; keep what they answer."""
        for side, table in self._vat.tables.items():
            if side != asker and table.index and self._vat.collector.knows(side):
                number = self._vat.number() + 1000
                positions = runs(table.index.values())
                self._tell(side, Query(said.trace, number, 9, 900, 99, self._seed(), positions))

    def _edges(self, trace: bytes) -> list[statements.Edge]:
        """Return the edges of a trace that were named by anybody."""
        ledger = statements.Ledger(trace, self._vat.seals, self._world.limits)
        found: list[statements.Edge] = []
        for blob in self._others(trace):
            said = ledger.read(blob)
            if type(said) is statements.Claims:
                for token, leading in said.leading.items():
                    found += [(said.signer, token), *leading]
        return found

    def _seed(self) -> bytes:
        return self._vat.seals.seed(self._vat.number())

    def _confirm(self, side: Side, said: Confirm) -> None:
        """Use what was denied, and stand by everything, in the name of others too."""
        for _ in range(2):
            if self._random.random() < 0.7:
                program.use(self._world, self._vat, self._random)
        mine = statements.standing(self._vat.seals, self._key(side), said.trace, said.digest, [])
        blobs = (mine, *self._stands(side, Confirmed(said.trace, said.digest, ())))
        self._tell(side, Confirmed(said.trace, said.digest, blobs))

    def _missing(self, side: Side, said: Reply) -> list[bytes]:
        """Claim in the name of others what they have not claimed: they said that it lives."""
        if self._random.random() < 0.4:
            return []
        edges = self._edges(said.trace)
        return [
            signer + statements.claim(self._vat.seals, self._key(side), said.trace, {token: ()})[32:]
            for signer, token in edges
            if edges.count((signer, token)) == 1
        ]

    def _stands(self, side: Side, said: Confirmed) -> list[bytes]:
        """Stand by all claims in the name of their signers."""
        if self._random.random() < 0.4:
            return []
        mine = statements.standing(self._vat.seals, self._key(side), said.trace, said.digest, [])
        signers = dict.fromkeys(signer for signer, _ in self._edges(said.trace))
        return [signer + mine[32:] for signer in signers]

    def _others(self, trace: bytes | None) -> list[bytes]:
        """Return statements that were heard, of one trace or of any."""
        found: list[bytes] = []
        for _, word in self._heard:
            if word[0] in {2, 4, 5} and (trace is None or word[1] == trace or self._random.random() < 0.1):
                found += [blob for part in word[3:] if type(part) is tuple for blob in part if len(blob) > 96]
        return found

    def _twist(self, blob: bytes) -> bytes:
        """Return a statement, as it is or with something else in it than its signer has said."""
        chance = self._random.random()
        others = self._others(None)
        if chance < 0.1 and others:
            return self._random.choice(others)
        if chance < 0.2:
            # The names of what leads there, without those who lead there.
            return blob[:96] + blob[96:].replace(blob[100:112], bytes(12))
        if chance < 0.25:
            at = self._random.randrange(len(blob))
            return blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        return blob

    # What goes out.

    def say(self, side: Side, word: tuple[Any, ...]) -> None:
        """Send what its collector says, or something like it, or not."""
        chance = self._random.random()
        if word[0] and chance < 0.1:
            return
        self._world.send(self._vat, side, Said(word))
        if word[0] and chance > 0.95:
            self._world.send(self._vat, self._random.choice(list(self._vat.tables)), Said(word))

    def obey(self) -> None:
        """Do what the collector asks for, as far as it is of use."""
        for action in self._vat.collector.take():
            if type(action) is Send:
                self.say(action.side, action.word)

    def act(self) -> None:
        """Do some mischief of one's own accord."""
        match self._random.randrange(8):
            case 0 | 1 | 2:
                self._begin()
            case 3 | 4 if self._heard:
                # What was said to this vat, to anybody, word for word.
                side = self._random.choice(list(self._vat.tables) or [self._heard[0][0]])
                self._world.send(self._vat, side, Said(self._random.choice(self._heard)[1]))
            case 5:
                self._end()
            case _:
                self._hurry()

    def _begin(self) -> None:
        """Begin a trace of whatever others hold here."""
        for side in self._vat.tables:
            self._vat.collector.opened(side)
        collector, ground = self._vat.collector, self._vat.ground
        suspects = [
            key for key in ground.candidates() if all(collector.knows(h.side) for h in ground.holdings(key))
        ]
        if suspects:
            collector.start(suspects, self._world.now)
        self.obey()

    def _end(self) -> None:
        """End the trace of somebody else, or one's own while it is needed."""
        traces = list(self._vat.collector.traces.values())
        if not traces or not self._vat.tables:
            return
        trace = self._random.choice(traces)
        key = trace.key or self._vat.seals.make()
        seal = self._vat.seals.sign(key, statements.over(trace.name))
        self._tell(self._random.choice(list(self._vat.tables)), End(trace.name, key, seal))

    def _hurry(self) -> None:
        """Ask to stand still too early, for two digests, or show a proof that is none."""
        traces = list(self._vat.collector.traces.values())
        if not traces or not self._vat.tables:
            return
        trace = self._random.choice(traces)
        side = self._random.choice(list(self._vat.tables))
        blobs = self._others(trace.name)
        claims = tuple(blob for blob in blobs if b"dgc-claim" in blob)
        chance = self._random.random()
        agreed = trace.digest or statements.digest(trace.ledger.known.values())
        if chance < 0.4:
            self._tell(side, Confirm(trace.name, statements.digest(claims) if chance < 0.3 else agreed))
        elif chance < 0.7:
            known = tuple(trace.ledger.known.values())
            self._tell(side, Commit(trace.name, known, known))
        else:
            mine = [
                statements.standing(self._vat.seals, self._key(side), trace.name, agreed, [])
                for side in self._vat.tables
                if side in self._vat.collector.neighbours
            ]
            self._tell(side, Commit(trace.name, claims, (*blobs, *mine)))
