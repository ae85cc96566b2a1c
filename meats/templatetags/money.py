"""{% load money %}, then {{ order.price|money }}."""

from django import template

from meats.money import money

register = template.Library()
register.filter("money", money, is_safe=False)
