"""A small course for the tests, and an example for authors: every kind of exercise once.

Two lessons: 90 builds functions and a class, and asks for a schedule and for a number; 91 builds on
what 90 has built, and puts a function into a kernel.
"""

from __future__ import annotations

from pfncache_lab.course.authoring import breaks, call, edited, first_break, is_value
from pfncache_lab.course.exercise import Case, Exercise, Lesson, Mutant, Program
from pfncache_lab.explore import Condition, Run, Scenario, explore
from pfncache_lab.sim import WRITE_ONCE, Struct, cmpxchg, cpu_relax, marked, xchg
from tests.course import toy_kernel

# -- 90.1: two functions, judged by calls ----------------------------------------------------------

PAGE_SHIFT = 12


def gpa_to_gfn(gpa):
    """Return the number of the guest's page that holds this address."""
    return gpa >> 12


def offset_in_page(gpa):
    """Return how far into its page this address is."""
    return gpa & 0xFFF


def by_division(gpa):
    """Write it as a division."""
    return gpa // 4096


def by_remainder(gpa):
    """Write it as a remainder."""
    frame = gpa - gpa % 0x1000
    return gpa - frame


def true_division(gpa):
    """Divide as a pocket calculator does."""
    return gpa / 4096


def whole_page(gpa):
    """Return the address of the page."""
    return gpa & ~0xFFF


def hex_digits(gpa):
    """Take the shift for a number of hexadecimal digits."""
    return gpa >> 3


def mask_too_large(gpa):
    """Take the size of a page for its mask."""
    return gpa & 0x1000


ADDRESSES = Exercise(
    id="90.1",
    title="Which page, and where in it",
    minutes=5,
    dots=1,
    spec="Split a guest physical address into the number of its page and the offset in the page.",
    answer=("gpa_to_gfn", "offset_in_page"),
    stub='''\
def gpa_to_gfn(gpa):
    """Return the number of the guest's page that holds this address."""
    return ____


def offset_in_page(gpa):
    """Return how far into its page this address is."""
    return ____
''',
    reference=lambda: {"gpa_to_gfn": gpa_to_gfn, "offset_in_page": offset_in_page},
    cases=[
        call("gpa_to_gfn", 0x10_080, gives=0x10, because="the low 12 bits are the offset"),
        call("gpa_to_gfn", 0xFFF, gives=0, because="it is the last byte of page 0"),
        call("offset_in_page", 0x10_080, gives=0x80),
        Case(
            "both, put together again",
            lambda my: (my.gpa_to_gfn(0x12_345) << 12) + my.offset_in_page(0x12_345),
            0x12_345,
            "nothing of the address may be lost",
        ),
    ],
    mutants={
        "a float": Mutant(
            {"gpa_to_gfn": true_division},
            "This is what happens when you divide with `/`: a page number has no fraction.",
        ),
        "the address of the page": Mutant(
            {"gpa_to_gfn": whole_page},
            "This is what happens when the offset is cleared, and the rest is not shifted down.",
        ),
        "hex digits": Mutant(
            {"gpa_to_gfn": hex_digits},
            "This is what happens when you shift by 3: that is hexadecimal digits, and not bits.",
        ),
        "mask": Mutant(
            {"offset_in_page": mask_too_large},
            "This is what happens when the mask is the size of a page, and not one less.",
        ),
    },
    alternatives=[{"gpa_to_gfn": by_division, "offset_in_page": by_remainder}],
    hints=(
        "A page has 4096 bytes. How many bits is that?",
        "Shift the twelve bits of the offset out; or keep them, and nothing else.",
        "The page is the address shifted right by twelve. The offset is the address and 0xfff.",
    ),
    kernel="`gpa_to_gfn()` in `include/linux/kvm_host.h`.",
    out_of_scope="Addresses that are negative or no integers.",
)

# -- 90.2: a class, judged under all schedules -----------------------------------------------------


class Word(Struct):
    """The memory of a lock."""

    locked = marked(0)


class SpinLock:
    """A lock built from one instruction that looks and sets."""

    def __init__(self):
        self.word = Word()

    def lock(self):
        """Wait until nobody holds it, and take it."""
        while cmpxchg(self.word, "locked", 0, 1) != 0:
            cpu_relax()

    def unlock(self):
        """Give it back."""
        self.word.locked = 0


class ByExchange:
    """Another instruction, another loop."""

    def __init__(self):
        self.word = Word()

    def lock(self):
        """Try for ever."""
        while True:
            if not xchg(self.word, "locked", 1):
                return
            cpu_relax()

    def unlock(self):
        """Say that it is one store."""
        WRITE_ONCE(self.word, "locked", 0)


class Counter(Struct):
    """What the lock protects. Marked, so that a lock that fails shows as a lost update."""

    count = marked(0)

    def __init__(self, lock):
        super().__init__()
        self.lock = lock


def add_one(shared):
    """Add one, under the lock."""
    shared.lock.lock()
    shared.count += 1
    shared.lock.unlock()


def counting(tasks):
    """Make the program in which each task adds one, with the reader's lock."""

    def make(my):
        total = len(tasks)
        done = Condition(f"count == {total}", lambda shared: shared.count == total)
        name = f"{total} tasks that count"
        return Scenario(name, lambda: Counter(my.SpinLock()), dict.fromkeys(tasks, add_one), [done])

    return make


