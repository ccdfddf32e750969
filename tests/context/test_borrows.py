"""Many read or one writes; what was read before a change is good no more; errors name both lines."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from contextvars import Context, copy_context

import pytest
import trio

import captp
from tests.context.people import Number, People, Words, line, two

HERE = "test_borrows.py"


def test_nothing_is_bound() -> None:
    with pytest.raises(captp.MissingContext, match=rf"People.ref is needed at {HERE}:{line('# bare get')}"):
        len(People.get())  # bare get
    with (
        pytest.raises(captp.MissingContext, match=r"with captp.bind\(People.mut\(...\)\)"),
        People.mut(),
    ):
        pytest.fail("the body ran")
    with pytest.raises(captp.MissingContext):
        bool(Number.get() > 3)


def test_what_is_missing_is_told_with_the_line_that_leads_there() -> None:
    def insert() -> None:
        Words.get()[0]  # the need

    def program() -> None:
        insert()  # the root

    import threading

    problems: list[captp.MissingContext] = []

    def run() -> None:
        try:
            program()
        except captp.MissingContext as problem:
            problems.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

    assert (
        f"needed at {HERE}:{line('# the need')}, and nothing binds it on the way there from {HERE}:"
        in str(problems[0])
    )


def test_bind_in_scope() -> None:
    outer, inner = ["outer"], ["inner"]

    with captp.bind(Words.mut(outer)):
        with captp.bind(Words.ref(inner)):
            assert Words.get() == ["inner"]
            with pytest.raises(captp.MissingContext, match="bound to be read only"), Words.mut():
                pytest.fail("the body ran")
        assert Words.get() == ["outer"]
        with Words.mut() as words:
            words.append("more")
    with pytest.raises(captp.MissingContext):
        len(Words.get())

    assert outer == ["outer", "more"]


def test_a_block_unwinds_when_its_body_raises() -> None:
    with pytest.raises(ZeroDivisionError), captp.bind(Words.mut([])), Words.mut():
        _ = 1 / 0

    with pytest.raises(captp.MissingContext):
        len(Words.get())


def test_two_writers() -> None:
    with captp.bind(Words.mut([])), Words.mut():  # first writer
        first = line("# first writer")
        with pytest.raises(captp.BorrowConflict, match=f"changed since {HERE}:{first}") as caught:  # noqa: SIM117
            with Words.mut():  # second writer
                pytest.fail("the body ran")
        assert f"Words.mut at {HERE}:{line('# second writer')}" in str(caught.value)


def test_a_reader_keeps_writers_out_and_lets_readers_in() -> None:
    with captp.bind(Words.mut(["a"])), Words.ref() as one, Words.ref() as two_:
        assert one == two_ == ["a"]
        with pytest.raises(captp.BorrowConflict, match="it is being read since"), Words.mut():
            pytest.fail("the body ran")


def test_a_reader_that_has_ended_keeps_nobody_out() -> None:
    with captp.bind(Words.mut([])):
        first, second = Words.ref(), Words.ref()
        first.__enter__()  # the first to read
        second.__enter__()  # the second to read
        first.__exit__(None, None, None)
        with (
            pytest.raises(captp.BorrowConflict, match=f"since {HERE}:{line('# the second to read')}"),
            Words.mut(),
        ):
            pytest.fail("the body ran")
        second.__exit__(None, None, None)
        with Words.mut():
            pass


def test_an_exit_stack_is_nobodys_line() -> None:
    with captp.bind(Words.mut([])), ExitStack() as stack:
        stack.enter_context(Words.mut())  # on the stack
        on_stack = line("# on the stack")
        with pytest.raises(captp.BorrowConflict, match=f"changed since {HERE}:{on_stack}"), Words.ref():
            pytest.fail("the body ran")


def test_a_writer_keeps_readers_out() -> None:
    with captp.bind(Words.mut(["a"])):
        seen = Words.get()
        with Words.mut() as words:
            words.append("b")
            with pytest.raises(captp.BorrowConflict, match="it is borrowed to be changed since"), Words.ref():
                pytest.fail("the body ran")
            with pytest.raises(captp.BorrowConflict, match="used too late"):
                len(seen)
        # Asked for once, a capability is asked again at each look.
        assert len(seen) == 2


def test_what_was_taken_out_before_a_change_is_good_no_more() -> None:
    people, ann, bob = two()
    with captp.bind(People.mut(people)):
        before = People.get()[ann]
        assert before.name == "ann"
        with People.mut() as arena:  # the change
            arena[ann].name = "anna"

        with pytest.raises(captp.BorrowConflict, match=f"changed at {HERE}:{line('# the change')}") as caught:
            before.name  # noqa: B018 # the late look
        assert f"used too late, at {HERE}:{line('# the late look')}" in str(caught.value)
        assert People.get()[ann].name == "anna"
        assert People.get()[bob].name == "bob"


def test_a_loop_over_what_is_changed_in_it_is_refused_at_its_next_step() -> None:
    people, ann, bob = two()
    people[ann].friends.update({ann, bob})
    steps: list[int] = []

    def change_in_a_loop() -> None:
        for _friend in People.get()[ann].friends:
            steps.append(1)
            with People.mut() as arena:
                arena[bob].name += "!"

    with captp.bind(People.mut(people)), pytest.raises(captp.BorrowConflict, match="used too late"):
        change_in_a_loop()

    assert steps == [1]


def test_disjoint_capabilities_never_conflict() -> None:
    people, ann, _bob = two()

    def deep() -> None:
        with People.mut() as arena:
            arena[ann].name += "!"

    with captp.bind(People.mut(people), Words.ref(["x", "y"])):
        for _word in Words.get():
            deep()
        with Words.ref():
            deep()

    assert people[ann].name == "ann!!!"


def test_a_view_outlives_no_binding() -> None:
    people, ann, _bob = two()
    with captp.bind(People.ref(people)):
        kept, element = People.get(), People.get()[ann]

    for late in (lambda: len(kept), lambda: element.name):
        with pytest.raises(captp.MissingContext, match="the block is over that bound it"):
            late()


def test_what_a_borrow_gave_is_good_in_its_block() -> None:
    people, ann, _bob = two()
    with captp.bind(People.mut(people)):
        with People.ref() as arena:  # the borrow
            person = arena[ann]
            assert person.name == "ann"
        expected = f"the block is over that borrowed it at {HERE}:{line('# the borrow')}"
        for late in (lambda: person.name, lambda: len(arena)):
            with pytest.raises(captp.BorrowConflict, match=expected):
                late()


def test_a_borrow_is_used_once_and_is_good_in_its_block() -> None:
    with captp.bind(Words.mut([])):
        borrow = Words.mut()
        with borrow as words:
            words.append("a")
            with pytest.raises(captp.BorrowConflict, match="is in use since"):
                borrow.__enter__()
        with borrow as words:
            assert words == ["a"]


def test_one_value_is_not_bound_twice_to_be_changed() -> None:
    words: list[str] = []
    Others = captp.Cap("Others", list[str])
    with pytest.raises(captp.BorrowConflict, match=r"Words.mut and Others.ref are one list"):
        captp.bind(Words.mut(words), Others.ref(words))
    captp.bind(Words.ref(words), Others.ref(words))


def test_a_view_is_not_bound_to_be_changed() -> None:
    with captp.bind(Words.ref(["a"])):
        with pytest.raises(captp.BorrowConflict, match="is given a view"):
            captp.bind(Words.mut(Words.get()))
        with captp.bind(Words.ref(Words.get())):
            assert Words.get() == ["a"]


def test_what_is_bound_has_the_type_that_was_said() -> None:
    with pytest.raises(captp.UsageError, match="Words is bound to a list, not to a tuple"):
        Words.mut(())  # type: ignore[call-overload]
    with pytest.raises(captp.UsageError, match=r"takes People\.ref"):
        captp.bind(3)  # type: ignore[arg-type]


async def test_a_child_task_reads_what_its_parent_bound_and_cannot_change_it() -> None:
    seen: list[object] = []

    async def child() -> None:
        seen.append(list(Words.get()))
        with pytest.raises(captp.MissingContext, match=r"bound at .* by another task"), Words.mut():
            pytest.fail("the body ran")
        with captp.bind(Words.mut(["own"])), Words.mut() as words:
            seen.append(words)

    with captp.bind(Words.mut(["a"])):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
        with Words.mut() as words:
            words.append("b")

    assert seen == [["a"], ["own"]]


async def test_a_child_task_does_not_read_while_its_parent_writes() -> None:
    refused = trio.Event()

    async def child() -> None:
        with pytest.raises(captp.BorrowConflict, match="it is borrowed to be changed since"), Words.ref():
            pytest.fail("the body ran")
        refused.set()

    async with trio.open_nursery() as nursery:
        with captp.bind(Words.mut([])), Words.mut():
            nursery.start_soon(child)
            await refused.wait()


def test_another_thread_reads_and_does_not_change() -> None:
    seen: list[object] = []

    def there() -> None:
        seen.append(list(Words.get()))
        with pytest.raises(captp.MissingContext, match="by another task"), Words.mut():
            pytest.fail("the body ran")

    with captp.bind(Words.mut(["a"])):
        thread = threading.Thread(target=copy_context().run, args=(there,))
        thread.start()
        thread.join()

    assert seen == [["a"]]


def test_a_generator_that_is_closed_elsewhere_ends_its_binding() -> None:
    def steps() -> object:
        with captp.bind(Words.ref(["in"])):
            yield Words.get()

    made = steps()
    view = copy_context().run(next, made)  # type: ignore[call-overload]
    made.close()  # type: ignore[attr-defined]

    with pytest.raises(captp.MissingContext, match="the block is over"):
        len(view)


def test_generators_that_end_in_any_order_leave_what_they_found() -> None:
    def steps(word: str) -> Iterator[None]:
        with captp.bind(Words.ref([word])):
            yield

    with captp.bind(Words.ref(["outer"])):
        first, second = steps("first"), steps("second")
        next(first)
        next(second)
        first.close()  # type: ignore[attr-defined]
        assert Words.get() == ["second"]
        second.close()  # type: ignore[attr-defined]
        assert Words.get() == ["outer"]
    with pytest.raises(captp.MissingContext, match="nothing binds it there"):
        len(Words.get())


def test_a_binding_that_is_over_where_it_is_still_found_gives_nothing() -> None:
    def steps() -> Iterator[None]:
        with captp.bind(Words.mut(["in"])):
            yield

    def here() -> None:
        made = steps()
        next(made)
        Context().run(made.close)
        for borrow in (Words.mut(), Words.ref()):
            with pytest.raises(captp.MissingContext, match=r"the block that bound it .* is over"), borrow:
                pytest.fail("the body ran")

    copy_context().run(here)


def test_a_borrow_that_ends_after_its_binding_makes_nothing_good_again() -> None:
    bound, borrow = captp.bind(Words.mut(["a"])), Words.mut()
    bound.__enter__()
    view = Words.get()
    borrow.__enter__()
    bound.__exit__(None, None, None)
    borrow.__exit__(None, None, None)

    with pytest.raises(captp.MissingContext, match="the block is over"):
        len(view)


def test_a_binding_is_made_once_and_one_capability_may_be_bound_twice() -> None:
    bound = captp.bind(Words.ref(["a"]))
    with bound, pytest.raises(captp.UsageError, match=r"is bound already, at .*: make another"), bound:
        pytest.fail("the body ran")
    with captp.bind(Words.ref(["a"]), Words.ref(["b"])):
        assert Words.get() == ["b"]
    with pytest.raises(captp.MissingContext):
        len(Words.get())


def test_a_capability_is_not_copied() -> None:
    for act in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="import it from its module"):
            act(Words)  # type: ignore[operator]


def test_a_borrow_takes_a_part_of_a_part() -> None:
    people, ann, _bob = two()
    notes = People.mut().map(lambda arena: arena[ann]).map(lambda person: person.notes)
    with captp.bind(People.mut(people)), notes as lists:
        lists.append(["y"])

    assert people[ann].notes == [["x"], ["y"]]


def test_use_returns_only_what_outlives_it() -> None:
    people, ann, _bob = two()
    with captp.bind(People.mut(people)):
        assert People.ref.use(len) == 2
        assert People.mut.use(lambda arena: arena[ann].notes) == (("x",),)
        with pytest.raises(captp.Unpassable, match="Person"):
            People.mut.use(lambda arena: arena[ann])
        with pytest.raises(captp.Unpassable):
            People.ref.use(lambda arena: arena[ann])


def test_groups_are_bound_together() -> None:
    both = captp.Cap.group(People, Words)
    people, ann, _bob = two()
    with captp.bind(both.mut(people, [])), People.mut() as arena, Words.mut() as words:
        words.append(arena[ann].name)

        assert words == ["ann"]
    with captp.bind(both.ref(people, ["w"])), pytest.raises(captp.MissingContext), Words.mut():
        pytest.fail("the body ran")
    with pytest.raises(captp.UsageError, match="give 2 values, for People, Words, not 1"):
        both.mut(people)  # type: ignore[call-arg]
