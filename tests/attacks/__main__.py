"""`python -m tests.attacks` lists the attacks, each with the ledger entry that tells of its refusal."""

from __future__ import annotations

import sys

from tests.attacks.catalogue import ATTACKS
from tests.attacks.played.catalogue import ATTACKS as PLAYED

if __name__ == "__main__":
    every = (*ATTACKS, *PLAYED)
    sys.stdout.writelines(f"{attack.name:<75}{attack.told}\n" for attack in every)
    sys.stdout.write(f"{len(every)} attacks\n")
