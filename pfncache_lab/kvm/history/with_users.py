"""with_users.py: the versions of bug.py, linked with the users of the cache."""

from __future__ import annotations

from .. import users
from . import v5_17_user
from .bug import NOW, V5_17, Era

USERS = Era("today, with its users", (*NOW.modules, *users.MODULES), NOW.instead_of)
USERS_5_17 = Era("5.17, with a user", (*V5_17.modules, v5_17_user), V5_17.instead_of)
