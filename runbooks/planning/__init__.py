"""From assessed cases to plans: one module for each phase. Pure, and refusing what is beyond the runbook's limits."""
