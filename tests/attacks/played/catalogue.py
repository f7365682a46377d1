"""Every attack on a response that is played out."""

from __future__ import annotations

from tests.attacks.played import images

ATTACKS = (*images.ATTACKS,)
