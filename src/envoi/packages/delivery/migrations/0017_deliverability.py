from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0016_variants'),
    ]

    operations = []
