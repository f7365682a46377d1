"""`runbooks approve`: Say yes to the plan that a case waits with."""

from __future__ import annotations

from cyclopts import App

from deployments.cli.answering import answer
from deployments.cli.identity import As, CodeFile
from deployments.cli.output import Json

app = App(
    name="approve",
    help_epilogue="""\
Examples:

  runbooks approve i-0123456789abcdef0
  runbooks approve case-0123456789ab --as jane --comment 'as agreed'
  pass otp jane | runbooks approve case-0123456789ab --as jane --code-file -

The exit code is 0 when the yes counts, and 1 when it does not: the reason is
told, and written down. Where two people are needed, the second yes approves.
""",
)


@app.default
def approve(
    case: str,
    /,
    *,
    as_name: As = None,
    digest: str | None = None,
    comment: str = "",
    code_file: CodeFile = None,
    as_json: Json = False,
) -> int:
    """Say yes to exactly the plan that the case waits with, which is shown first.

    Args:
        case: The case's id or the beginning of it, or the id of its resource.
        digest: Answer only if the plan's digest begins so.
        comment: Why, for those who ask later.
    """
    return answer("approve", case, name=as_name, digest=digest, comment=comment, code_file=code_file, as_json=as_json)
