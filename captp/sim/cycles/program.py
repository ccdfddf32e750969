"""What the programs of this world do, at random: they use only what they reach."""

from __future__ import annotations

from random import Random

from captp.sim.cycles import outbound
from captp.sim.cycles.oracle import Violation
from captp.sim.cycles.values import Far, Own, Ref, Side
from captp.sim.cycles.vat import Turn, Vat
from captp.sim.cycles.world import World


def act(world: World, vat: Vat, random: Random) -> None:
    """Let the program of a vat do one thing of its own accord."""
    keys, imports = vat.reach(vat.roots)
    own: list[Own] = [Own(key) for key in sorted(keys)]
    far: list[Far] = sorted(imports)
    everything: list[Ref] = [*own, *far]
    if vat.registry and random.random() < 0.6:
        _pass_on(world, vat, random)
        return
    what = random.randrange(16)
    if vat.liar is not None and what in range(3, 7):
        # It says that it has dropped things; it does not.
        what = 10
    match what:
        case 0 | 1 | 2:
            vat.roots.append(vat.new(*_some(everything, random, 2)))
        case 3 | 4 | 5 | 6:
            if vat.roots:
                gone = random.randrange(len(vat.roots))
                if not vat.registry or vat.roots[gone] not in {*vat.registries, Own(vat.registry)}:
                    vat.roots.pop(gone)
        case 7 | 8 if own:
            vat.objects[random.choice(own).key].append(random.choice(everything))
        case 9 if own:
            _lose(vat.objects[random.choice(own).key], random)
        case 10 | 11 | 12 | 13 if far:
            args = _some(everything, random, 2)
            outbound.deliver(world, vat, random.choice(far), args, ask=random.random() < 0.2)
        case 14 | 15 if vat.questions:
            question = random.choice(vat.questions)
            if random.random() < 0.5:
                outbound.forget(world, vat, question)
            else:
                outbound.follow(world, vat, question, _some(everything, random, 1))


def _pass_on(world: World, vat: Vat, random: Random) -> None:
    """Give a root to another vat's registry, and drop it here: what it leads to has its use elsewhere."""
    own = {*vat.registries, Own(vat.registry)}
    mine = [ref for ref in vat.roots if ref is not None and ref not in own]
    known = [ref for ref in vat.registries if ref.side in vat.tables]
    if mine and known:
        ref = random.choice(mine)
        outbound.deliver(world, vat, random.choice(known), [ref])
        if random.random() < 0.8 and vat.liar is None:
            vat.roots.remove(ref)


def use(world: World, vat: Vat, random: Random) -> None:
    """Call something of another vat, or hand over what this one has."""
    keys, imports = vat.reach(vat.roots)
    far = sorted(imports)
    if far:
        args = _some([*map(Own, sorted(keys)), *far], random, 2)
        outbound.deliver(world, vat, random.choice(far), args)


def run(world: World, vat: Vat, random: Random) -> None:
    """Begin a turn, or go on with one that waits."""
    if vat.running and (not vat.turns or random.random() < 0.4):
        turn = vat.running.pop(random.randrange(len(vat.running)))
    elif vat.turns:
        turn = vat.turns.popleft()
    else:
        return
    look(world, vat, turn)
    if type(turn.target) is Far:
        outbound.deliver(world, vat, turn.target, turn.args)
    elif type(turn.target) is Own and turn.target.key in vat.objects:
        _play(world, vat, turn, turn.target, random)
        if random.random() < 0.1:
            vat.running.append(turn)
            return
    settle(vat, turn, random.choice([*turn.refs(), None]))


def settle(vat: Vat, turn: Turn, value: Ref) -> None:
    """Let the result of a turn be known; what has waited for it runs."""
    if turn.question is None:
        return
    answer = vat.answers.get((turn.side, turn.question))
    turn.question = None
    if answer is None:
        return
    answer.is_settled = True
    answer.value = value
    for waiting in answer.waiting:
        waiting.target = value
        vat.turns.append(waiting)
    answer.waiting.clear()


def look(world: World, vat: Vat, turn: Turn) -> None:
    """Count it when an honest turn reaches something of an honest vat that has been cut."""
    if vat.liar is not None:
        return
    for far in vat.reach(turn.refs())[1]:
        peer = world.vats[far.side.peer]
        table = peer.tables.get(Side(vat.index, far.side.number))
        entry = None if table is None else table.exports.get(far.position)
        if peer.liar is None and entry is not None and entry.key is None:
            if not world.has_liars:
                raise Violation(f"a turn of vat {vat.index} reaches what vat {peer.index} has cut")
            world.counts["damage"] += 1


def _play(world: World, vat: Vat, turn: Turn, me: Own, random: Random) -> None:
    """Let an object do something with what it is sent and what it has."""
    mine = vat.objects[me.key]
    if me.key == vat.registry:
        vat.roots += [arg for arg in turn.args if arg is not None]
        return
    for arg in turn.args:
        chance = random.random()
        if chance < 0.5:
            mine.append(arg)
        elif chance < 0.58:
            vat.roots.append(arg)
        elif chance < 0.72 and type(arg) is Far:
            outbound.deliver(world, vat, arg, [me, *_some(mine, random, 1)])
    far = [ref for ref in mine if type(ref) is Far]
    chance = random.random()
    if chance < 0.3 and far:
        outbound.deliver(world, vat, random.choice(far), [random.choice(mine), *turn.args[:1]])
    elif chance < 0.4:
        _lose(mine, random)
    elif chance < 0.45 and mine:
        # As a promise does: tell whoever listens, and listen no more.
        news = random.choice(mine)
        for ref in far:
            outbound.deliver(world, vat, ref, [news])
        mine.clear()


def _some(refs: list[Ref], random: Random, most: int) -> list[Ref]:
    return random.choices(refs, k=random.randrange(most + 1)) if refs else []


def _lose(refs: list[Ref], random: Random) -> None:
    if refs:
        refs.pop(random.randrange(len(refs)))
