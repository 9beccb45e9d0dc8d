"""cli.py: the command `pfncache-lab`.

pfncache-lab doctor    print versions, and run a self test of a few seconds
pfncache-lab export    write my_pfncache.py: all that you have built, as one module
pfncache-lab check     judge such a module as the notebooks would
pfncache-lab refresh   in a checkout: store what the notebooks print, redraw README's picture
"""

from __future__ import annotations

import argparse
import io
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

MODULE = "my_pfncache.py"
PACKAGES = ("greenlet", "graphviz", "graphviz-pure", "ipykernel", "ipywidgets", "jupyterlab")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = _parser()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a console that has no ✓ must not stop us
        sys.stdout.reconfigure(errors="replace")
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return 2
    return int(options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pfncache-lab",
        description="The workbook's own tools. The course itself is opened by `python3 lab.py`.",
        epilog="`pfncache-lab COMMAND --help` tells more of one of them.",
    )
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for name, one in COMMANDS.items():
        whole = f"{one.what[0].upper()}{one.what[1:]}. {one.more}"
        command = commands.add_parser(name, help=one.what, description=whole)
        command.set_defaults(run=one.run)
        for argument, options in one.arguments.items():
            command.add_argument(argument, **options)
    return parser


class Command(NamedTuple):
    """One of the commands, as its help tells of it."""

    what: str
    more: str
    run: Callable[[argparse.Namespace], int]
    arguments: Mapping[str, Mapping[str, Any]] = {}


COMMANDS = {
    "doctor": Command(
        "print versions, and run a self test of a few seconds",
        "When something does not work, this is what to look at first, and to send along.",
        lambda _: doctor(),
    ),
    "export": Command(
        f"write {MODULE}: all that you have built, as one module",
        "It holds every answer that has passed, in the order of the course, and can be imported.",
        lambda options: export(options.folder or work_folder()),
        {"folder": {"nargs": "?", "type": Path, "help": "of your notebooks; else here, or ./work"}},
    ),
    "check": Command(
        "judge such a module as the notebooks would",
        "It runs under the checks of the exercises, in the same programs. What went wrong is "
        "shown as a table. The exit code is 0 when all that it holds has passed.",
        lambda options: check(options.file),
        {"file": {"type": Path, "help": f"the module, such as {MODULE}"}},
    ),
    "refresh": Command(
        "in a checkout: store what the notebooks print, redraw README's picture",
        "For authors. Each notebook gets its exercises as the lessons have them, and is run.",
        lambda options: refresh(Path.cwd(), options.lessons),
        {"lessons": {"nargs": "*", "metavar": "NN", "help": "lessons, such as 07; else all"}},
    ),
}


def doctor() -> int:
    """Print versions and run the self tests; returns 0 when all of them pass."""
    from . import __version__

    print(f"pfncache_lab {__version__}, Python {platform.python_version()}")
    for package in PACKAGES:
        print(f"  {package:14} {_version(package)}")
    tests = (_test_search, _test_picture, _test_graph, _test_checks)
    return 0 if all([_passes(test) for test in tests]) else 1


def refresh(checkout: Path, lessons: Sequence[str] = ()) -> int:
    """Run the notebooks of a checkout and write them back; redraw README's picture."""
    from . import documents
    from .notebooks import run_and_store

    notebooks = sorted((checkout / "notebooks").glob("*.ipynb"))
    if not notebooks:
        return _complain("There is no notebooks/ here. Run this at the top of a checkout.")
    chosen = [path for path in notebooks if not lessons or path.name[:2] in lessons]
    if unknown := set(lessons) - {path.name[:2] for path in notebooks}:
        return _complain(f"There is no notebook of lesson {', '.join(sorted(unknown))}.")
    for path in chosen:
        run_and_store(path)
        print(f"{path.relative_to(checkout)}: outputs stored")
    documents.write(checkout)
    return 0


def work_folder() -> Path:
    """Return where the reader's notebooks are: here, or in work/ of a checkout."""
    from .course.lab import folder

    work = folder() / "work"
    return work if work.is_dir() else folder()


def export(folder: Path) -> int:
    """Write the reader's own module into their folder."""
    from .course.catalog import lessons
    from .course.export import check_file, exported
    from .course.work import Work

    if not folder.is_dir():
        return _complain(f"There is no folder {folder}.")
    text = exported(lessons(), Work(folder))
    if text is None:
        return _complain(f"There is nothing of yours in {folder}: no answer has passed yet.")
    file = folder / MODULE
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as problem:
        return _complain(f"{file} cannot be written: {problem.strerror}.")
    print(f"{file} is written. To judge it: pfncache-lab check {file}")
    lost = [one for one in check_file(lessons(), file) if one.kind != "passed"]
    for one in lost:  # two answers that each brought a helper of the same name, say
        _complain(f"But here, together with the others, it is {one.headline}")
    return 1 if lost else 0


def check(file: Path) -> int:
    """Judge a module of answers; returns 0 when all of them pass."""
    from .course.catalog import lessons
    from .course.exercise import Incorrect
    from .course.export import check_file

    try:
        outcomes = check_file(lessons(), file)
    except (OSError, UnicodeDecodeError) as problem:
        return _complain(f"{file} cannot be read: {getattr(problem, 'strerror', None) or problem}.")
    except Incorrect as problem:
        return _complain(str(problem))
    if not outcomes:
        return _complain(f"{file} defines nothing that an exercise asks for.")
    for outcome in outcomes:
        print(f"{outcome}\n")
    passed = sum(outcome.kind == "passed" for outcome in outcomes)
    print(f"{passed} of {len(outcomes)} passed.")
    return 0 if passed == len(outcomes) else 1


def _complain(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "is missing: run `python3 lab.py` again"


def _passes(test: Callable[[], str]) -> bool:
    try:
        print(f"✓ {test()}")
    except Exception as error:
        print(f"✗ {test.__doc__}: {type(error).__name__}: {error}", file=sys.stderr)
        return False
    return True


def _test_search() -> str:
    """The search finds the lost update"""
    from .course.lessons.lesson_00 import COUNTER
    from .explore import explore

    result = explore(COUNTER)
    if (len(result.runs), len(result.failures)) != (6, 4):
        raise AssertionError(f"expected 4 of 6 schedules to go wrong, and found: {result}")
    return f"the search finds the lost update: {result}"


def _test_picture() -> str:
    """A picture is drawn"""
    from .course.lessons.lesson_00 import COUNTER
    from .explore import replay
    from .viz import TraceStepper

    if "svg" not in TraceStepper(replay(COUNTER, "abba")).html():
        raise AssertionError("there is no picture in the figure")
    return "pictures are drawn"


def _test_graph() -> str:
    """Graphs are laid out"""
    from graphviz import Digraph

    from .viz.dot import INSTALL_HINT, draw_dot, find_layout

    if draw_dot(Digraph(body=["a -> b"]), "a graph") is None:
        raise AssertionError(INSTALL_HINT)
    layout = find_layout()
    return f"graphs are laid out by {layout.name if layout else None}"


def _test_checks() -> str:
    """A check passes what is right and turns down what is wrong"""
    from .course.judging import judge
    from .course.lessons.lesson_00 import LESSON

    for exercise in LESSON.exercises:
        wrong = next(iter(exercise.mutants.values()))
        answers = (exercise.reference(), wrong.answer)
        kinds = [judge(exercise, exercise.named(answer)).kind for answer in answers]
        if kinds != ["passed", "incorrect"]:
            raise AssertionError(f"the check of {exercise.id} says {kinds}")
    return f"the checks of {len(LESSON.exercises)} exercises can tell right from wrong"
