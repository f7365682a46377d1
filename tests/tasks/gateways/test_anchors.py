"""What an anchor has kept it keeps, whoever comes after; the newest is found among any number."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.errors import LedgerError, Outside
from tasks.gateways.anchors import Anchor, FolderAnchor, S3Anchor
from tests.tasks.gateways.aws_world import AwsWorld

BUCKET = "company-audit"
NOW = datetime.now(UTC)
"""S3 refuses what is to be kept until a time that is past."""
YEAR = timedelta(days=365)


def s3(world: AwsWorld) -> Any:
    return boto3.client("s3", region_name="eu-west-1", endpoint_url=world.sandbox.url)


def a_bucket(world: AwsWorld, *, locked: bool = True) -> Any:
    client = s3(world)
    place = {"LocationConstraint": "eu-west-1"}
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place, ObjectLockEnabledForBucket=locked)
    return client


@pytest.fixture(params=["folder", "s3"])
def anchor(request: pytest.FixtureRequest, tmp_path: Path) -> Anchor:
    if request.param == "folder":
        return FolderAnchor(tmp_path / "anchors")
    return S3Anchor(a_bucket(request.getfixturevalue("aws")), BUCKET, "ledger/", YEAR, lambda: NOW)


SIZES = (1, 999, 1_000, 1_001, 2_000_000, 999_999_999_999)


def test_what_is_kept_is_read_again_by_size_and_sizes_come_in_order(anchor: Anchor) -> None:
    assert (anchor.newest(), anchor.sizes()) == (None, ())
    for size in reversed(SIZES):
        assert anchor.keep(size, b"checkpoint %d" % size) == b"checkpoint %d" % size
    assert anchor.sizes() == SIZES
    assert anchor.newest() == SIZES[-1]
    assert [anchor.read(size) for size in SIZES] == [b"checkpoint %d" % size for size in SIZES]


def test_what_is_there_is_never_replaced(anchor: Anchor) -> None:
    anchor.keep(5, b"first")
    assert anchor.keep(5, b"first") == b"first"
    assert anchor.keep(5, b"second") == b"first"
    assert anchor.read(5) == b"first"


def test_of_many_who_keep_one_size_all_are_told_the_same(anchor: Anchor) -> None:
    told: list[bytes] = []
    threads = [
        threading.Thread(target=lambda each=each: told.append(anchor.keep(7, b"%d" % each))) for each in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(told), set(told)) == (8, {anchor.read(7)})


def test_what_is_not_there_cannot_be_read(anchor: Anchor) -> None:
    with pytest.raises(LedgerError):
        anchor.read(5)


@given(st.sets(st.integers(1, 10**12 - 1), max_size=12))
@settings(max_examples=30)
def test_the_newest_is_the_largest_of_all(tmp_path_factory: pytest.TempPathFactory, sizes: set[int]) -> None:
    anchor = FolderAnchor(tmp_path_factory.mktemp("anchors"))
    for size in sizes:
        anchor.keep(size, b"x")
    assert (anchor.newest(), anchor.sizes()) == (max(sizes, default=None), tuple(sorted(sizes)))


def test_a_folder_holds_read_only_files_whose_names_sort_by_size_and_nothing_half_written(tmp_path: Path) -> None:
    anchor = FolderAnchor(tmp_path)
    for size in SIZES:
        anchor.keep(size, b"x")
    anchor.keep(5, b"x")
    anchor.keep(5, b"y")
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert [int(str(file.relative_to(tmp_path)).replace("/", "")) for file in files] == sorted((5, *SIZES))
    assert {file.stat().st_mode & 0o777 for file in files} == {0o444}


def test_what_else_lies_in_the_folder_is_no_checkpoint(tmp_path: Path) -> None:
    anchor = FolderAnchor(tmp_path)
    anchor.keep(5, b"x")
    (tmp_path / "README").touch()
    (tmp_path / ".half-written").touch()
    (tmp_path / "000" / "000" / "000" / "6").touch()
    assert (anchor.sizes(), anchor.newest()) == ((5,), 5)


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="make its folder readable and writable"):
        FolderAnchor(tmp_path / "file").keep(1, b"x")


def test_s3_keeps_it_locked_for_the_time_given_even_from_its_owner(aws: AwsWorld) -> None:
    client = a_bucket(aws)
    S3Anchor(client, BUCKET, "", YEAR, lambda: NOW).keep(5, b"x")
    key = "000/000/000/005"
    kept = client.head_object(Bucket=BUCKET, Key=key)
    until = (NOW + YEAR).replace(microsecond=0)
    assert (kept["ObjectLockMode"], kept["ObjectLockRetainUntilDate"].replace(microsecond=0)) == ("COMPLIANCE", until)
    version = kept["VersionId"]
    with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
        client.delete_object(Bucket=BUCKET, Key=key, VersionId=version)


def test_a_delete_marker_hides_nothing_and_a_later_version_counts_for_nothing(aws: AwsWorld) -> None:
    client = a_bucket(aws)
    anchor = S3Anchor(client, BUCKET, "ledger/", YEAR, lambda: NOW)
    anchor.keep(5, b"first")
    client.delete_object(Bucket=BUCKET, Key="ledger/000/000/000/005")
    assert (anchor.sizes(), anchor.newest(), anchor.read(5)) == ((5,), 5, b"first")
    client.put_object(Bucket=BUCKET, Key="ledger/000/000/000/005", Body=b"forged")
    assert anchor.read(5) == b"first"
    assert anchor.keep(5, b"third") == b"first"


def test_a_bucket_without_object_lock_keeps_nothing(aws: AwsWorld) -> None:
    client = a_bucket(aws, locked=False)
    anchor = S3Anchor(client, BUCKET, "", YEAR, lambda: NOW)
    with pytest.raises(Outside) as refused:
        anchor.keep(5, b"x")
    assert refused.value.code == "InvalidRequest"
    assert anchor.sizes() == ()


def test_a_bucket_that_is_not_there_is_an_error_and_no_empty_anchor(aws: AwsWorld) -> None:
    anchor = S3Anchor(s3(aws), BUCKET, "", YEAR, lambda: NOW)
    for ask in (anchor.newest, anchor.sizes, lambda: anchor.read(1), lambda: anchor.keep(1, b"x")):
        with pytest.raises(Outside) as refused:
            ask()
        assert refused.value.code == "NoSuchBucket"
