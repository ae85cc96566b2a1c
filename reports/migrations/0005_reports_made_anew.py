from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('reports', '0004_adjustments'),
    ]

    operations = [
        migrations.AddField(
            model_name='customerreport',
            name='edition',
            field=models.PositiveSmallIntegerField(db_default=1, default=1, editable=False),
        ),
        migrations.AddField(
            model_name='customerreport',
            name='without_mail',
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
    ]
