"""`python -m pfncache_lab` is the command `pfncache-lab`."""

import sys

from .cli import main

sys.exit(main())
