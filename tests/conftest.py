from __future__ import annotations

from hypothesis import settings

# How long an example takes depends on the machine and what else runs there.
settings.register_profile("warmstart", deadline=None)
settings.load_profile("warmstart")
