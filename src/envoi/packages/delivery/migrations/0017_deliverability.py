from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0016_variants'),
    ]

    operations = [
        migrations.CreateModel(
            name='DeliverabilityUpdate',
            fields=[
                ('deliverability_update_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('version', models.BigIntegerField(unique=True)),
                ('issued_at', models.DateTimeField()),
                ('fetched_at', models.DateTimeField()),
                ('applied_at', models.DateTimeField(blank=True, null=True)),
                ('url', models.TextField()),
                ('content', models.JSONField(default=dict)),
                ('outcome', models.JSONField(default=dict)),
            ],
            options={
                'db_table': 'nms_deliverability_update',
                'ordering': ('-version',),
            },
        ),
    ]
