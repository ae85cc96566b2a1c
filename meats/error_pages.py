"""What Django answers with when something is wrong; project/urls.py and the settings name these."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse

from meats.responses import refusal, text_response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400."""
    return refusal(request, HTTPStatus.BAD_REQUEST, "This request cannot be read.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403."""
    return refusal(request, HTTPStatus.FORBIDDEN, "You may not see this page.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 to a form that does not come from a page of ours; the log has the `reason`."""
    text = "The form's token is missing or wrong: load the form's page and send it once more."
    return refusal(request, HTTPStatus.FORBIDDEN, text, template="403_csrf.html")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404."""
    return refusal(request, HTTPStatus.NOT_FOUND, "There is no such page here.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500, with a page if that can still be made: what is broken may be the templates."""
    text = "Something went wrong here, and it is in our log."
    request_id = getattr(request, "request_id", "")
    try:
        return refusal(request, HTTPStatus.INTERNAL_SERVER_ERROR, text, request_id=request_id)
    except Exception:  # noqa: BLE001 - the first error is logged, and a second must not hide it
        return text_response(text, HTTPStatus.INTERNAL_SERVER_ERROR)
