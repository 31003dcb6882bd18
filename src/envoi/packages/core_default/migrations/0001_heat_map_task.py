from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="HeatMapTask",
            fields=[
                ("task_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("workflow_id", models.BigIntegerField()),
                ("workflow_name", models.CharField(max_length=128)),
                ("workflow_label", models.CharField(max_length=255)),
                ("campaign", models.CharField(blank=True, default="", max_length=255)),
                ("activity", models.CharField(max_length=64)),
                ("started_at", models.DateTimeField()),
                ("completed_at", models.DateTimeField()),
                ("run_seconds", models.FloatField()),
            ],
            options={
                "db_table": "xtk_heat_map_task",
                "indexes": [models.Index(fields=["completed_at"], name="xtk_heat_map_task_completed")],
            },
        ),
    ]
