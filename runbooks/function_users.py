"""Who invokes a Lambda function, in words, and by which version of it."""

from __future__ import annotations

from collections.abc import Iterator

from runbooks.function import LATEST, EventSource, Invoker, LambdaFunction

_GATEWAY = "apigateway.amazonaws.com"


def users_in_words(function: LambdaFunction) -> Iterator[str]:
    """Every way in that was seen, with what it reaches."""
    for qualifier, who in _users(function):
        yield f"{who} ({_name(qualifier)})"


def of_latest(function: LambdaFunction) -> tuple[str, ...]:
    """Those who get a change of $LATEST at once: they name neither a version nor an alias that serves one."""
    direct = {None, LATEST, *(each.name for each in function.aliases if each.version == LATEST)}
    return tuple(who for qualifier, who in _users(function) if qualifier in direct)


def of_a_version(function: LambdaFunction) -> tuple[str, ...]:
    """Those who name a version by its number: no shift of an alias reaches them."""
    return tuple(dict.fromkeys(words for _, words in _of_versions(function)))


def of_another_version(function: LambdaFunction) -> tuple[str, ...]:
    """Those of them whose version has not the packages of $LATEST."""
    others = (words for version, words in _of_versions(function) if version not in function.alike)
    return tuple(dict.fromkeys(others))


def openings(function: LambdaFunction) -> Iterator[str]:
    """How anybody at all can invoke it from the internet, in words."""
    for url in function.urls:
        if url.auth_type == "NONE":
            yield f"the URL of {_name(url.qualifier)} asks nobody who calls"
    for invoker in function.invokers:
        if invoker.is_anyone:
            yield f"the resource policy of {_name(invoker.qualifier)} lets anyone invoke it"


def not_open(function: LambdaFunction) -> str:
    """What is said where nobody at all can."""
    closed = "it has no URL that asks nobody, and no policy that lets anyone invoke it"
    if any(each.principal == _GATEWAY for each in function.invokers):
        return f"{closed}; API Gateway may invoke it, and who may call that API was not looked at"
    return closed


def _of_versions(function: LambdaFunction) -> Iterator[tuple[str, str]]:
    sources = ((each.qualifier, f"{_source(each)} invokes") for each in function.event_sources)
    invokers = ((each.qualifier, f"{_invoker(each)} may invoke") for each in function.invokers)
    for qualifier, words in (*sources, *invokers):
        if qualifier and qualifier.isdigit():
            yield qualifier, f"{words} version {qualifier} by its number"


def _users(function: LambdaFunction) -> Iterator[tuple[str | None, str]]:
    for url in function.urls:
        yield url.qualifier, "whoever has its URL" if url.auth_type == "NONE" else "its URL, with IAM credentials"
    for source in function.event_sources:
        yield source.qualifier, _source(source)
    for invoker in function.invokers:
        yield invoker.qualifier, _invoker(invoker)


def _source(source: EventSource) -> str:
    """Service and name: `sqs orders`."""
    parts = source.arn.split(":")
    named = f"{parts[2]} {parts[-1].partition('/')[0]}" if len(parts) > 5 else source.arn
    return named if source.enabled else f"{named} (switched off)"


def _invoker(invoker: Invoker) -> str:
    return "anyone" if invoker.is_anyone else invoker.principal


def _name(qualifier: str | None) -> str:
    if qualifier in (None, LATEST):
        return LATEST
    return f"version {qualifier}" if str(qualifier).isdigit() else f"alias {qualifier}"
