import django.db.models.deletion
from django.db import migrations, models

# The values of a coupon are a partition of their own, made and dropped with the coupon (services/coupons).
_VALUES = """
CREATE TABLE nms_coupon_value (
  id bigint NOT NULL, coupon_id bigint NOT NULL, value varchar(128) NOT NULL,
  broad_log_id bigint, run_id bigint, delivery_id bigint, assigned_at timestamptz,
  PRIMARY KEY (coupon_id, id), CONSTRAINT nms_coupon_value_once UNIQUE (coupon_id, value)
) PARTITION BY LIST (coupon_id);
CREATE INDEX nms_coupon_value_free ON nms_coupon_value (coupon_id, id) WHERE broad_log_id IS NULL;
CREATE INDEX nms_coupon_value_message ON nms_coupon_value (broad_log_id) WHERE broad_log_id IS NOT NULL;
CREATE INDEX nms_coupon_value_run ON nms_coupon_value (run_id) WHERE run_id IS NOT NULL;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0015_editor'),
        ('kernel', '0006_run_time_extension'),
    ]

    operations = [
        migrations.CreateModel(
            name='CouponValue',
            fields=[
                ('coupon_value_id', models.BigIntegerField(db_column='id', primary_key=True, serialize=False)),
                ('coupon_id', models.BigIntegerField()),
                ('value', models.CharField(max_length=128)),
                ('broad_log_id', models.BigIntegerField(blank=True, null=True)),
                ('run_id', models.BigIntegerField(blank=True, null=True)),
                ('delivery_id', models.BigIntegerField(blank=True, null=True)),
                ('assigned_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'db_table': 'nms_coupon_value',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='UrlMemory',
            fields=[
                ('url_memory_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('digest', models.CharField(max_length=32, unique=True)),
                ('url', models.TextField()),
                ('tracked', models.BooleanField(default=True)),
                ('label', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('category', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('modified_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_url_memory',
            },
        ),
        migrations.AddField(
            model_name='delivery',
            name='variants',
            field=models.JSONField(blank=True, db_default={}, default=dict),
        ),
        migrations.CreateModel(
            name='AbTest',
            fields=[
                ('ab_test_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('criterion', models.CharField(max_length=64)),
                ('wait_seconds', models.IntegerField()),
                ('least_messages', models.IntegerField(default=0)),
                ('tie', models.CharField(max_length=8)),
                ('automatic', models.BooleanField(default=True)),
                ('workflow_id', models.BigIntegerField(blank=True, null=True)),
                ('final_id', models.BigIntegerField(blank=True, null=True)),
                ('decision', models.JSONField(blank=True, default=dict)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('delivery', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='ab_test', to='delivery.delivery')),
                ('winner', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='delivery.delivery')),
            ],
            options={
                'db_table': 'nms_ab_test',
            },
        ),
        migrations.CreateModel(
            name='AbVersion',
            fields=[
                ('ab_version_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('letter', models.CharField(max_length=1)),
                ('share', models.IntegerField()),
                ('delivery', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='ab_version', to='delivery.delivery')),
                ('test', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='delivery.abtest')),
            ],
            options={
                'db_table': 'nms_ab_version',
                'ordering': ('letter',),
            },
        ),
        migrations.CreateModel(
            name='Coupon',
            fields=[
                ('coupon_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=64, unique=True)),
                ('label', models.CharField(max_length=128)),
                ('type', models.SmallIntegerField(choices=[(0, 'one value for everybody'), (1, 'a value for each')], default=0)),
                ('value', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('start_date', models.DateTimeField(blank=True, null=True)),
                ('end_date', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('modified_at', models.DateTimeField()),
                ('folder', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='kernel.folder')),
            ],
            options={
                'db_table': 'nms_coupon',
                'ordering': ('label', 'coupon_id'),
            },
        ),
        migrations.RunSQL(_VALUES, 'DROP TABLE nms_coupon_value'),
    ]
