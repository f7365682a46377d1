"""The whole product: sandbox, Prefect, worker, receiver and sweep, started once and stopped after the last test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from deployments.demo.authenticators import Authenticators
from deployments.demo.operator import Operator
from deployments.local import Local
from deployments.processes import Stack
from tasks.gateways.ledger import Ledger
from tests.end_to_end.product import PACKAGE_BUCKET, Incident, Product, write_variant

CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
CANARIES = {
    "AWS_SECRET_ACCESS_KEY": "canary-9f3b7a6c21d84e50-aws",
    "PREFECT_API_AUTH_STRING": "canary:5d1c40e7b2a94f68-prefect",
}
"""Secrets that are found nowhere else; those of Slack, Jira and the webhook are so already. Prefect's server asks for
none here, but every process that knows it sends it along."""
BECOMES_SILENT_SECONDS = "10"
"""The least the settings allow: how soon a killed run is noticed."""


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Everything that runs. The severity chooses the runbook: MEDIUM expires in a minute, LOW asks before a release."""
    folder = tmp_path_factory.mktemp("product")
    silent = {"RUNBOOKS_LIBRARY": str(library(folder)), "RUNBOOKS_LEASE_SECONDS": BECOMES_SILENT_SECONDS}
    with started(folder, **silent, **CANARIES) as all_up:
        yield all_up


@pytest.fixture
def product_on_postgresql(tmp_path: Path, postgres_url: str) -> Iterator[Product]:
    with started(tmp_path, RUNBOOKS_LEDGER_URL=postgres_url) as all_up:
        yield all_up


@contextmanager
def started(folder: Path, **settings: str) -> Iterator[Product]:
    # So many, because a code counts once in its thirty seconds, and the tests are quicker than people.
    names = [f"approver-{number}" for number in range(1, 9)]
    local = Local(folder, settings=settings, authenticators=Authenticators(names))
    with Stack(folder) as stack:
        local.start_sandbox(stack)
        local.start_product(stack, PACKAGE_BUCKET)
        with (
            closing(Ledger.open(local.ledger)) as ledger,
            closing(Operator(local.prefect, local.authenticators)) as operator,
        ):
            yield Product(stack, local, ledger, operator)


def library(folder: Path) -> Path:
    own = folder / "library"
    own.mkdir()
    soon = {"approval": {"expires_minutes": 1}}
    write_variant(own, "ec2-package-cve", ["MEDIUM"], {"contain": soon, "remediate": soon})
    write_variant(own, "ec2-release-asks", ["LOW"], {"release": {"when_fixed": "ask"}})
    return own


@pytest.fixture(scope="package")
def unanswered(product: Product) -> Incident:
    """Nobody will answer this one. Delivered before the other tests begin, its minute passes while they run."""
    return product.deliver(1, severity="MEDIUM")


@pytest.fixture(scope="package")
def survivor(product: Product) -> Incident:
    """What happens to it happens while processes die. Its patch takes long, and its runbook asks before a release."""
    return product.deliver(4, severity="LOW", slow=True)


@pytest.fixture
def page(chromium_path: Path) -> Iterator[Page]:
    """A page of a browser that is an operator's, and reaches this machine only."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=[*CHROMIUM_FLAGS])
        with closing(browser):
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.set_default_timeout(30_000)
            yield page
