import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0013_tracking'),
    ]

    operations = [
        migrations.CreateModel(
            name='OptOut',
            fields=[
                ('opt_out_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('date', models.DateTimeField()),
                ('way', models.SmallIntegerField(choices=[(0, 'unsubscription page'), (1, 'one click in the mail program'), (2, 'preferences page')], db_default=0, default=0)),
                ('storage', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('broad_log_id', models.BigIntegerField(db_default=0, default=0)),
                ('address', models.CharField(blank=True, db_default='', default='', max_length=254)),
                ('source_address', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('reason', models.CharField(blank=True, choices=[('', 'not said'), ('tooMany', 'too many messages'), ('notRelevant', 'not of interest'), ('neverAsked', 'never asked for it'), ('other', 'another reason')], db_default='', default='', max_length=16)),
                ('remark', models.CharField(blank=True, db_default='', default='', max_length=500)),
                ('undone_at', models.DateTimeField(blank=True, null=True)),
                ('batch_id', models.BigIntegerField()),
            ],
            options={
                'db_table': 'nms_opt_out',
            },
        ),
        migrations.CreateModel(
            name='ReaderRequest',
            fields=[
                ('reader_request_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('kind', models.SmallIntegerField(choices=[(0, 'subscription'), (1, 'change of address'), (2, 'invitation by a friend')], db_default=0, default=0)),
                ('email', models.CharField(max_length=254)),
                ('first_name', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('last_name', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('language', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('purpose', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('consent', models.TextField(blank=True, db_default='', default='')),
                ('broad_log_id', models.BigIntegerField(db_default=0, default=0)),
                ('source_address', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('done_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'db_table': 'nms_reader_request',
            },
        ),
        migrations.CreateModel(
            name='ReaderText',
            fields=[
                ('reader_text_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('page', models.CharField(max_length=16)),
                ('language', models.CharField(max_length=16)),
                ('title', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('intro', models.TextField(blank=True, db_default='', default='')),
                ('legal', models.TextField(blank=True, db_default='', default='')),
                ('modified_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_reader_text',
            },
        ),
        migrations.AddField(
            model_name='service',
            name='public',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddIndex(
            model_name='trackinginbox',
            index=models.Index(condition=models.Q(('kind', 2)), fields=['segment'], name='nms_tracking_inbox_leaving'),
        ),
        migrations.AddField(
            model_name='optout',
            name='delivery',
            field=models.ForeignKey(db_constraint=False, db_index=False, default=0, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='delivery.delivery'),
        ),
        migrations.AddField(
            model_name='optout',
            name='recipient',
            field=models.ForeignKey(db_constraint=False, db_index=False, default=0, on_delete=django.db.models.deletion.CASCADE, related_name='opt_outs', to='delivery.recipient'),
        ),
        migrations.AddField(
            model_name='optout',
            name='service',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='opt_outs', to='delivery.service'),
        ),
        migrations.AddField(
            model_name='readerrequest',
            name='recipient',
            field=models.ForeignKey(db_constraint=False, default=0, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='delivery.recipient'),
        ),
        migrations.AddField(
            model_name='readerrequest',
            name='service',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='delivery.service'),
        ),
        migrations.AddField(
            model_name='readerrequest',
            name='visitor',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='delivery.visitor'),
        ),
        migrations.AddConstraint(
            model_name='readertext',
            constraint=models.UniqueConstraint(fields=('page', 'language'), name='nms_reader_text_once'),
        ),
        migrations.AddIndex(
            model_name='optout',
            index=models.Index(fields=['recipient'], name='nms_opt_out_recipient'),
        ),
        migrations.AddIndex(
            model_name='optout',
            index=models.Index(fields=['broad_log_id'], name='nms_opt_out_message'),
        ),
        migrations.AddIndex(
            model_name='optout',
            index=models.Index(fields=['batch_id'], name='nms_opt_out_batch'),
        ),
        migrations.AddIndex(
            model_name='readerrequest',
            index=models.Index(fields=['email', 'created_at'], name='nms_reader_request_email'),
        ),
        migrations.AddIndex(
            model_name='readerrequest',
            index=models.Index(fields=['source_address', 'created_at'], name='nms_reader_request_source'),
        ),
        migrations.AddIndex(
            model_name='readerrequest',
            index=models.Index(fields=['expires_at'], name='nms_reader_request_over'),
        ),
        migrations.AddIndex(
            model_name='readerrequest',
            index=models.Index(condition=models.Q(('broad_log_id__gt', 0)), fields=['broad_log_id'], name='nms_reader_request_log'),
        ),
    ]
