"""Why a Lambda function was vulnerable, and what would keep the next one from being so, as far as the facts tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbooks.finding import Finding
from runbooks.function import FunctionFacts, short_layer
from runbooks.function_users import of_latest, openings, users_in_words
from runbooks.telling.words import listed
from runbooks.timestamps import moment
from runbooks.triage import Assessment


def function_causes(facts: FunctionFacts, findings: Sequence[Finding]) -> Iterator[str]:
    """The layer, the code or the runtime that has it, and who invoked it."""
    function = facts.function
    if function is not None:
        yield f"{function.name} was changed last at {function.last_modified}"
    for finding in findings:
        for package in finding.packages:
            layer = package.extra.get("sourceLambdaLayerArn")
            came = f"came with layer {short_layer(str(layer))}" if layer else "is in its own code, or in its image"
            path = f" at {package.file_path}" if package.file_path else ""
            yield f"{package.name} {package.version}{path} {came}; first seen {moment(finding.first_observed_at)}"
    if function is not None:
        users = list(users_in_words(function))
        yield f"it was invoked by {listed(users, most=10)}" if users else "nobody was seen who invokes it"


def function_lessons(each: Assessment, facts: FunctionFacts) -> Iterator[str]:
    """What to change in how it is built and in who calls it."""
    function = facts.function
    if function is None:
        return
    if facts.newer_layers:
        newer = listed([short_layer(layer) for layer in facts.newer_layers.values()])
        yield f"Name {newer} in the template of {function.name}: it was published already, and not taken up"
    if facts.deprecated_since is not None:
        yield f"Bring {function.name} to another runtime: {function.content.runtime} is patched no more"
    if of_latest(function) and function.aliases:
        yield f"Have {function.name} invoked by an alias: whoever invokes $LATEST gets every change untried"
    for opening in openings(function):
        yield f"Find out whether it has to be so that {opening}"
    if not facts.alarms:
        yield f"Give {function.name} an alarm on its errors, so that a bad version goes back"
