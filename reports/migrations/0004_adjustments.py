from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('reports', '0003_mails_tried_again'),
    ]

    operations = [
        migrations.AddField(
            model_name='customerreport',
            name='adjusted',
            field=models.DecimalField(db_default=0, decimal_places=2, default=0, max_digits=12),
        ),
    ]
