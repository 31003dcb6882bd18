from django.db import migrations


class Migration(migrations.Migration):
    """How often supervisors were told of a pause is counted by the package that tells them."""

    dependencies = [("engine", "0003_approval")]

    operations = [migrations.RemoveField("workflow", "paused_notices")]
