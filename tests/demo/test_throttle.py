from __future__ import annotations

import os
from pathlib import Path

from demo.throttle import LoginThrottle, UploadQuota
from demo.uploads import MAX_TOTAL_BYTES


def test_throttle_by_address_and_time() -> None:
    now = [0.0]
    throttle = LoginThrottle(lambda: now[0])
    for _ in range(LoginThrottle.FREE_ATTEMPTS):
        assert throttle.begin("10.0.0.1") == 0
    waits = []
    for _ in range(12):
        wait_s = throttle.begin("10.0.0.1")
        waits.append(wait_s)
        now[0] += wait_s
        assert throttle.begin("10.0.0.1") == 0
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert throttle.begin("10.0.0.2") == 0
    assert [throttle.begin(f"2001:db8::{number}") > 0 for number in range(7)] == [False] * 5 + [True] * 2
    assert [throttle.begin(f"::ffff:10.0.1.{number}") > 0 for number in range(7)] == [False] * 7
    for _ in range(1_100):  # the wait does not overflow
        now[0] += LoginThrottle.MAX_WAIT_S
        assert throttle.begin("10.0.0.3") == 0


def test_an_address_cannot_use_up_the_space_of_others(tmp_path: Path) -> None:
    now = [0.0]
    quota = UploadQuota(tmp_path, lambda: now[0])
    for _ in range(5):
        assert quota.begin("10.0.0.1", 20_000_000) is None
        quota.end(20_000_000)
    assert quota.begin("10.0.0.1", 1) == (429, "You uploaded many photos in the last minute. Try again in a minute.")
    assert quota.begin("10.0.0.2", 20_000_000) is None
    now[0] = 61
    assert quota.begin("10.0.0.1", 20_000_000) is None


def test_running_uploads_count(tmp_path: Path) -> None:
    quota = UploadQuota(tmp_path)
    (tmp_path / "photo.jpg").touch()
    os.truncate(tmp_path / "photo.jpg", MAX_TOTAL_BYTES - 50)  # a sparse file
    assert quota.begin("10.0.0.1", 30) is None
    refused = quota.begin("10.0.0.2", 30)
    assert refused is not None
    assert refused[0] == 503
    quota.end(30)
    assert quota.begin("10.0.0.2", 30) is None
