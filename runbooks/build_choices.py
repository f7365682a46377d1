"""What a runbook says of who makes a patched image, and who tries it: exactly one of each, and what they are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self, cast

from pydantic import AfterValidator, Field, model_validator

from runbooks.build_terms import MOST_INPUTS, checked_project, checked_variables, checked_workflow
from runbooks.function_choices import checked_package_project
from runbooks.model import Model


class Builder(Model):
    """Who makes the patched image, and who tries it."""

    project: Annotated[str, AfterValidator(checked_project)] | None = "{repository}"
    """The CodeBuild project; `{repository}` stands for the repository's name, its slashes and dots as dashes. None
    where a workflow builds, or the image is patched in place."""
    workflow: Annotated[str, AfterValidator(checked_workflow)] | None = None
    """The GitHub Actions workflow that builds in the project's place:
    `owner/repository/.github/workflows/file.yml@branch`; `{repository}` stands for the same."""
    patch_in_place: bool = False
    """Nothing is built: Copacetic brings the operating system's packages up to date in the image itself, where `copa`
    is on the worker's path."""
    package_project: Annotated[str, AfterValidator(checked_package_project)] = "{function}-build"
    """The CodeBuild project of a Lambda function's own code; `{function}` stands for the function's name. Its artifact
    goes to the S3 bucket that the project names, under a key of this build's own."""
    variables: Annotated[dict[str, str], AfterValidator(checked_variables)] = Field(default_factory=dict)
    """The project's environment variables, or the workflow's inputs: `{base}`, `{function}`, `{packages}`,
    `{repository}` and `{tag}` stand for these. One that names what there is nothing of (no newer base) is left out, so
    that the project's own value, or the input's default, holds."""
    test_project: Annotated[str, AfterValidator(checked_project)] | None = None
    """The CodeBuild project of the integration test, which is given IMAGE_URI. None: nothing is tested."""
    test_workflow: Annotated[str, AfterValidator(checked_workflow)] | None = None
    """The GitHub Actions workflow of the integration test, in the project's place."""

    @model_validator(mode="before")
    @classmethod
    def _default_project(cls, given: object) -> object:
        """The default project is one only where nothing else is to build."""
        if not isinstance(given, Mapping):
            return given
        values = cast(Mapping[str, object], given)
        instead = bool(values.get("workflow") or values.get("patch_in_place"))
        return {**values, "project": None} if instead and "project" not in values else values

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        builders = {"project": self.project, "workflow": self.workflow, "patch_in_place": self.patch_in_place or None}
        chosen = [name for name, value in builders.items() if value is not None]
        if len(chosen) != 1:
            found = f"{' and '.join(chosen)} are given" if chosen else "none is given"
            raise ValueError(f"exactly one of {', '.join(builders)} makes the image, and {found}")
        if self.test_project is not None and self.test_workflow is not None:
            raise ValueError("one of test_project and test_workflow tries the image, and both are given")
        if self.patch_in_place and self.variables:
            raise ValueError("variables: nobody is told of them where the image is patched in place")
        if self.workflow is not None and len(self.variables) >= MOST_INPUTS:
            raise ValueError(f"variables: a workflow takes {MOST_INPUTS} inputs, one of which says whose run it is")
        return self
