from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0005_sending'),
    ]

    operations = [
        migrations.CreateModel(
            name='DeliveryRetry',
            fields=[
                ('pk', models.CompositePrimaryKey('run_id', 'id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('run_id', models.BigIntegerField()),
                ('id', models.BigIntegerField()),
                ('delivery_id', models.BigIntegerField()),
                ('attempts', models.SmallIntegerField(db_default=0, default=0)),
                ('first_at', models.DateTimeField(blank=True, null=True)),
                ('last_at', models.DateTimeField(blank=True, null=True)),
                ('next_at', models.DateTimeField()),
                ('part_id', models.BigIntegerField(blank=True, null=True)),
                ('held', models.BooleanField(default=False)),
                ('repeat', models.BooleanField(default=False)),
                ('doubts', models.SmallIntegerField(db_default=0, default=0)),
            ],
            options={
                'db_table': 'nms_delivery_retry',
            },
        ),
        migrations.CreateModel(
            name='DeliveryStat',
            fields=[
                ('delivery_stat_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('delivery_id', models.BigIntegerField()),
                ('slice', models.DateTimeField()),
                ('mx', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('public_id', models.IntegerField(default=0)),
                ('domain', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('sent', models.IntegerField(default=0)),
                ('failed', models.IntegerField(default=0)),
                ('deferred', models.IntegerField(default=0)),
                ('bytes', models.BigIntegerField(default=0)),
            ],
            options={
                'db_table': 'nms_delivery_stat',
            },
        ),
        migrations.CreateModel(
            name='SenderProcess',
            fields=[
                ('journal', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('host', models.CharField(max_length=255)),
                ('pid', models.IntegerField()),
                ('boot', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('started_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField()),
                ('place', models.BigIntegerField(default=0)),
                ('settled', models.BigIntegerField(default=0)),
            ],
            options={
                'db_table': 'nms_sender',
            },
        ),
        migrations.AddIndex(
            model_name='deliveryretry',
            index=models.Index(condition=models.Q(('held', False), ('part_id__isnull', True)), fields=['next_at'], name='nms_delivery_retry_due'),
        ),
        migrations.AddIndex(
            model_name='deliveryretry',
            index=models.Index(condition=models.Q(('part_id__isnull', False)), fields=['part_id'], name='nms_delivery_retry_part'),
        ),
        migrations.AddIndex(
            model_name='deliveryretry',
            index=models.Index(fields=['delivery_id'], name='nms_delivery_retry_delivery'),
        ),
        migrations.AddIndex(
            model_name='deliverystat',
            index=models.Index(fields=['slice'], name='nms_delivery_stat_slice'),
        ),
        migrations.AddConstraint(
            model_name='deliverystat',
            constraint=models.UniqueConstraint(fields=('delivery_id', 'slice', 'mx', 'public_id', 'domain'), name='nms_delivery_stat_once'),
        ),
    ]
