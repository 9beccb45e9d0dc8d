"""The search by states: that it merges what is equal, and admits what it cannot tell apart."""

import pytest

from pfncache_lab.course.lessons.lesson_00 import COUNTER, FLAG
from pfncache_lab.explore import Condition, Scenario, check
from pfncache_lab.explore.visited import CannotTell, VisitedStates
from pfncache_lab.sim import RwLock, SpinLock, Struct, cpu_relax, marked, shared
from tests.explore.fuzz import ending, searched, truth
from tests.explore.random_programs import program


class State(Struct):
    lock = SpinLock()
    other = SpinLock()
    rw = RwLock()
    x = marked(0)
    y = marked(0)
    z = marked(0)
    n = shared(0, guarded_by="lock")


class Unguarded(Struct):
    x = marked(0)
    n = shared(0)


def scenario(*tasks, setup=State, **promises):
    return Scenario("test", setup, dict(zip("abc", tasks, strict=False)), **promises)


def set_x_y(s):
    s.x = 1
    s.y = 1


def agrees(program):
    """Every ending that brute force finds, and no other."""
    known = truth(program)
    assert known is not None
    return all(
        searched(VisitedStates, program, reduce=reduce)[0] == known[0] for reduce in (False, True)
    )


# -- what lies on the interpreter's stack ----------------------------------------------------------


def left_side_of_a_sum(s):
    s.z = s.x * 10 + s.y


def argument_before_a_call(s):
    s.z = max(s.x * 10, s.y)


def look(s):
    return s.y


def through_a_function(s):
    s.z = s.x * 10 + look(s)


def chained(s):
    s.z = (s.x, s.y, s.x)


def compared(s):
    s.z = 0 <= s.x < s.y


def augmented(s):
    s.z += s.x * 10 + s.y


def over_two_lines(s):
    s.z = (
        s.x * 10
        + s.y
    )  # fmt: skip


def either_and_more(s):
    s.z = (s.x if s.z else s.y) + s.x * 10


def plain_value(s):
    with s.lock:
        s.n = s.n + 1
        return s.n + s.x


def plain_value_through_a_function(s):
    s.z = plain_value(s) - s.y


@pytest.mark.parametrize(
    "task",
    [
        over_two_lines,
        either_and_more,
        left_side_of_a_sum,
        argument_before_a_call,
        through_a_function,
        chained,
        compared,
        augmented,
    ],
)
def test_a_value_that_waits_on_the_stack_is_part_of_the_state(task):
    """Goal: no ending is lost. Method: find all by brute force."""
    assert agrees(scenario(task, set_x_y))


def test_a_plain_value_that_waits_on_the_stack_is_part_of_the_state():
    assert agrees(scenario(plain_value_through_a_function, add, set_x_y))


# -- loops -----------------------------------------------------------------------------------------


def over_a_range(s):
    for i in range(3):
        s.z = s.x + i


def over_a_constant(s):
    for i in (3, 1, 2):
        s.z = i


def nested(s):
    for i in range(2):
        for j in range(2):
            s.z = i * 2 + j


def while_loop(s):
    i = 0
    while i < 3:
        s.z = i
        i += 1


@pytest.mark.parametrize("task", [over_a_range, over_a_constant, nested, while_loop])
def test_a_loop_whose_variable_tells_its_position_is_searched_by_states(task):
    assert agrees(scenario(task, set_x_y))
    assert list(VisitedStates(scenario(task, set_x_y)).runs())


def over_a_list(s):
    for value in [s.x, s.y, s.x]:
        s.z = value


def the_same_item_twice(s):
    for _ in (1, 1, 1):
        s.z = s.x


def variable_overwritten(s):
    for i in range(3):
        i = 0
        s.z = s.x + i


def moving_bounds(s):
    n = 2
    for i in range(n):
        n = 0
        s.z = i


