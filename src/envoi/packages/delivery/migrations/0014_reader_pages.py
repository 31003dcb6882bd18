from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0013_tracking'),
    ]

    operations = []
