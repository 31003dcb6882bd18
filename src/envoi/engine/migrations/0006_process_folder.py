import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("kernel", "0001_initial"), ("engine", "0005_population")]

    operations = [
        migrations.AddField(
            "workflow",
            "process_folder",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="kernel.folder",
            ),
        )
    ]
