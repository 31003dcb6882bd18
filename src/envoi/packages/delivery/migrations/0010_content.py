import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0009_routing'),
    ]

    operations = [
        migrations.CreateModel(
            name='IncludeView',
            fields=[
                ('include_view_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=64, unique=True)),
                ('label', models.CharField(max_length=128)),
                ('labels', models.JSONField(default=dict)),
                ('html_source', models.TextField(blank=True, db_default='', default='')),
                ('text_source', models.TextField(blank=True, db_default='', default='')),
                ('built_in', models.BooleanField(default=False)),
                ('package', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('modified_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_include_view',
                'ordering': ('label',),
            },
        ),
        migrations.AddField(
            model_name='delivery',
            name='content',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.CreateModel(
            name='DeliveryAttachment',
            fields=[
                ('delivery_attachment_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=128)),
                ('content_type', models.CharField(max_length=128)),
                ('size', models.IntegerField()),
                ('content', models.BinaryField()),
                ('created_at', models.DateTimeField()),
                ('delivery', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='attachments', to='delivery.delivery')),
            ],
            options={
                'db_table': 'nms_delivery_attachment',
                'ordering': ('delivery_attachment_id',),
            },
        ),
        migrations.CreateModel(
            name='DeliveryContent',
            fields=[
                ('run', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='delivery.deliveryrun')),
                ('templates', models.JSONField(default=dict)),
                ('query', models.JSONField(default=dict)),
                ('settings', models.JSONField(default=dict)),
                ('links', models.JSONField(default=list)),
                ('frozen_at', models.DateTimeField()),
                ('delivery', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='delivery.delivery')),
            ],
            options={
                'db_table': 'nms_delivery_content',
            },
        ),
        migrations.CreateModel(
            name='DeliverySeed',
            fields=[
                ('broad_log_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('data', models.JSONField(default=list)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='delivery.deliveryrun')),
            ],
            options={
                'db_table': 'nms_delivery_seed',
            },
        ),
        migrations.CreateModel(
            name='TrackingUrl',
            fields=[
                ('tracking_url_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('type', models.SmallIntegerField(choices=[(1, 'e-mail click'), (2, 'open'), (3, 'opt-out'), (4, 'web'), (5, 'transaction'), (6, 'mirror page')], default=1)),
                ('url', models.TextField()),
                ('digest', models.CharField(max_length=32)),
                ('label', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('category', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('created_at', models.DateTimeField()),
                ('delivery', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='tracking_urls', to='delivery.delivery')),
            ],
            options={
                'db_table': 'nms_tracking_url',
                'constraints': [models.UniqueConstraint(fields=('delivery', 'type', 'digest'), name='nms_tracking_url_once')],
            },
        ),
        migrations.RunSQL(
            # Number 1 stands for opens (delivery.md §4.2); it is planted with the package.
            'ALTER TABLE nms_tracking_url ALTER COLUMN tracking_url_id RESTART WITH 1000',
            migrations.RunSQL.noop,
        ),
    ]
