"""A form that was filled in and could not be taken: shown again, with all that was typed."""

from django import forms
from django.http import HttpRequest

from meats.forms import OrderForm, SubscribeForm

# By the view it was sent to: its name in templates, its class, and the template that shows it.
FORMS: dict[str, tuple[str, type[forms.Form], str]] = {
    "meats:create_order": ("order_form", OrderForm, "meats/_order_form.html"),
    "meats:subscribe": ("subscribe_form", SubscribeForm, "meats/_subscribe_form.html"),
}


def kept_form(request: HttpRequest) -> tuple[str, forms.Form, str] | None:
    """Return the form that a request sent, what templates call it, and the template that shows it.

    None if it sent none, or one that is not known to come from our own page: to show that with a
    good token would let a stranger's page fill in the form.
    """
    match = request.resolver_match
    if request.method != "POST" or match is None or match.view_name not in FORMS:
        return None
    if not getattr(request, "csrf_processing_done", False):
        return None
    name, form, template = FORMS[match.view_name]
    return name, form(request.POST), template
