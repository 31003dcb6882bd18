from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("delivery", "0018_reports"),
    ]

    operations = [
        # Numbers of the processes that answer readers, for log ids (ADR 0029); Ids takes them modulo 16384.
        migrations.RunSQL(
            "CREATE SEQUENCE nms_tracking_process AS bigint",
            "DROP SEQUENCE nms_tracking_process",
        ),
    ]
