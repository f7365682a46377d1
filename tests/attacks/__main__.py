"""`python -m tests.attacks` lists the attacks, each with the ledger entry that tells of its refusal."""

from __future__ import annotations

import sys

from tests.attacks.catalogue import ATTACKS

if __name__ == "__main__":
    sys.stdout.writelines(f"{attack.name:<62}{attack.told}\n" for attack in ATTACKS)
    sys.stdout.write(f"{len(ATTACKS)} attacks\n")