LOCK = Exercise(
    id="90.2",
    title="A lock",
    minutes=12,
    dots=3,
    spec="Write `lock()` and `unlock()`. Look and set in one instruction: `cmpxchg()`.",
    answer="SpinLock",
    stub='''\
class SpinLock:
    """A lock built from one instruction that looks and sets."""

    def __init__(self):
        self.word = Word()

    def lock(self):
        """Wait until nobody holds it, and take it."""
        while ____:
            cpu_relax()

    def unlock(self):
        """Give it back."""
        ____
''',
    reference=lambda: SpinLock,
    programs=[Program(counting("ab"), runs=10), Program(counting("abc"), runs=588)],
    mutants={
        "look, then set": Mutant(
            edited(
                SpinLock,
                ('while cmpxchg(self.word, "locked", 0, 1) != 0:', "while self.word.locked:"),
                ("cpu_relax()\n", "cpu_relax()\n        self.word.locked = 1\n"),
            ),
            "This is what happens when looking at the lock and setting it are two steps.",
        ),
        "never given back": Mutant(
            edited(SpinLock, ("self.word.locked = 0", "pass")),
            "This is what happens when `unlock()` leaves the word as it is.",
        ),
        "no wait": Mutant(
            edited(SpinLock, ("while cmpxchg", "if cmpxchg")),
            "This is what happens when `lock()` looks once, and then goes on.",
        ),
        "the wrong way round": Mutant(
            edited(SpinLock, ("!= 0:", "== 0:")),
            "This is what happens when the test is the wrong way round.",
        ),
    },
    alternatives=[ByExchange],
    hints=(
        "What does `cmpxchg` return, when it has set the word?",
        "Go round as long as somebody else had set the word before you.",
        "While cmpxchg of locked, from 0 to 1, returns something other than 0: relax. Unlock "
        "stores 0.",
    ),
    kernel="`queued_spin_lock()` in `include/asm-generic/qspinlock.h`.",
    out_of_scope="Fairness: who waits longest need not be next.",
)

# -- 90.3 and 90.4: a schedule, and a number -------------------------------------------------------


class Two(Struct):
    """Two fields."""

    x = marked(0)
    y = marked(0)


def forth(shared):
    """Copy y to x, and one more."""
    shared.x = shared.y + 1


def back(shared):
    """Copy x to y, and one more."""
    shared.y = shared.x + 1


BOTH = Scenario(
    "copy", Two, {"a": forth, "b": back}, [Condition("x != y", lambda shared: shared.x != shared.y)]
)


def _kept(run: Run) -> str:
    return f"With {run.schedule} the fields differ. Who must not see the other's store?"


SCHEDULE = Exercise(
    id="90.3",
    title="Make them equal",
    minutes=5,
    dots=2,
    spec="Write a schedule in which both fields end with the same value.",
    answer="equal",
    stub='equal = "____"',
    reference=first_break(BOTH),
    check=breaks(BOTH, _kept),
    mutants={
        "one after the other": Mutant("aabb", "the fields differ"),
        "too short": Mutant("ab", "stops before the program does"),
        "a stranger": Mutant("abc", "There is no task 'c' here"),
    },
    alternatives=["baab", "v1:a.b2.a"],
    hints=("Look at the loads.", "Both load first.", "Let a load, let b load; then both store."),
)


def _too_few(answer) -> str:
    return f"{answer!r} is not what the machine counts. Each task takes a load and a store."


COUNT = Exercise(
    id="90.4",
    title="How many?",
    minutes=3,
    dots=1,
    spec="How many schedules does the program have?",
    answer="how_many",
    stub="how_many = ...",
    reference=lambda: len(explore(BOTH).runs),
    check=is_value(lambda: len(explore(BOTH).runs), _too_few),
    mutants={
        "powers": Mutant(16, "not what the machine counts"),
        "lines": Mutant(2, "Each task takes a load"),
        "text": Mutant("6", "'6' is not what"),
    },
    alternatives=[2 * 3],
    hints=("Count the steps.", "Choose two of four places.", "4 times 3, over 2."),
)

FIRST = Lesson(90, "A sample", [ADDRESSES, LOCK, SCHEDULE, COUNT], [], [BOTH])

# -- 91.1: a function of the kernel, which uses what the reader has built --------------------------


def page_fits(gpa, length):
    """Tell whether an access stays within one page."""
    return offset_in_page(gpa) + length <= 0x1000


def by_last_byte(gpa, length):
    """Compare the pages of the first and the last byte."""
    if length == 0:
        return True
    return gpa_to_gfn(gpa) == gpa_to_gfn(gpa + length - 1)


FITS = Exercise(
    id="91.1",
    title="Does it fit?",
    minutes=5,
    dots=2,
    spec="Tell whether an access stays within one page.",
    answer="page_fits",
    stub='''\
def page_fits(gpa, length):
    """Tell whether an access stays within one page."""
    return ____
''',
    reference=lambda: page_fits,
    modules=[toy_kernel],
    cases=[
        call("kvm_gpc_check", 0x10_FF8, 8, gives=0, because="the last byte is the page's last"),
        call("kvm_gpc_check", 0x10_FF8, 16, gives=-22, because="it reaches into the next page"),
        call("kvm_gpc_check", 0x10_000, 0x1000, gives=0, because="a whole page is one page"),
        call("page_fits", 0x10_000, 0, gives=True),
    ],
    mutants={
        "strictly less": Mutant(
            edited(page_fits, ("<=", "<")),
            "This is what happens when the page's last byte is taken for the next page's first.",
        ),
        "the length only": Mutant(
            edited(page_fits, ("offset_in_page(gpa) + length", "length")),
            "This is what happens when only the length is looked at.",
        ),
        "always": Mutant(
            edited(page_fits, ("offset_in_page(gpa) + length <= 0x1000", "False")),
            "This is what happens when nothing fits.",
        ),
    },
    alternatives=[by_last_byte],
    hints=("Where does it end?", "Offset and length.", "Their sum is at most the page's size."),
)

SECOND = Lesson(91, "On top of it", [FITS], needs=("gpa_to_gfn", "offset_in_page", "SpinLock"))

COURSE = (FIRST, SECOND)
