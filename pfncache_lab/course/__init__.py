"""course: lessons as data, checks that answer in sentences, and the reader's record.

lab          what a notebook talks to: setup, check, hint, solution, predict, progress
exercise     what a lesson is made of
asking       the reader's code is called here, and nowhere else
outcome      passed, not attempted, incorrect
predicting   a question to answer before the run
progress     the file that remembers
lessons      one module a lesson
"""

from .lab import Lab, setup

__all__ = ["Lab", "setup"]
