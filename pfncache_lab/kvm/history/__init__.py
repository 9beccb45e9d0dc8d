"""history: the cache as it was merged in 5.17, and each bug that was found in it since.

v5_17       the merged cache, statement by statement
invariants  I1 to I11: what must hold
scenes      set-ups and tasks; driver and driver_5_17 put either cache under them
bug         a bug: what was wrong, and the scene in which it shows
h01 … h21   one module a bug; o01, o02: problems that are open; o06: a candidate
table       what it takes to find each, and to prove that it is gone
"""

from __future__ import annotations

from . import (
    h01,
    h02,
    h03,
    h05,
    h06,
    h07,
    h08,
    h09,
    h10,
    h11,
    h12,
    h13,
    h14,
    h15,
    h16,
    h19,
    h20,
    h21,
    o01,
    o02,
    o06,
)

BUGS = (
    h01.BUG,
    h02.BUG,
    h03.BUG,
    h05.BUG,
    h06.BUG,
    h07.BUG_A,
    h07.BUG_B,
    h08.BUG_A,
    h08.BUG_B,
    h08.BUG_C,
    h09.BUG,
    h10.BUG,
    h11.BUG_A,
    h11.BUG_B,
    h11.BUG_C,
    h11.BUG_D,
    h12.BUG,
    h13.BUG,
    h14.BUG,
    h15.BUG,
    h16.BUG,
    h19.BUG,
    h20.BUG,
    h21.BUG,
    o01.BUG,
    o02.BUG,
    o06.BUG,
)
