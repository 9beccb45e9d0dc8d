"""lessons: one module a lesson, each with its `LESSON` as data."""
