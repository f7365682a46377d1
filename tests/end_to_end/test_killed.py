"""Processes die at the worst moments; what was begun is carried on, and nothing is done twice."""

from __future__ import annotations

from collections import Counter

import psutil

from tests.end_to_end.product import Incident, Product


def kill(processes: list[psutil.Process]) -> None:
    """Kill them, and whatever they have started, wherever it moved to; all at once, and without a word."""
    assert processes
    doomed = [each for process in processes for each in (process, *process.children(recursive=True))]
    for process in doomed:
        process.kill()


def running_commands(incident: Incident) -> list[str]:
    """What Systems Manager is doing in the account just now, besides what it does by itself."""
    return [each["document"] for each in incident.world()["commands"].values() if each["status"] == "InProgress"]


def test_what_the_receiver_accepted_is_lost_neither_with_it_nor_with_the_sweep(
    product: Product, survivor: Incident
) -> None:
    kill(product.processes("deployments.cli.main", "receiver"))
    kill(product.processes("deployments.cli.main", "sweep"))
    survivor.question("contain")
    product.until(lambda: product.is_up(product.local.receiver), "a receiver that was started again")
    again = survivor.send().json()
    assert again["duplicate"]
    assert [each["summary"].split(" on ")[0] for each in survivor.tickets()] == ["LOW CVE-2026-31337"]
    assert len(survivor.history().runs) == 1


def test_killed_while_the_patch_runs_it_is_carried_on_and_nothing_is_done_twice(
    product: Product, survivor: Incident
) -> None:
    survivor.approve("contain", "remediate")
    product.until(lambda: running_commands(survivor) == ["AWS-RunPatchBaseline"], "a patch that is being installed")
    runs = len(survivor.history().runs)
    kill(product.processes("deployments.cli.main", "worker"))
    product.until(lambda: len(survivor.history().runs) > runs, "a new run that takes over")
    product.advance(seconds=90)
    survivor.reject("release")

    ended = survivor.ended()
    assert (ended.result, ended.contained) == ("fixed", True)
    done = Counter(survivor.changes())
    assert (done["ec2:CreateSnapshots"], done["ssm:SendCommand"]) == (1, 1)
    assert [each["document"] for each in survivor.world()["commands"].values()] == ["AWS-RunPatchBaseline"]
    assert Counter(each["text"].split(":")[0].split(" ")[0] for each in survivor.thread())["LOW"] == 1
    post_mortem, alert = sorted(each["summary"] for each in survivor.tickets())[::-1]
    assert (alert.split(" on ")[0], post_mortem[:11]) == ("LOW CVE-2026-31337", "Post-mortem")
    assert product.ledger.verify().problems == ()
