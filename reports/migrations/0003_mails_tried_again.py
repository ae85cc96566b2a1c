from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('reports', '0002_missing_files'),
    ]

    operations = [
        migrations.AddField(
            model_name='customerreport',
            name='not_before',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='customerreport',
            name='tries',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False),
        ),
    ]
