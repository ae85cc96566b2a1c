"""Email addresses: one way to write each, in which it is stored and looked up."""

import unicodedata

import idna
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

MAX_ADDRESS_LENGTH = 254  # RFC 5321, and the column's


def normalise(address: str) -> str:
    """Return an address as it is stored: lower-case ASCII, its domain as the mail servers know it.

    Two ways to write the same mailbox give the same text, whatever database compares it. Raises
    ValidationError for what no mail server could be given.
    """
    composed = unicodedata.normalize("NFC", address.strip())
    local, at, domain = composed.rpartition("@")
    if not at or not composed.isprintable():
        raise ValidationError(validate_email.message, code=validate_email.code)
    if not local.isascii():
        raise ValidationError(
            f"Mail to {address} cannot be sent:"
            " before the @ only unaccented letters, digits and signs are allowed."
        )
    normal = f"{local}@{_to_ascii(domain, address)}".lower()
    if len(normal) > MAX_ADDRESS_LENGTH:
        raise ValidationError(
            f"{normal[:20]}... has {len(normal)} characters:"
            f" an email address has at most {MAX_ADDRESS_LENGTH}."
        )
    validate_email(normal)
    if domain.startswith("["):
        raise ValidationError(
            f"Mail to {address} is not sent: after the @ a domain is needed, not a number."
        )
    return normal


def _to_ascii(domain: str, address: str) -> str:
    """Return a domain as the DNS has it. Python's own codec knows the rules of 2003 only."""
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as error:
        raise ValidationError(
            f"Mail to {address} cannot be sent: {domain} is no name that a domain can have."
        ) from error
