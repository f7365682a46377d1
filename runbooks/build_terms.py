"""What a build is told: its project's or its workflow's name, its variables, and the tag under which it pushes.

What is handed to a build ends in somebody's shell. Package names and versions come from outside, so only those are
handed over that no shell reads as anything but a word.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from string import Formatter

from runbooks.errors import Refused
from runbooks.model import Model

PLACEHOLDERS = ("base", "function", "packages", "repository", "tag")
"""What a variable of the runbook may name in braces."""
LONGEST_TAG = 128
"""Characters of an image's tag (OCI distribution specification, "Pulling manifests")."""
MOST_INPUTS = 25
"""Of a workflow that is dispatched (GitHub REST API, "Create a workflow dispatch event")."""

_MARK = "-remediated-"
_OURS = re.compile(rf"{_MARK}[0-9a-f]{{12}}$", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@:/._+~^=-]*", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NO_TAG_CHARACTER = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)
_WORKFLOW = re.compile(
    r"(?P<owner>[A-Za-z0-9][A-Za-z0-9_-]{0,99})/(?P<repository>(?!\.{1,2}/)[A-Za-z0-9._-]{1,100})"
    r"/\.github/workflows/(?P<file>[A-Za-z0-9_][A-Za-z0-9._-]{0,250}\.ya?ml)"
    r"@(?P<ref>[A-Za-z0-9_][A-Za-z0-9._/-]{0,249})",
    re.ASCII,
)


class Workflow(Model):
    """A workflow of GitHub Actions, as its branch or tag has it."""

    owner: str
    repository: str
    file: str
    """In the repository's folder .github/workflows."""
    ref: str
    """A branch or a tag."""

    @classmethod
    def parse(cls, text: str) -> Workflow:
        """Read `owner/repository/.github/workflows/file.yml@branch`, as another workflow would name it to use it.

        Raises:
            ValueError: it is none.
        """
        found = _WORKFLOW.fullmatch(text)
        if found is None:
            raise ValueError(
                f"{text[:200]!r} names no workflow: write owner/repository/.github/workflows/file.yml@branch"
            )
        return cls(**found.groupdict())

    def __str__(self) -> str:
        return f"{self.owner}/{self.repository}/.github/workflows/{self.file}@{self.ref}"


def named(template: str, allowed: Iterable[str] = PLACEHOLDERS) -> frozenset[str]:
    """The placeholders of a text.

    Raises:
        ValueError: one of them is unknown, or is no plain name in braces; the message says which there are.
    """
    known = tuple(allowed)
    there = ", ".join(f"{{{name}}}" for name in known)
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{template!r}: {error}; a brace of its own is written twice") from error
    found = [(name, _as_written(name, spec, conversion)) for _, name, spec, conversion in parts if name is not None]
    for name, whole in found:
        if name not in known or whole != name:
            raise ValueError(f"{template!r}: {{{whole}}} stands for nothing; there are {there}")
    return frozenset(name for name, _ in found)


def checked_project(template: str) -> str:
    """A project's name as a runbook gives it.

    Raises:
        ValueError: it has another placeholder than `{repository}`.
    """
    named(template, ("repository",))
    return template


def checked_workflow(template: str) -> str:
    """A workflow's name as a runbook gives it.

    Raises:
        ValueError: it names no workflow, or has another placeholder than `{repository}`.
    """
    named(template, ("repository",))
    Workflow.parse(project_name(template, "x"))
    return template


def checked_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """A build's variables as a runbook gives them.

    Raises:
        ValueError: a name is none that a shell takes, or a placeholder is unknown.
    """
    for name, template in variables.items():
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} is no name of an environment variable: letters, digits and underscores")
        named(template)
    return dict(variables)


def project_name(template: str, repository: str) -> str:
    """The CodeBuild project that a runbook means for a repository.

    `{repository}` stands for the repository's name with slashes and dots as dashes: a project's name has neither.
    """
    return template.format(repository=re.sub(r"[/.]", "-", repository))


def workflow_of(template: str, repository: str) -> Workflow:
    """The workflow that a runbook means for a repository; `{repository}` stands for the same as in a project's name.

    Raises:
        Refused: with this repository's name it is none.
    """
    try:
        return Workflow.parse(project_name(template, repository))
    except ValueError as error:
        raise Refused(f"{error}: a person has to build it", code="person") from error


def build_variables(
    templates: Mapping[str, str],
    *,
    base: str | None,
    packages: Iterable[str],
    tag: str,
    repository: str | None = None,
    function: str | None = None,
) -> dict[str, str]:
    """The variables of one build. One that names what there is nothing of is left out: the project's own value holds.

    Args:
        base: the image to build on; None where none is known to be newer.
        packages: what is to be updated, each as `name=version`.
        tag: under which the build leaves what it makes.
        repository: of the image that is built, if one is.
        function: the Lambda function that it is built for, if it is for one.

    Raises:
        Refused: a value could be read as more than a word.
    """
    words = tuple(packages)
    named_once = (each for each in (base or None, repository, function, tag) if each is not None)
    for word in (*words, *named_once):
        if not _WORD.fullmatch(word):
            raise Refused(f"a build cannot safely be told of {word[:120]!r}: a person has to build it", code="person")
    values = {
        "base": base or "",
        "function": function or "",
        "packages": " ".join(words),
        "repository": repository or "",
        "tag": tag,
    }
    return {
        name: template.format_map(values)
        for name, template in templates.items()
        if all(values[each] for each in named(template))
    }


def in_words(variables: Mapping[str, str]) -> str:
    """The variables as the end of a sentence: ` (BASE_IMAGE=..., IMAGE_TAG=...)`, nothing where there are none."""
    given = ", ".join(f"{name}={value}" for name, value in variables.items())
    return f" ({given})" if given else ""


def new_tag(old_tags: Iterable[str], digests: Iterable[str], response: str, revision: int) -> str:
    """The tag under which a build pushes: the old image's, and a mark that is the same for the same plan alone.

    Args:
        old_tags: of the image that is rebuilt; a mark of an earlier rebuild is taken off.
        digests: of all images that this build takes the place of.
    """
    text = "\n".join((*sorted(digests), response, str(revision)))
    mark = _MARK + hashlib.sha256(text.encode()).hexdigest()[:12]
    bases = sorted(_OURS.sub("", tag) for tag in old_tags)
    base = next((tag for tag in bases if tag != "latest"), "image")
    clean = _NO_TAG_CHARACTER.sub("-", base).lstrip(".-")[: LONGEST_TAG - len(mark)]
    return (clean or "image") + mark


def _as_written(name: str, spec: str | None, conversion: str | None) -> str:
    return name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
