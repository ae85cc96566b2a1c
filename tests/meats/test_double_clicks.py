"""The same form, sent several times at once to a real server."""

from concurrent.futures import ThreadPoolExecutor

from tests.meats.smokehouse import VISITOR, Smokehouse


def test_clicks_at_once_make_one_order(on_each_database: Smokehouse) -> None:
    smokehouse = on_each_database
    web = smokehouse.start_web()
    visitor = smokehouse.visitor()
    smokehouse.parts.callback(visitor.http.close)
    form = {**visitor.fresh_form(), **VISITOR}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: visitor.send("/orders/", **form), range(8)))
    assert {answer.status_code for answer in answers} == {302}
    (path,) = {answer.headers["Location"] for answer in answers}
    *_, last = visitor.events(path)
    assert last["is_smoked"]
    web.stop()
    assert len(smokehouse.partner.calls) == len(smokehouse.mail.received()) == 1
