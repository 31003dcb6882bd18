from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0005_sending'),
    ]

    operations: list[migrations.operations.base.Operation] = []
