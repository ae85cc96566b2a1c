"""Export and erasure of a customer, as commands beside a server, on each database."""

from tests.meats.smokehouse import Smokehouse

SECRET = "the leg of uncle bob"


def test_the_commands_work_on_each_database(on_each_database: Smokehouse) -> None:
    smokehouse = on_each_database
    smokehouse.start_web()
    visitor = smokehouse.visitor()
    smokehouse.parts.callback(visitor.http.close)
    path = visitor.order(more=SECRET, flavor=SECRET)
    assert list(visitor.events(path))[-1]["is_smoked"]
    assert SECRET in smokehouse.manage("export_customer", "ADA@example.com")
    assert "1 orders are left" in smokehouse.manage("erase_customer", "ada@example.com", "--yes")
    assert visitor.http.get(path).status_code == 404
    assert smokehouse.receipts() == []
    assert "nothing to erase" in smokehouse.manage("erase_customer", "ada@example.com", "--yes")
