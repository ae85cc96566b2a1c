"""What visitors may ask for."""

import unicodedata
from typing import Any
from uuid import uuid4

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import Truncator

from meats.addresses import MAX_ADDRESS_LENGTH, normalise
from meats.limits import MAX_FLAVOR_LENGTH, MAX_MEAT_LENGTH, MAX_MEATS, MAX_NAME_LENGTH
from meats.menu import DEFAULT_FLAVOR, MENU


def refuse_control_characters(value: str) -> None:
    """Raise ValidationError for line breaks and other controls: they forge lines in the log."""
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in value):
        raise ValidationError(
            f"{_shown(value)} holds a line break or another control character:"
            " only text is allowed."
        )


def refuse_too_many(meats: list[str]) -> None:
    """Raise ValidationError for more meats than one smoker holds."""
    if len(meats) > MAX_MEATS:
        raise ValidationError(
            f"{len(meats)} meats were asked for: at most {MAX_MEATS} fit into the smoker."
        )


def _shown(value: str) -> str:
    return repr(Truncator(value).chars(30, truncate="..."))


class MeatsField(forms.Field):
    """A comma-separated list of meats, as a list of lower-case names; empty items are dropped."""

    widget = forms.TextInput

    def to_python(self, value: Any) -> list[str]:
        items = (item.strip().lower() for item in (value or "").split(","))
        return [item for item in items if item]

    def validate(self, value: list[str]) -> None:
        super().validate(value)
        refuse_too_many(value)
        for meat in value:
            if len(meat) > MAX_MEAT_LENGTH:
                raise ValidationError(
                    f"{_shown(meat)} has {len(meat)} characters:"
                    f" a meat's name has at most {MAX_MEAT_LENGTH}."
                )
            refuse_control_characters(meat)


class FlavorField(forms.CharField):
    """The name of a sauce, or "" for the house's own."""

    def validate(self, value: str) -> None:
        super().validate(value)
        if len(value) > MAX_FLAVOR_LENGTH:
            raise ValidationError(
                f"{_shown(value)} has {len(value)} characters:"
                f" a flavor has at most {MAX_FLAVOR_LENGTH}."
            )
        refuse_control_characters(value)


class AddressField(forms.CharField):
    """An email address that can be mailed, as `addresses.normalise` writes it.

    No forms.EmailField: that one refuses `ada@exämple.com` and takes a long s before the @.
    """

    widget = forms.EmailInput

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_ADDRESS_LENGTH, **kwargs)

    def clean(self, value: Any) -> str:
        address = super().clean(value)
        return normalise(address) if address else address


class SmokeForm(forms.Form):
    """The query parameters of /smoke_some_meats/."""

    to_smoke = MeatsField(required=False)
    flavor = FlavorField(required=False)

    def complaint(self) -> str:
        """Return all errors as text, one line for each field that has some."""
        return "\n".join(
            f"{field}: {' '.join(str(message) for message in messages)}"
            for field, messages in self.errors.items()
        )


class CustomerForm(forms.Form):
    """Who a visitor is."""

    name = forms.CharField(
        max_length=MAX_NAME_LENGTH,
        validators=[refuse_control_characters],
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    email = AddressField(widget=forms.EmailInput(attrs={"autocomplete": "email"}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})


class SubscribeForm(CustomerForm):
    """The form of POST /subscribe/."""

    prefix = "subscribe"  # the order's form on the same page asks for name and email, too


class OrderForm(CustomerForm):
    """The form of POST /orders/. By its token a form that is sent twice is known."""

    token = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)
    meats = forms.MultipleChoiceField(
        choices=[(meat, meat.capitalize()) for meat in MENU],
        initial=["ribs", "brisket"],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    more = MeatsField(
        label="Anything else",
        help_text="Whatever you bring along, separated by commas.",
        required=False,
    )
    flavor = FlavorField(required=False, help_text=f"Empty for {DEFAULT_FLAVOR}.")

    field_order = ("token", "meats", "more", "flavor", "name", "email")

    def clean(self) -> dict[str, Any]:
        """Add `all_meats`, each once, in the order of the form."""
        data = {**self.cleaned_data}
        if "meats" in data and "more" in data:
            data["all_meats"] = list(dict.fromkeys([*data["meats"], *data["more"]]))
            if not data["all_meats"]:
                self.add_error("meats", "Choose at least one meat.")
            try:
                refuse_too_many(data["all_meats"])
            except ValidationError as error:
                self.add_error("more", error)
        return data
