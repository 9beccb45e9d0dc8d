"""Loaded before every other pytest plugin, by `-p` in pyproject.toml.

nbval imports nbformat, which imports jsonschema, which imports rfc3987_syntax if it can; and that
builds a large grammar, for seconds, which nothing here uses. With None in its place jsonschema
goes on without it.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)
