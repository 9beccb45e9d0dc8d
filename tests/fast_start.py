"""Loaded before every other pytest plugin, by `-p` in pyproject.toml.

nbval imports nbformat, which imports jsonschema, which imports rfc3987_syntax if it can; and that
builds a large grammar, for seconds, which nothing here uses. With None in its place jsonschema
goes on without it.

And nbval runs the notebooks where they lie: a contributor's own record there must not change what
they print.
"""

import atexit
import os
import sys
import tempfile

sys.modules.setdefault("rfc3987_syntax", None)

_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)
os.environ["PFNCACHE_LAB_FOLDER"] = _folder.name
