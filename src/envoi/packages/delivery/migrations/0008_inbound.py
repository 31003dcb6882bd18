from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0007_typologies'),
    ]

    operations: list[migrations.operations.base.Operation] = []
