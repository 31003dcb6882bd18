from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0008_inbound'),
    ]

    operations: list[migrations.operations.base.Operation] = []
