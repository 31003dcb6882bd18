import django.db.models.deletion
from django.db import migrations, models

_LOGS = """
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'p' AND starts_with(c.relname, 'nms_tracking_log_') AND n.nspname = current_schema()
  LOOP
    EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS automatic smallint NOT NULL DEFAULT 0,
      ADD COLUMN IF NOT EXISTS flags smallint NOT NULL DEFAULT 0', name);
  END LOOP;
END $$
"""
_WEB = """
CREATE TABLE nms_web_tracking_log (
  id bigint NOT NULL, target_id bigint NOT NULL DEFAULT 0, run_id bigint NOT NULL DEFAULT 0,
  broad_log_id bigint NOT NULL DEFAULT 0, delivery_id bigint, url_id bigint NOT NULL, type smallint NOT NULL,
  log_date timestamptz NOT NULL, source_id uuid, user_agent_id bigint,
  automatic smallint NOT NULL DEFAULT 0, flags smallint NOT NULL DEFAULT 0,
  amount double precision NOT NULL DEFAULT 0, article integer NOT NULL DEFAULT 0,
  visitor_id bigint NOT NULL DEFAULT 0, PRIMARY KEY (target_id, log_date, id)
) PARTITION BY RANGE (log_date);
CREATE INDEX nms_web_tracking_log_id ON nms_web_tracking_log (id);
CREATE INDEX nms_web_tracking_log_delivery ON nms_web_tracking_log (delivery_id);
CREATE INDEX nms_web_tracking_log_nobody ON nms_web_tracking_log (source_id) WHERE target_id = 0;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0012_hits'),
        ('kernel', '0006_run_time_extension'),
    ]

    operations = [
        migrations.CreateModel(
            name='TrackingLogRcp',
            fields=[
                ('tracking_log_id', models.BigIntegerField(db_column='id', primary_key=True, serialize=False)),
                ('run_id', models.BigIntegerField()),
                ('broad_log_id', models.BigIntegerField()),
                ('type', models.SmallIntegerField(choices=[(1, 'e-mail click'), (2, 'open'), (3, 'opt-out'), (4, 'web'), (5, 'transaction'), (6, 'mirror page')])),
                ('log_date', models.DateTimeField()),
                ('source_id', models.UUIDField(blank=True, null=True)),
                ('automatic', models.SmallIntegerField(choices=[(-4, 'privacy proxy'), (-3, 'picture proxy of Yahoo'), (-2, 'picture proxy of Gmail'), (-1, 'mail privacy of Apple'), (0, 'reader'), (1, 'robot or script, by its name'), (2, 'security scanner, by its name'), (3, 'network of a security gateway'), (4, 'before the message was accepted'), (5, 'several links within seconds'), (6, 'link that nobody sees')], db_default=0, default=0)),
                ('flags', models.SmallIntegerField(db_default=0, default=0)),
            ],
            options={
                'db_table': 'nms_tracking_log_rcp',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='WebTrackingLog',
            fields=[
                ('web_tracking_log_id', models.BigIntegerField(db_column='id', primary_key=True, serialize=False)),
                ('target_id', models.BigIntegerField(default=0)),
                ('run_id', models.BigIntegerField(default=0)),
                ('broad_log_id', models.BigIntegerField(default=0)),
                ('type', models.SmallIntegerField(choices=[(1, 'e-mail click'), (2, 'open'), (3, 'opt-out'), (4, 'web'), (5, 'transaction'), (6, 'mirror page')])),
                ('log_date', models.DateTimeField()),
                ('source_id', models.UUIDField(blank=True, null=True)),
                ('automatic', models.SmallIntegerField(choices=[(-4, 'privacy proxy'), (-3, 'picture proxy of Yahoo'), (-2, 'picture proxy of Gmail'), (-1, 'mail privacy of Apple'), (0, 'reader'), (1, 'robot or script, by its name'), (2, 'security scanner, by its name'), (3, 'network of a security gateway'), (4, 'before the message was accepted'), (5, 'several links within seconds'), (6, 'link that nobody sees')], db_default=0, default=0)),
                ('flags', models.SmallIntegerField(db_default=0, default=0)),
                ('amount', models.FloatField(db_default=0, default=0)),
                ('article', models.IntegerField(db_default=0, default=0)),
                ('visitor_id', models.BigIntegerField(default=0)),
            ],
            options={
                'db_table': 'nms_web_tracking_log',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='DeliveryTracking',
            fields=[
                ('delivery_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('logs', models.BigIntegerField(db_default=0, default=0)),
                ('unaccounted', models.BigIntegerField(db_default=0, default=0)),
                ('errors', models.BigIntegerField(db_default=0, default=0)),
                ('automatic', models.BigIntegerField(db_default=0, default=0)),
                ('proxy_open', models.BigIntegerField(db_default=0, default=0)),
            ],
            options={
                'db_table': 'nms_delivery_tracking',
            },
        ),
        migrations.CreateModel(
            name='TrackingDay',
            fields=[
                ('day', models.DateField(primary_key=True, serialize=False)),
            ],
            options={
                'db_table': 'nms_tracking_day',
            },
        ),
        migrations.CreateModel(
            name='TrackingRule',
            fields=[
                ('tracking_rule_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=64, unique=True)),
                ('label', models.CharField(max_length=128)),
                ('kind', models.SmallIntegerField(choices=[(0, 'name of the program'), (1, 'network')], db_default=0, default=0)),
                ('value', models.CharField(max_length=512)),
                ('automatic', models.SmallIntegerField(choices=[(-4, 'privacy proxy'), (-3, 'picture proxy of Yahoo'), (-2, 'picture proxy of Gmail'), (-1, 'mail privacy of Apple'), (0, 'reader'), (1, 'robot or script, by its name'), (2, 'security scanner, by its name'), (3, 'network of a security gateway'), (4, 'before the message was accepted'), (5, 'several links within seconds'), (6, 'link that nobody sees')])),
                ('active', models.BooleanField(db_default=True, default=True)),
                ('version', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('built_in', models.BooleanField(default=False)),
                ('package', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('modified_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_tracking_rule',
                'ordering': ('tracking_rule_id',),
            },
        ),
        migrations.CreateModel(
            name='TrackingSource',
            fields=[
                ('source_id', models.UUIDField(primary_key=True, serialize=False)),
                ('storage', models.CharField(max_length=32)),
                ('target_id', models.BigIntegerField()),
                ('run_id', models.BigIntegerField()),
                ('broad_log_id', models.BigIntegerField()),
                ('delivery_id', models.BigIntegerField()),
                ('seen_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_tracking_source',
            },
        ),
        migrations.CreateModel(
            name='TrackingStats',
            fields=[
                ('tracking_stats_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('delivery_id', models.BigIntegerField()),
                ('url_id', models.BigIntegerField()),
                ('start', models.DateTimeField()),
                ('total_clicks', models.IntegerField(default=0)),
            ],
            options={
                'db_table': 'nms_tracking_stats',
            },
        ),
        migrations.CreateModel(
            name='UserAgent',
            fields=[
                ('user_agent_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('digest', models.CharField(max_length=32, unique=True)),
                ('name', models.CharField(blank=True, max_length=512)),
                ('browser', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('browser_version', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('os', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('os_version', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('device', models.SmallIntegerField(choices=[(0, 'unknown'), (1, 'desktop'), (2, 'phone'), (3, 'tablet'), (4, 'television'), (5, 'machine')], db_default=0, default=0)),
                ('automatic', models.SmallIntegerField(choices=[(-4, 'privacy proxy'), (-3, 'picture proxy of Yahoo'), (-2, 'picture proxy of Gmail'), (-1, 'mail privacy of Apple'), (0, 'reader'), (1, 'robot or script, by its name'), (2, 'security scanner, by its name'), (3, 'network of a security gateway'), (4, 'before the message was accepted'), (5, 'several links within seconds'), (6, 'link that nobody sees')], db_default=0, default=0)),
                ('rules', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_user_agent',
            },
        ),
        migrations.CreateModel(
            name='UserAgentsStats',
            fields=[
                ('user_agents_stats_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('day', models.DateField()),
                ('browser', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('browser_version', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('os', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('os_version', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('device', models.SmallIntegerField(choices=[(0, 'unknown'), (1, 'desktop'), (2, 'phone'), (3, 'tablet'), (4, 'television'), (5, 'machine')], db_default=0, default=0)),
                ('visitors', models.IntegerField(default=0)),
                ('pages', models.IntegerField(default=0)),
                ('visitors_of_the_day', models.IntegerField(default=0)),
            ],
            options={
                'db_table': 'nms_user_agents_stats',
            },
        ),
        migrations.AddField(
            model_name='trackingurl',
            name='folder',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='kernel.folder'),
        ),
        migrations.AddConstraint(
            model_name='trackingurl',
            constraint=models.UniqueConstraint(condition=models.Q(('delivery__isnull', True), ('type__in', (4, 5))), fields=('digest',), name='nms_tracking_url_page'),
        ),
        migrations.AddIndex(
            model_name='deliverytracking',
            index=models.Index(condition=models.Q(('unaccounted__gt', 0)), fields=['delivery_id'], name='nms_delivery_tracking_due'),
        ),
        migrations.AddIndex(
            model_name='trackingsource',
            index=models.Index(fields=['seen_at'], name='nms_tracking_source_seen'),
        ),
        migrations.AddIndex(
            model_name='trackingstats',
            index=models.Index(fields=['start'], name='nms_tracking_stats_start'),
        ),
        migrations.AddConstraint(
            model_name='trackingstats',
            constraint=models.UniqueConstraint(fields=('delivery_id', 'url_id', 'start'), name='nms_tracking_stats_once'),
        ),
        migrations.AddConstraint(
            model_name='useragentsstats',
            constraint=models.UniqueConstraint(fields=('day', 'browser', 'browser_version', 'os', 'os_version', 'device'), name='nms_user_agents_stats_once'),
        ),
        migrations.RunSQL(_LOGS, migrations.RunSQL.noop),
        migrations.RunSQL(_WEB, 'DROP TABLE nms_web_tracking_log'),
    ]
