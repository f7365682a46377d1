"""What an operator opens on a run's page: triage, plan, progress, verdict, post-mortem, as Prefect artifacts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from prefect.artifacts import create_markdown_artifact

from runbooks.plan import Plan
from runbooks.telling.plan_text import plan_markdown
from runbooks.telling.progress import progress_markdown
from runbooks.telling.triage_text import triage_markdown
from runbooks.telling.verdict_text import verdicts_markdown, waiting_markdown
from runbooks.telling.wave_words import time_left, wave_states
from runbooks.triage import Assessment
from runbooks.verdict import Verdict
from tasks.run import Run


class Artifacts:
    """Shows things to people, in the Prefect UI and in the response's folder. Shown twice is one artifact."""

    def triage(self, run: Run, assessments: Sequence[Assessment]) -> None:
        self._show(run, "triage", triage_markdown(assessments, run.keys), "What was found, and what it calls for")

    def plan(self, run: Run, plan: Plan) -> None:
        before = run.history().plans.get(plan.previous or "")
        text = plan_markdown(plan, keys=run.keys, previous=before, now=run.now())
        name = f"plan-{plan.phase}-{plan.revision}"
        self._show(run, name, text, f"Plan {plan.short_digest} to {plan.phase}: what is approved is what runs")
        self._file(run, f"{name}.json").write_text(plan.model_dump_json(indent=2), encoding="utf-8")

    def progress(self, run: Run, plan: Plan, waiting: str | None) -> None:
        history = run.history()
        outcomes, waves = history.step_outcomes(plan), tuple(wave_states(history, plan))
        done = sum(1 for outcome in outcomes.values() if outcome.status in ("done", "already-done"))
        headline = f"{done} of {len(plan.steps)} steps done" + (f"; waiting: {waiting}" if waiting else "")
        if left := time_left(history, plan, run.now()):
            headline += f"; about {max(1, round(left.total_seconds() / 60))} min to go"
        self._show(run, f"progress-{plan.phase}", progress_markdown(plan, outcomes, waiting, waves), headline)

    def waiting(self, run: Run, phase: str, reasons: Sequence[str]) -> None:
        told = tuple(dict.fromkeys(reasons))
        self._show(run, f"waiting-{phase}", waiting_markdown(told), f"Still waiting at {run.now():%H:%M:%S} UTC")

    def verdicts(self, run: Run, verdicts: Sequence[Verdict]) -> None:
        self._show(run, "verdict", verdicts_markdown(verdicts, run.keys), "The verdict, and its evidence")

    def post_mortem(self, run: Run, text: str) -> None:
        self._show(run, "post-mortem", text, "What happened, when, and what is to be learned")

    def _show(self, run: Run, name: str, text: str, description: str) -> None:
        key = re.sub(r"[^a-z0-9-]+", "-", f"{run.response.id}-{name}".lower())
        create_markdown_artifact(markdown=text, key=key, description=description)
        self._file(run, f"{name}.md").write_text(text, encoding="utf-8")

    def _file(self, run: Run, name: str) -> Path:
        """What the operator saw also stays with the ledger, where no Prefect server is needed to read it."""
        folder = run.services.settings.home / "responses" / run.response.id
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name


show = Artifacts()
