"""The sequence that all big tables take their ids from, in blocks of a thousand (kernel.big_tables)."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("kernel", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "CREATE SEQUENCE xtk_big_id AS bigint INCREMENT BY 1000 MINVALUE 1 START WITH 1",
            "DROP SEQUENCE xtk_big_id",
        )
    ]
