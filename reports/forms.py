"""The forms of the staff's pages."""

from django import forms

from reports.periods import Period
from reports.runs.control import PeriodRefused, check_period


class StartForm(forms.Form):
    """Which period to make reports of.

    `confirmed` is asked for where a run of the period is there already.
    """

    period = forms.CharField(
        max_length=7,
        help_text="A month as 2026-10; a quarter as 2026-Q3 or a year as 2026 will do, too.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "text"}),
    )
    confirmed = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def clean_period(self) -> Period:
        try:
            period = Period.parse(self.cleaned_data["period"])
            check_period(period)
        except PeriodRefused as error:
            raise forms.ValidationError(str(error)) from error
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        return period
