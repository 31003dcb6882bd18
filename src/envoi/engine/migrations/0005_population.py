import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Work tables say what they hold; incremental queries remember what they have given."""

    dependencies = [("engine", "0004_no_paused_notices")]

    operations = [
        migrations.AddField("worktable", "shape", models.JSONField(default=dict)),
        migrations.CreateModel(
            name="History",
            fields=[
                ("history_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=63, unique=True)),
                ("activity", models.CharField(max_length=64)),
                ("run_number", models.BigIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                (
                    "workflow",
                    models.ForeignKey(
                        db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="engine.workflow"
                    ),
                ),
            ],
            options={
                "db_table": "xtk_workflow_history",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("workflow", "activity"), name="xtk_workflow_history_once"
                    )
                ],
            },
        ),
    ]
