from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("engine", "0006_process_folder")]

    operations = [
        migrations.AddField("worker", "process", models.CharField(blank=True, default="", max_length=128))
    ]
