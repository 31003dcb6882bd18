"""Imports of files: jobs, their batches, what was rejected."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0002_profiles'),
    ]

    operations = [
        migrations.CreateModel(
            name='Import',
            fields=[
                ('import_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('label', models.CharField(max_length=255)),
                ('state', models.SmallIntegerField(choices=[(0, 'being prepared'), (1, 'waiting'), (2, 'reading the file'), (3, 'normalising'), (4, 'merging'), (5, 'finished'), (6, 'failed'), (7, 'stopped'), (8, 'being undone'), (9, 'undone')], default=0)),
                ('schema', models.CharField(default='nms:recipient', max_length=64)),
                ('host', models.CharField(max_length=255)),
                ('path', models.TextField()),
                ('file_name', models.CharField(max_length=255)),
                ('file_size', models.BigIntegerField()),
                ('file_changed_ns', models.BigIntegerField()),
                ('format', models.JSONField()),
                ('plan', models.JSONField(default=dict)),
                ('read_offset', models.BigIntegerField(default=0)),
                ('read_line', models.BigIntegerField(default=0)),
                ('last_line', models.BigIntegerField(default=0)),
                ('cleaned_line', models.BigIntegerField(default=0)),
                ('merged_line', models.BigIntegerField(default=0)),
                ('undone_batch', models.BigIntegerField(blank=True, null=True)),
                ('rows', models.BigIntegerField(default=0)),
                ('inserted', models.BigIntegerField(default=0)),
                ('updated', models.BigIntegerField(default=0)),
                ('unchanged', models.BigIntegerField(default=0)),
                ('deleted', models.BigIntegerField(default=0)),
                ('doubles', models.BigIntegerField(default=0)),
                ('skipped', models.BigIntegerField(default=0)),
                ('rejected', models.BigIntegerField(default=0)),
                ('warnings', models.BigIntegerField(default=0)),
                ('undone', models.BigIntegerField(default=0)),
                ('kept', models.BigIntegerField(default=0)),
                ('error', models.TextField(blank=True, default='')),
                ('cancel_requested', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField()),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('version', models.BigIntegerField(default=0)),
                ('folder', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='kernel.folder')),
                ('operator', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'xtk_import',
                'ordering': ('-import_id',),
            },
        ),
        migrations.CreateModel(
            name='ImportBatch',
            fields=[
                ('batch_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('first_line', models.BigIntegerField()),
                ('last_line', models.BigIntegerField()),
                ('at', models.DateTimeField()),
                ('blocks', models.JSONField(default=list)),
                ('inserted', models.BigIntegerField()),
                ('updated', models.BigIntegerField()),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='batches', to='delivery.import')),
            ],
            options={
                'db_table': 'xtk_import_batch',
            },
        ),
        migrations.CreateModel(
            name='ImportReject',
            fields=[
                ('reject_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('line', models.BigIntegerField()),
                ('column', models.CharField(blank=True, default='', max_length=128)),
                ('value', models.CharField(blank=True, default='', max_length=255)),
                ('reason', models.CharField(max_length=255)),
                ('warning', models.BooleanField(default=False)),
                ('while_reading', models.BooleanField(default=False)),
                ('log_at', models.DateTimeField()),
                ('job', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='rejects', to='delivery.import')),
            ],
            options={
                'db_table': 'xtk_import_reject',
            },
        ),
        migrations.AddIndex(
            model_name='import',
            index=models.Index(fields=['state'], name='xtk_import_state'),
        ),
        migrations.AddIndex(
            model_name='importreject',
            index=models.Index(fields=['job', 'line'], name='xtk_import_reject_line'),
        ),
        migrations.AddIndex(
            model_name='importreject',
            index=models.Index(fields=['log_at'], name='xtk_import_reject_log'),
        ),
    ]
