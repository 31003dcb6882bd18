import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0007_typologies'),
    ]

    operations = [
        migrations.CreateModel(
            name='InboundMail',
            fields=[
                ('inbound_mail_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('source', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('kind', models.SmallIntegerField(choices=[(0, 'other'), (1, 'bounce'), (2, 'complaint'), (3, 'automatic reply'), (4, 'reply'), (5, 'unsubscription'), (6, 'unreadable')], db_default=0, default=0)),
                ('outcome', models.SmallIntegerField(choices=[(0, 'nothing to do'), (1, 'taken into account'), (2, 'no message of ours'), (3, 'forwarded'), (4, 'kept')], db_default=0, default=0)),
                ('sender', models.CharField(blank=True, db_default='', default='', max_length=254)),
                ('subject', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('address', models.CharField(blank=True, db_default='', default='', max_length=254)),
                ('delivery_id', models.BigIntegerField(blank=True, null=True)),
                ('run_id', models.BigIntegerField(blank=True, null=True)),
                ('broad_log_id', models.BigIntegerField(blank=True, null=True)),
                ('failure_type', models.SmallIntegerField(choices=[(0, 'not defined'), (1, 'ignored'), (2, 'soft'), (3, 'hard')], db_default=0, default=0)),
                ('failure_reason', models.SmallIntegerField(choices=[(0, 'not defined'), (1, 'user unknown'), (2, 'invalid domain'), (3, 'unreachable'), (4, 'account disabled'), (5, 'mailbox full'), (6, 'not connected'), (7, 'address not specified'), (8, 'denylisted address'), (9, 'address in quarantine'), (10, 'double'), (11, 'excluded by a rule'), (12, 'excluded after arbitration'), (14, 'address of bad quality'), (15, 'unqualified address'), (16, 'not eligible for the offers'), (17, 'target limited in size'), (20, 'refused'), (25, 'error ignored'), (127, 'control address')], db_default=0, default=0)),
                ('rule', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('excerpt', models.TextField(blank=True, db_default='', default='')),
                ('content', models.BinaryField(blank=True, null=True)),
                ('received_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_inbound_mail',
                'ordering': ('-inbound_mail_id',),
            },
        ),
        migrations.CreateModel(
            name='MailRule',
            fields=[
                ('mail_rule_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=96)),
                ('rank', models.IntegerField()),
                ('name', models.CharField(max_length=64)),
                ('kind', models.CharField(default='text', max_length=8)),
                ('failure_type', models.SmallIntegerField(choices=[(0, 'not defined'), (1, 'ignored'), (2, 'soft'), (3, 'hard')], db_default=0, default=0)),
                ('failure_reason', models.SmallIntegerField(choices=[(0, 'not defined'), (1, 'user unknown'), (2, 'invalid domain'), (3, 'unreachable'), (4, 'account disabled'), (5, 'mailbox full'), (6, 'not connected'), (7, 'address not specified'), (8, 'denylisted address'), (9, 'address in quarantine'), (10, 'double'), (11, 'excluded by a rule'), (12, 'excluded after arbitration'), (14, 'address of bad quality'), (15, 'unqualified address'), (16, 'not eligible for the offers'), (17, 'target limited in size'), (20, 'refused'), (25, 'error ignored'), (127, 'control address')], db_default=0, default=0)),
                ('patterns', models.JSONField(blank=True, default=list)),
                ('built_in', models.BooleanField(db_default=False, default=False)),
                ('active', models.BooleanField(db_default=True, default=True)),
                ('modified_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_mail_rule',
                'ordering': ('rank', 'mail_rule_id'),
            },
        ),
        migrations.CreateModel(
            name='MailRuleSet',
            fields=[
                ('mail_rule_set_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=64, unique=True)),
                ('label', models.CharField(max_length=128)),
                ('version', models.IntegerField(default=0)),
                ('revision', models.IntegerField(db_default=0, default=0)),
                ('modified_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_mail_rule_set',
            },
        ),
        migrations.AddField(
            model_name='broadlogmsg',
            name='rule',
            field=models.CharField(blank=True, db_default='', default='', max_length=64),
        ),
        migrations.AddIndex(
            model_name='address',
            index=models.Index(condition=models.Q(('status', 1)), fields=['address', 'type'], name='nms_address_errors'),
        ),
        migrations.AddIndex(
            model_name='broadlogmsg',
            index=models.Index(fields=['qualification', '-occurrences'], name='nms_broad_log_msg_open'),
        ),
        migrations.AddIndex(
            model_name='inboundmail',
            index=models.Index(fields=['kind', '-inbound_mail_id'], name='nms_inbound_mail_kind'),
        ),
        migrations.AddIndex(
            model_name='inboundmail',
            index=models.Index(fields=['received_at'], name='nms_inbound_mail_age'),
        ),
        migrations.AddIndex(
            model_name='inboundmail',
            index=models.Index(fields=['delivery_id'], name='nms_inbound_mail_delivery'),
        ),
        migrations.AddField(
            model_name='mailrule',
            name='rule_set',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rules', to='delivery.mailruleset'),
        ),
        migrations.AddConstraint(
            model_name='mailrule',
            constraint=models.UniqueConstraint(fields=('rule_set', 'key'), name='nms_mail_rule_once'),
        ),
    ]