def one_variable_for_two_loops(s):
    for _ in range(2):
        s.z = s.x
    for _ in range(2):
        s.z = s.y


def comprehension(s):
    s.z = sum([s.x for _ in range(3)])


def generator(s):
    s.z = sum(s.x for _ in range(3))


def own_generator(s):
    def numbers():
        yield s.x
        yield s.y

    for n in numbers():
        s.z = n


def iterator_in_a_variable(s):
    items = iter([1, 1, 1])
    while next(items, None):
        s.z = s.x


def in_a_handler(s):
    try:
        raise KeyError
    except KeyError:
        s.z = s.x
        s.z = s.y


class Quiet:
    def __enter__(self):
        self.entered = True

    def __exit__(self, *problem):
        pass


def foreign_context_manager(s):
    with Quiet():
        s.z = s.x


def called_back(s):
    s.z = min([1, 2], key=lambda _: look(s))


LOG: list[int] = []


def unsimulated_global(s):
    if len(LOG) > 1000:
        LOG.append(1)
    s.z = 1


@pytest.mark.parametrize(
    "task",
    [
        over_a_list,
        the_same_item_twice,
        variable_overwritten,
        moving_bounds,
        one_variable_for_two_loops,
        comprehension,
        generator,
        own_generator,
        iterator_in_a_variable,
        in_a_handler,
        foreign_context_manager,
        called_back,
        unsimulated_global,
    ],
)
def test_what_cannot_be_told_apart_is_searched_by_traces_and_it_says_so(task):
    with pytest.raises(CannotTell):
        list(VisitedStates(scenario(task, set_x_y)).runs())
    report = check(scenario(task, set_x_y), "states")
    assert report.passed
    assert "Searched by traces, for states cannot be told apart: " in str(report)


def test_a_plain_field_without_a_guard_needs_the_order_of_all_that_happened():
    with pytest.raises(CannotTell, match="the plain field n has no guard"):
        list(VisitedStates(scenario(set_x_y, setup=Unguarded)).runs())


def lock_let_go_of_inside(s):
    """As the kernel does where it sleeps: the block ends with the lock that it began with."""
    with s.rw.write():
        s.z = s.x
        s.rw.write_unlock()
        s.z = s.y
        s.rw.write_lock()


def test_a_with_block_that_gives_its_lock_back_for_a_while_is_searched_by_states():
    assert agrees(scenario(lock_let_go_of_inside, set_x_y))
    assert list(VisitedStates(scenario(lock_let_go_of_inside, set_x_y)).runs())


def lock_of_a_variable(s):
    lock = s.lock
    with lock:
        lock = s.other
        s.lock.unlock()
        s.z = s.x
        s.lock.lock()


def test_a_lock_that_only_the_stack_knows_is_not_guessed():
    with pytest.raises(CannotTell, match="inside a `with` block"):
        list(VisitedStates(scenario(lock_of_a_variable, set_x_y)).runs())


# -- variables -------------------------------------------------------------------------------------


def so_often(s, n):
    for i in range(n):
        s.z = i


def bounds_that_nobody_reads_again(s):
    so_often(s, s.x + 1)


def variable_that_only_the_stack_holds(s):
    x = s.x
    s.z = 7
    s.z = (x, look(s))


def try_it(s, x):
    try:
        s.z = 1
        if s.y:
            raise KeyError
    except KeyError:
        return x
    return 5


def variable_for_a_handler(s):
    s.z = try_it(s, s.x)


def variable_for_a_function(s):
    def inner():
        return x

    x = s.x
    s.z = 7
    s.z = inner()


def variable_by_its_name(s):
    x = s.x
    s.z = 7
    s.z = locals()["x"]


def is_unbound(s):
    if s.x:
        y = 1
    s.z = 7
    try:
        y += 1
    except UnboundLocalError:
        return True
    return False


def variable_unbound(s):
    s.z = is_unbound(s)


