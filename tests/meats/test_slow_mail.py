"""A mail server that takes its time: only emails wait for it."""

from collections import Counter
from pathlib import Path

from tests.meats.smokehouse import Smokehouse
from tests.processes import wait_until

ORDERS = 10


def test_emails_that_wait_take_no_places_of_other_tasks(tmp_path: Path) -> None:
    """A2: a hundred of them took all the loop has, and smoking waited for the mail server."""
    smokehouse = Smokehouse(
        tmp_path, DJANGO_SETTINGS_MODULE="tests.meats.narrow_settings", SMTP_CONNECTIONS="1"
    )
    try:
        smokehouse.mail.restart(seconds=600)  # longer than anybody here waits
        smokehouse.partner.start()
        smokehouse.start_web(DRAIN_TIMEOUT="0")
        visitor = smokehouse.visitor()
        paths = [visitor.order(email=f"guest-{number}@example.com") for number in range(ORDERS)]
        wait_until(lambda: len(smokehouse.partner.accepted()) == ORDERS, "the partner knows all")
        wait_until(lambda: len(smokehouse.receipts()) == ORDERS, "all receipts are written")

        def states() -> Counter[str]:
            told = [visitor.tasks(path) for path in paths]
            return Counter(f"{name} {one[name]['state']}" for one in told for name in one)

        wait_until(lambda: states()["smoke SUCCESSFUL"] == ORDERS, "all is smoked")
        assert states()["confirmation SUCCESSFUL"] == 0
        smokehouse.mail.restart(seconds=0)
        wait_until(lambda: len(smokehouse.mail.received()) == ORDERS, "all emails have arrived")
    finally:
        smokehouse.close()
