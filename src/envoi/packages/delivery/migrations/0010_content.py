from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0009_routing'),
    ]

    operations: list[migrations.operations.base.Operation] = []
