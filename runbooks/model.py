"""The base of every value that is stored or crosses a task: frozen, and strict about names it does not know."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A frozen value with value equality. Unknown fields are an error, so that a typo never passes in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")
