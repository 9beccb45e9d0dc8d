"""course: lessons as data, checks that answer in sentences, and the reader's record.

lab          what a notebook talks to: setup, check, hint, solution, predict, progress, reset
exercise     what a lesson is made of
authoring    short ways to write it down: call, edited, breaks, is_value
lessons      one module a lesson
host         a host with little memory: the programs of lesson 03
catalog      all lessons; which exercise builds what
judging      passed, not attempted, incorrect: one answer, in a sentence
trial        an answer in all situations of its exercise: calls, and programs in every schedule
blame        the first wrong step of a run
exploring    the same for an answer that searches: by the runs that it makes
recognizing  popular mistakes, known by what they do
asking       the reader's code is called here, and nowhere else
apart        in a process of its own
sources      the source of an answer: is a blank left, which names does it use
borrowing    is it the reader's work, or ours in other clothes
cells        what the notebook's cells did to the names
supply       what earlier lessons have built: the reader's, or ours
work         the folder that keeps what has passed
export       all of it as one file
progress     the file that remembers
coursemap    the map of the course, the certificate
outcome      what a check has found, on the page
predicting   a question to answer before the run


How to write an exercise, in ten minutes
========================================

Copy one. `tests/course/sample.py` has each kind once: two functions judged by calls (90.1), a
class judged in every schedule (90.2), a schedule (90.3), a number (90.4), a function of the kernel
(91.1). A lesson is one module `lessons/lesson_NN.py` with a `LESSON`, and one notebook
`notebooks/NN_….ipynb`; nothing else has to be changed.

1. The reference. Write the function or class as the reader should, in the lesson's module, under
   the name that the reader will use. `lab.solution` shows its source. It brings the imports that it
   needs inside, unless the notebook's set-up has them. What earlier lessons have built, the module
   imports from theirs (`from .lesson_01 import gpa_to_gfn`); the notebook has it by `Lesson.needs`.

2. The stub, a string: the reference with `____` (or `...` as a statement) where the reader goes on.
   Same name, same parameters, same docstring; a test compares them.

3. Situations. Each gets `my`, which has all that is built so far as attributes: `my.gpa_to_gfn` is
   the reader's, if they have one.

   cases      call("gpa_to_gfn", 0x10_080, gives=0x10, because="the low 12 bits are the offset")
              Case("a hole between slots", lambda my: …, expected, "because, as a clause")
              `observe` returns what is to be seen, or a sentence made of several facts
   programs   Program(make, runs=541)             in every schedule
              Program(make, runs=102, bound=2)    with at most two preemptions
              `make(my)` returns a `Scenario`; each failing condition is named in it. `runs` is what
              the search of the reference takes: write 0, and the test tells you the number
   check      only for an answer that is no code: `breaks(scenario, kept)`, `is_value(truth, wrong)`
              or a function that returns `Correct` or raises `Incorrect`, and calls what is the
              reader's through `asking.ask`

   `cpu_relax()` waits until something changes that the task has read. So of two tasks, one that
   looks only once gets through in good order: a lock needs a program with three.

   A function of the simulated kernel: name the modules in `modules=[pfncache]`. They are linked
   with the reader's function in its place, and `my.refresh` is the linked one. Compare what can be
   seen, never the list of steps: a reader who writes it better must pass.

4. Mutants, three or more. A wrong answer that people give, and what to tell them: "This is what
   happens when …". A reader whose answer behaves the same in every situation is told so. Write
   `edited(reference, ("old text", "new text"))`, or a function of its own; like the reference, it
   brings the imports that it needs. No two may behave alike, and one case must not be all that they
   fail. For several names, `{"offset_in_page": wrong}`: the rest is the reference's.

5. Alternatives, one or more: written differently (another loop, `with`, an early return).

6. Hints: where to look, what to do, the answer in words. Only the third may come near the code.

7. The notebook. Its set-up cell ends with `lab = setup(lesson=NN, namespace=globals())`; then all
   that `needs` names is there. An exercise is three cells: a Markdown cell, a code cell tagged
   `exercise-NN.k`, and `lab.check("NN.k")`. `pfncache-lab refresh NN` writes `Exercise.text()` and
   the stub into the first two, runs everything and stores the outputs. The last code cell is
   `lab.progress()`, tagged `nbval-ignore-output` like everything that is live: its map grows with
   the course. The README has a row for each lesson.

8. `pytest tests/course/test_exercises.py tests/test_notebooks.py -k NN` walks blank, reference,
   alternatives, mutants, hints, stub and times: under a second, with programs under two.
"""

from .lab import Lab, setup

__all__ = ["Lab", "setup"]
