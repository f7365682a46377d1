"""What becomes of a function's $LATEST: exactly what is vulnerable in it is exchanged."""

from __future__ import annotations

from runbooks.candidate import Candidate
from runbooks.definition import Runbook
from runbooks.errors import Refused
from runbooks.function import LATEST, FunctionContent
from runbooks.function_package import FunctionPackage
from runbooks.planning.functions.chosen import Chosen
from runbooks.planning.functions.rebuilding import gets_image, gets_package
from runbooks.triage.function import vulnerable_layers

Built = Candidate | FunctionPackage
"""What a build has made for a function."""


class Update:
    """What becomes of one function's $LATEST: from what it is, over its own code, to what it is in the end.

    Raises:
        Refused: what should have been built was not.
    """

    def __init__(self, runbook: Runbook, each: Chosen, built: Built | None) -> None:
        self.chosen = each
        self.image = built if isinstance(built, Candidate) and gets_image(each.assessment) else None
        self.package = built if isinstance(built, FunctionPackage) and gets_package(each.assessment) else None
        self.before = each.function.content
        self.with_code = self.before.model_copy(update={"code_sha256": self._code()})
        self.after = self.with_code if self.image else _configured(runbook, each, self.with_code)

    @property
    def gets_code(self) -> bool:
        """Whether it gets the package: an earlier plan of the response may have put it in already."""
        return self.package is not None and self.with_code != self.before

    @property
    def is_kept(self) -> bool:
        """Whether a published version has the code that it has now: from there it is given back."""
        served = (version for alias in self.chosen.function.aliases for version in alias.serves)
        return any(each.version != LATEST and each.content.code_sha256 == self.before.code_sha256 for each in served)

    def _code(self) -> str:
        each = self.chosen
        if self.image is not None:
            return self.image.digest.removeprefix("sha256:")
        if self.package is not None:
            return self.package.code_sha256
        if gets_image(each.assessment) or gets_package(each.assessment):
            what = "image" if gets_image(each.assessment) else "code"
            raise Refused(f"no {what} was built for {each.function.name}", code="person")
        return self.before.code_sha256


def _configured(runbook: Runbook, each: Chosen, content: FunctionContent) -> FunctionContent:
    """The same with exactly those layers, and that runtime, exchanged that are vulnerable."""
    vulnerable = vulnerable_layers(each.assessment.facts)
    of_runtime = any(package.origin == "runtime" for package in each.assessment.triage.packages)
    runtimes = runbook.function.runtimes
    return content.model_copy(
        update={
            "layers": tuple(each.facts.newer_layers[one] if one in vulnerable else one for one in content.layers),
            "runtime": runtimes[str(content.runtime)] if of_runtime else content.runtime,
        }
    )
