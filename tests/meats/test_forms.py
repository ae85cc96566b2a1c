"""What visitors may ask for: a text is taken as the rules say or refused with a reason."""

import unicodedata

from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from meats.forms import SmokeForm
from meats.limits import MAX_FLAVOR_LENGTH, MAX_MEAT_LENGTH, MAX_MEATS

XSS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "{{ settings.SECRET_KEY }}",
    "%0d%0aSet-Cookie: a=b",
]
CONTROLS = {"Cc", "Zl", "Zp"}

texts = st.one_of(st.text(max_size=400), st.sampled_from(XSS))
lists = st.lists(st.text(max_size=60), max_size=25).map(",".join)


def smoke_form(**parameters: str) -> SmokeForm:
    query = QueryDict(mutable=True)
    query.update(parameters)
    return SmokeForm(query)


def has_controls(text: str) -> bool:
    return any(unicodedata.category(character) in CONTROLS for character in text)


@given(st.one_of(texts, lists))
def test_any_to_smoke_is_normalised_or_refused(text: str) -> None:
    form = smoke_form(to_smoke=text)
    expected = [item.strip().lower() for item in text.split(",") if item.strip().lower()]
    acceptable = (
        len(expected) <= MAX_MEATS
        and all(len(meat) <= MAX_MEAT_LENGTH for meat in expected)
        and not any(map(has_controls, expected))
    )
    assert form.is_valid() == acceptable
    if acceptable:
        assert form.cleaned_data["to_smoke"] == expected
    else:
        assert form.complaint().startswith("to_smoke: ")


@given(texts)
def test_any_flavor_is_kept_or_refused(text: str) -> None:
    form = smoke_form(flavor=text)
    stripped = text.strip()
    acceptable = len(stripped) <= MAX_FLAVOR_LENGTH and not has_controls(stripped)
    assert form.is_valid() == acceptable
    if acceptable:
        assert form.cleaned_data["flavor"] == stripped
    else:
        assert form.complaint().startswith("flavor: ")


@given(texts, texts)
def test_a_complaint_is_one_line_a_field_and_short(to_smoke: str, flavor: str) -> None:
    form = smoke_form(to_smoke=to_smoke, flavor=flavor)
    if not form.is_valid():
        lines = form.complaint().split("\n")
        assert [line.split(":")[0] for line in lines] == list(form.errors)
        assert all(line.isprintable() and len(line) < 500 for line in lines)


def test_the_limits_are_the_articles() -> None:
    assert (MAX_MEATS, MAX_MEAT_LENGTH, MAX_FLAVOR_LENGTH) == (20, 50, 100)
    assert smoke_form(to_smoke=",".join("m" * 20), flavor="f" * 100).is_valid()
    assert smoke_form(to_smoke="m" * 50).is_valid()
    assert smoke_form(to_smoke=",".join("m" * 21), flavor="f" * 101).complaint() == (
        "to_smoke: 21 meats were asked for: at most 20 fit into the smoker.\n"
        "flavor: 'fffffffffffffffffffffffffff...' has 101 characters:"
        " a flavor has at most 100."
    )
    assert smoke_form(to_smoke="m" * 51).complaint() == (
        "to_smoke: 'mmmmmmmmmmmmmmmmmmmmmmmmmmm...' has 51 characters:"
        " a meat's name has at most 50."
    )


def test_a_line_break_cannot_forge_a_log_line() -> None:
    form = smoke_form(to_smoke="ribs\n2026-01-01 ERROR hacked")
    assert "holds a line break or another control character" in form.complaint()
