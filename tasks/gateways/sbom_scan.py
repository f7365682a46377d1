"""Amazon Inspector Scan: what is known of the components of an SBOM. It needs no Inspector to be switched on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from runbooks.errors import BadInput
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import code_of, reads
from tasks.gateways.aws_session import AwsSessions

_REFUSED = "ValidationException"


class SbomScanGateway:
    """Has SBOMs scanned."""

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions

    @reads()
    def scan(self, account: str, region: str, sbom: Mapping[str, Any]) -> object:
        """The SBOM with its vulnerabilities, as CycloneDX 1.5.

        Raises:
            BadInput: (sbom-refused) Inspector does not take the SBOM.
        """
        client = self._sessions.client("inspector-scan", account, region, Role.READ)
        try:
            return client.scan_sbom(sbom=sbom, outputFormat="CYCLONE_DX_1_5")["sbom"]
        except ClientError as error:
            if code_of(error) != _REFUSED:
                raise
            said = error.response.get("Error", {}).get("Message", "")
            reason = error.response.get("reason", "")
            raise BadInput(f"Inspector does not take the SBOM: {reason} {said}".strip(), code="sbom-refused") from error
