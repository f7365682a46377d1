"""What of a described world is not as it should be, after containment and after the release."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runbooks.definition import Contain
from runbooks.plan import Plan
from runbooks.quarantine import is_quarantine_group
from runbooks.steps import AttachToAutoScaling
from runbooks.steps.containment import short_arn
from tests.tasks.harness import House
from tests.tasks.reversibility.description import Description, Path

GONE = object()
"""There is nothing at this path."""
AS_PLANNED = ("done", "already-done")
"""Statuses of steps of which there is nothing to report."""


@dataclass(frozen=True)
class Another:
    """Anything but this."""

    value: Any


@dataclass
class Meanwhile:
    """What somebody else changed, and whose it was."""

    values: Description = field(default_factory=dict)
    """Path -> the value that they gave it last."""
    instances: set[str] = field(default_factory=set)

    def note(self, instance: str, was: Description, now: Description, world: Description) -> bool:
        """Remember what became different by their act; whether anything did.

        Args:
            world: of all instances, to find whose capacity theirs is.
        """
        changed = {path: now.get(path, GONE) for path in {*was, *now} if was.get(path, GONE) != now.get(path, GONE)}
        self.values |= changed
        self.instances |= {instance} if changed else set()
        capacities = {path[1] for path in changed if path[0] == "scaling"}
        # Whoever changes a group's capacity changes what there is room for.
        members = [path[1] for path in world if path[0] == "member" and len(path) == 2 and world[path][0] in capacities]
        self.instances.update(members)
        return bool(changed)

    def touched(self, group: str, world: Description) -> bool:
        """Whether they changed what the Auto Scaling group wants, or one of its instances."""
        members = {path[1] for path in world if path[0] == "member" and len(path) == 2 and world[path][0] == group}
        return bool(members & self.instances) or any(path[:2] == ("scaling", group) for path in self.values)


def not_contained(
    house: House, plan: Plan, before: Description, contained: Description, meanwhile: Meanwhile
) -> Iterator[str]:
    """What is not contained as the plan said, of those instances that nobody else touched."""
    cases = {case.key.resource_id for each in plan.cases if (case := house.ledger.case(each))}
    names = {group["GroupId"]: group["GroupName"] for group in _groups(house)}
    for path in before:
        one = _instance_of(path, before)
        if one in cases and one not in meanwhile.instances:
            stopped = before["instance", one, "state"] == "stopped"
            now = contained.get(path, GONE)
            if not _is_contained(house.runbook.contain, path, now, names, stopped=stopped):
                yield f"{path} is {_said(now)}, and should be contained"


def _is_contained(choice: Contain, path: Path, now: Any, names: Mapping[str, str], *, stopped: bool) -> bool:
    """Whether the live value at this path is what the runbook's containment leaves there.

    Args:
        names: of the security groups, by id.
        stopped: whether the instance did not run before.
    """
    match path:
        case ("interface", _, "groups"):
            return now is not GONE and [is_quarantine_group(choice.quarantine, names[group]) for group in now] == [True]
        case ("instance", _, "disableApiTermination"):
            return now is True or not choice.protect_evidence
        case ("instance", _, "instanceInitiatedShutdownBehavior"):
            return now == "stop" or not choice.protect_evidence
        case ("instance", _, "volume", _):
            return now is not GONE and not (now[1] and choice.protect_evidence)
        case ("instance", _, "state"):
            return now == ("stopped" if stopped or choice.stop else "running")
        case ("target", *_):
            # What did not run before serves nothing, and could not be registered again.
            return now is GONE or stopped
        case ("member", _):
            return now is GONE
        case _:
            return True


def not_put_back(
    house: House,
    plans: tuple[Plan, Plan],
    worlds: tuple[Description, Description, Description],
    meanwhile: Meanwhile,
) -> Iterator[str]:
    """What is neither as it was, nor as the plan announced, nor as somebody else made it and we reported.

    Args:
        plans: the contain plan and the release plan, both carried out.
        worlds: before anything, immediately before the release, and after it.
    """
    before, at_release, after = worlds
    contain, release = plans
    expected: Description = dict(before)
    for words in contain.cannot_be_put_back:
        _announce(words, expected)
    expected |= meanwhile.values
    for path in [path for path in expected if path[2:] == ("protected",) and path[:2] not in expected]:
        # Protected by somebody while it was in a group to which it does not return.
        del expected[path]
    for path in [path for path in expected if path[0] == "scaling" and path[2] == "desired"]:
        if meanwhile.touched(path[1], before):
            expected[path] = at_release[path] + _attached(house, release, path[1])
    reported = _reported(house, plans)
    yield from (
        f"{key} is {status}, and nobody else touched {one}"
        for key, (status, one) in reported.items()
        if one not in meanwhile.instances
    )
    for path in sorted({*expected, *after}, key=str):
        want, have = expected.get(path, GONE), after.get(path, GONE)
        if isinstance(want, Another):
            # A case that fell out, as somebody had changed something of it, was not stopped.
            same = have is not GONE and (have != want.value or _instance_of(path, before) in meanwhile.instances)
        else:
            same = want == have
        left = any(key in reported for key in _steps_of(path, before)) and have == at_release.get(path, GONE)
        if not same and not left and not _is_over(path, before, after):
            yield f"{path} was {before.get(path)}, should be {_said(want)}, and is {_said(have)}"


def _announce(words: str, expected: Description) -> None:
    """Change what is expected as one sentence of the plan says."""
    for pattern, apply in _ANNOUNCEMENTS.items():
        if found := re.fullmatch(pattern, words):
            apply(found.groupdict(), expected)
            return
    raise AssertionError(f"no test knows what this means: {words}")


def _stays_out(named: Mapping[str, str], expected: Description) -> None:
    del expected["member", named["instance"]], expected["member", named["instance"], "protected"]


def _one_higher(named: Mapping[str, str], expected: Description) -> None:
    expected["scaling", named["group"], "desired"] += 1


def _is_registered(named: Mapping[str, str], expected: Description) -> None:
    (arn,) = (
        arn
        for path, attached in expected.items()
        if path[:2] == ("scaling", named["group"]) and path[2] == "target groups"
        for arn in attached
        if short_arn(arn) == named["target"]
    )
    port = re.search(r"-(\d+)-", named["target"])
    assert port is not None
    expected["target", arn, named["instance"], port[1]] = True


def _another_address(named: Mapping[str, str], expected: Description) -> None:
    for path, value in expected.items():
        if path[-1] == "public address" and value == named["address"]:
            expected[path] = Another(value)


_ANNOUNCEMENTS = {
    r"(?P<group>\S+) is at its maximum of \d+: (?P<instance>\S+) cannot be attached again": _stays_out,
    r"(?P<group>\S+) keeps the replacement: attached again, its desired capacity is one higher": _one_higher,
    r"(?P<instance>\S+) is on standby in \S+, and attached it would serve: it stays out of the group": _stays_out,
    r"(?P<group>\S+) registers (?P<instance>\S+) with (?P<target>\S+) when it is attached again": _is_registered,
    r"(?P<instance>\S+) gets another public address than (?P<address>\S+) after the stop": _another_address,
}


def _reported(house: House, plans: Sequence[Plan]) -> dict[str, tuple[str, str]]:
    """Step key -> how it ended, and whose it is, for all that were not done."""
    history, found = house.history(), {}
    for plan in plans:
        outcomes = history.step_outcomes(plan)
        for step in plan.steps:
            outcome = outcomes[step.key]
            if outcome.status not in AS_PLANNED:
                case = house.ledger.case(step.cases[0])
                assert case is not None
                found[step.key] = (f"{outcome.status}: {outcome.detail}", case.key.resource_id)
    return found


def _attached(house: House, release: Plan, group: str) -> int:
    outcomes = house.history().step_outcomes(release)
    steps = [step for step in release.steps if isinstance(step, AttachToAutoScaling) and step.group == group]
    return sum(outcomes[step.key].status == "done" for step in steps)


def _steps_of(path: Path, before: Description) -> Sequence[str]:
    """The keys of the steps that put back what is at this path."""
    one = path[1]
    match path:
        case ("interface", _, "groups"):
            return (f"swap-security-groups:{one}",)
        case ("instance", _, "groups"):
            first = [each[1] for each in before if each[-1] == "place" and before[each][:2] == (one, 0)]
            return [f"swap-security-groups:{interface}" for interface in first]
        case ("instance", _, "volume", _):
            return (f"set-delete-on-termination:{one}",)
        case ("instance", _, "state"):
            return (f"start-instance:{one}",)
        case ("member", *_):
            return (f"attach-to-auto-scaling-group:{one}",)
        case ("instance", _, attribute):
            return (f"set-instance-attribute:{one}:{attribute}",)
        case ("target", arn, instance, port):
            return (
                f"register-target:{instance}:{short_arn(arn)}:{port}",
                f"attach-to-auto-scaling-group:{instance}",
            )
        case _:
            return ()


def _instance_of(path: Path, world: Description) -> str | None:
    match path:
        case ("instance" | "member", one, *_):
            return one
        case ("interface", interface, *_):
            return world["interface", interface, "place"][0]
        case ("target", _, one, _):
            return one
        case _:
            return None


def _is_over(path: Path, before: Description, after: Description) -> bool:
    """Whether it went with an instance that is terminated; an interface that outlived it is put back."""
    outlived = path[0] == "interface" and path in after
    return not outlived and after.get(("instance", _instance_of(path, before) or "", "state")) == "terminated"


def _groups(house: House) -> list[dict[str, Any]]:
    return house.client("ec2").describe_security_groups()["SecurityGroups"]


def _said(value: Any) -> Any:
    return "absent" if value is GONE else value
