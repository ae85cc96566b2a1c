"""What visitors may ask for."""

import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import Truncator

from meats.limits import MAX_FLAVOR_LENGTH, MAX_MEAT_LENGTH, MAX_MEATS


def refuse_control_characters(value: str) -> None:
    """Raise ValidationError for line breaks and other controls: they forge lines in the log."""
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in value):
        raise ValidationError(
            f"{_shown(value)} holds a line break or another control character:"
            " only text is allowed."
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
        if len(value) > MAX_MEATS:
            raise ValidationError(
                f"{len(value)} meats were asked for: at most {MAX_MEATS} fit into the smoker."
            )
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
