"""`runbooks reject`: Say no to the plan that a case waits with."""

from __future__ import annotations

from cyclopts import App

from deployments.cli.answering import answer
from deployments.cli.identity import As, CodeFile
from deployments.cli.output import Json

app = App(
    name="reject",
    help_epilogue="""\
Examples:

  runbooks reject i-0123456789abcdef0
  runbooks reject case-0123456789ab --as jane --comment 'as agreed'
  pass otp jane | runbooks reject case-0123456789ab --as jane --code-file -

The exit code is 0 when the no counts: nothing of the plan is done, and a
person takes over. It is 1 when it does not: the reason is told, and written.
""",
)


@app.default
def reject(
    case: str,
    /,
    *,
    as_name: As = None,
    digest: str | None = None,
    comment: str = "",
    code_file: CodeFile = None,
    as_json: Json = False,
) -> int:
    """Say no to the plan that the case waits with: nothing of it is done.

    Args:
        case: The case's id or the beginning of it, or the id of its resource.
        digest: Answer only if the plan's digest begins so.
        comment: Why, for those who ask later.
    """
    return answer("reject", case, name=as_name, digest=digest, comment=comment, code_file=code_file, as_json=as_json)
