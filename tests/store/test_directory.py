import os
from pathlib import Path

import pytest

from grayflow.store.directory import sync_directory


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """List the files, by their inode, that are synced."""
    found: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: found.append(os.fstat(handle).st_ino))
    return found


def test_it_is_the_directory_that_is_synced(synced: list[int], tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    sync_directory(tmp_path)

    assert synced == [tmp_path.stat().st_ino]


def test_a_directory_that_cannot_be_opened_is_passed_over(
    synced: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refused)

    sync_directory(tmp_path)

    assert synced == []


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync_directory(tmp_path / "gone")
