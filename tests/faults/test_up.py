"""The same under the whole `sekisu up`: who died is started again by it, and nobody else helps."""

import shutil
import signal
from pathlib import Path
from typing import cast

import pytest
import requests

from tests.cli.test_up import Up
from tests.conftest import open_folder
from tests.faults.house import FaultHouse, Patient
from tests.flows.house import ADMIN_KEY, wait
from tests.flows.tool import at, in_workspace


class Armed(Up):
    """An `up` whose processes are armed from the start on."""

    def __init__(self, folder: Path, point: str) -> None:
        self.mark, self._point = folder / "hit", point
        super().__init__(folder)
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """As before, with a key that the test knows."""
        self.environ |= {"SEKISU_API_KEY": ADMIN_KEY, "SEKISU_CRASH": f"{self._point}:1:{self.mark}"}
        super().start()

    def taken(self) -> list[int]:
        """What the payment endpoint took, each amount."""
        book = requests.get(f"http://127.0.0.1:{self.environ['SEKISU_SANDBOX_PORT']}/book", timeout=10).json()
        return sorted(row["amount"] for row in book["charges"] if row["status"] == "succeeded")


@pytest.mark.parametrize("point", ["inbox.keep.after", "settle.after", "charge.post.after"])
def test_up_mends_itself_after_a_kill_and_nothing_is_lost_or_doubled(point: str) -> None:
    folder = open_folder()
    (folder / "data").mkdir()
    (folder / "data").chmod(0o711)
    up = Armed(folder, point)
    try:
        customer = Patient(cast("FaultHouse", up), at("2025-01-15"))
        workspace = customer.workspace("kobo")
        customer.roster(workspace, "aoi")
        customer.start(workspace)
        for _ in range(2):  # the second time it is known already
            assert (
                customer.deliver(in_workspace("addMemberToOrganization", "kobo", "ren", at("2025-01-15"), "a")) == 200
            )
        wait(up.mark.exists)
        customer.rest(workspace, 60)
        assert customer.charged(workspace) == [("succeeded", 11999), ("succeeded", 11999)]
        assert up.taken() == [11999, 11999]
        assert len(customer.deliveries("a")) == 1
    finally:
        up.process.send_signal(signal.SIGTERM)
        up.process.wait(60)
        up.log.close()
        shutil.rmtree(folder, ignore_errors=True)
