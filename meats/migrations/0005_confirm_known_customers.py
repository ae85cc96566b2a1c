"""Take the addresses from before as confirmed: they have been mailed all along, reports too."""

from django.db import migrations
from django.db.models import F


def confirm_all(apps, schema_editor):
    customers = apps.get_model("meats", "Customer").objects.using(schema_editor.connection.alias)
    customers.filter(confirmed_at=None).update(confirmed_at=F("created_at"))


class Migration(migrations.Migration):
    dependencies = [("meats", "0004_confirmed_addresses")]

    operations = [migrations.RunPython(confirm_all, migrations.RunPython.noop, elidable=True)]