@pytest.mark.parametrize(
    "task",
    [
        bounds_that_nobody_reads_again,
        variable_that_only_the_stack_holds,
        variable_for_a_handler,
        variable_for_a_function,
        variable_by_its_name,
        variable_unbound,
    ],
)
def test_a_variable_that_still_matters_is_part_of_the_state(task):
    assert agrees(scenario(task, set_x_y))


def keeps_what_it_saw(s):
    seen = s.x
    s.z = 1 if seen else 2
    s.z = 3
    s.z = 4


def forgets_what_it_saw(s):
    s.z = 1 if s.x else 2
    s.z = 3
    s.z = 4


def test_a_variable_that_nobody_will_read_is_not_part_of_the_state():
    def states(task):
        search = VisitedStates(scenario(task, set_x_y), reduce=False)
        assert all(run.finished for run in search.runs())
        return search.states

    assert states(keeps_what_it_saw) == states(forgets_what_it_saw)


# -- what it merges --------------------------------------------------------------------------------


@pytest.mark.parametrize(("program", "states"), [(COUNTER, 10), (FLAG, 60)])
@pytest.mark.parametrize("reduce", [False, True])
def test_sleep_sets_do_not_change_the_number_of_states(program, states, reduce):
    search = VisitedStates(program, reduce=reduce)
    assert any([run.bug for run in search.runs()])
    assert search.states == states


def add(s):
    with s.lock:
        s.n += 1


def wait(s):
    while not s.x:
        with s.other:
            pass
        cpu_relax()


def test_a_retry_loop_is_finite():
    search = VisitedStates(scenario(wait, set_x_y, add))
    assert all(run.finished for run in search.runs())
    assert search.states < 120


def try_twice(s):
    if s.lock.trylock():
        s.lock.unlock()
        s.z = 1


def test_an_unlock_is_no_left_mover_where_somebody_only_tries():
    assert agrees(scenario(add, try_twice))


def private_at_first(s):
    s.z = 1
    s.z = 2
    if s.x:
        s.y = s.z


def late_comer(s):
    s.x = 1
    if s.y:
        s.z = 5


def test_an_object_that_turns_out_to_be_shared_starts_the_search_again():
    assert agrees(scenario(private_at_first, late_comer))


@pytest.mark.parametrize(("one", "other"), [(-1, -2), (2**64 - 1, 7), (-1.0, -2.0)])
def test_numbers_that_python_hashes_alike_are_two_states(one, other):
    assert hash(one) == hash(other)

    def store(value):
        return lambda s: setattr(s, "x", value)

    assert agrees(scenario(store(one), store(other)))


def test_true_is_not_one():
    def store(value):
        def body(s):
            s.x = value

        return body

    final = [Condition("never a bool", lambda s: s.x is not True)]
    assert check(scenario(store(True), store(1), final=final), "states").failure is not None


# -- steps that are looked up ----------------------------------------------------------------------


def endings_and_states(scenario, **options):
    found = set()
    search = VisitedStates(scenario, lambda m, _: found.add(ending(m)), **options)
    for _ in search.runs():
        pass
    return found, search.states


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("reduce", [False, True])
def test_a_step_that_is_looked_up_leads_where_it_leads_when_it_is_run(seed, reduce):
    """Goal: the same endings, and no state too many.

    It may be fewer: when every step is run, a statement remembers what it has called for, even
    where that makes no difference any more.
    """
    try:
        looked_up = endings_and_states(program(seed), reduce=reduce)
    except CannotTell:
        return
    run = endings_and_states(program(seed), reduce=reduce, look_up=False)
    assert looked_up[0] == run[0] and looked_up[1] <= run[1]


def keeps_a_list(s):
    seen = []
    for _ in range(2):
        seen.append(s.x)
    s.y = len(set(seen))


def test_a_step_of_a_task_that_holds_a_list_is_run_every_time():
    assert agrees(scenario(keeps_a_list, keeps_a_list, set_x_y))
