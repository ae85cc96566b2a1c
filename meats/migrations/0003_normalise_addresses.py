"""Write the addresses that are there as `meats.addresses.normalise` writes new ones."""

from django.core.exceptions import ValidationError
from django.db import IntegrityError, migrations, transaction

from meats.addresses import normalise


def normalise_all(apps, schema_editor):
    """Leave alone what cannot be mailed, and what is somebody else's address already."""
    customers = apps.get_model("meats", "Customer").objects.using(schema_editor.connection.alias)
    for pk, email in customers.values_list("pk", "email").order_by("pk").iterator():
        try:
            normal = normalise(email)
        except ValidationError:
            continue
        if normal == email:
            continue
        try:
            with transaction.atomic(schema_editor.connection.alias):
                customers.filter(pk=pk).update(email=normal)
        except IntegrityError:
            continue


class Migration(migrations.Migration):
    dependencies = [("meats", "0002_adjustments")]

    operations = [migrations.RunPython(normalise_all, migrations.RunPython.noop, elidable=True)]
