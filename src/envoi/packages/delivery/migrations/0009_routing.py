import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0008_inbound'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='DkimKey',
            fields=[
                ('dkim_key_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('domain', models.CharField(max_length=253)),
                ('selector', models.CharField(max_length=63)),
                ('algorithm', models.CharField(choices=[('rsa', 'RSA 2048'), ('ed25519', 'Ed25519')], max_length=8)),
                ('private_key', models.TextField()),
                ('record', models.TextField()),
                ('active', models.BooleanField(db_default=False, default=False)),
                ('verified_at', models.DateTimeField(blank=True, null=True)),
                ('retired_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_dkim_key',
                'ordering': ('domain', '-dkim_key_id'),
            },
        ),
        migrations.CreateModel(
            name='DomainRule',
            fields=[
                ('domain_rule_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('mask', models.CharField(max_length=255, unique=True)),
                ('position', models.IntegerField()),
                ('relay_host', models.CharField(max_length=255)),
                ('relay_port', models.IntegerField(db_default=25, default=25)),
                ('modified_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_domain_rule',
                'ordering': ('position', 'domain_rule_id'),
            },
        ),
        migrations.CreateModel(
            name='MxBlock',
            fields=[
                ('mx_block_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('mx', models.CharField(max_length=255)),
                ('public_id', models.IntegerField(db_default=0, default=0)),
                ('reason', models.TextField(blank=True, db_default='', default='')),
                ('since', models.DateTimeField()),
                ('until', models.DateTimeField()),
                ('lifted_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'db_table': 'nms_mx_block',
            },
        ),
        migrations.CreateModel(
            name='MxRule',
            fields=[
                ('mx_rule_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('mask', models.CharField(max_length=255)),
                ('position', models.IntegerField()),
                ('public_ids', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('shared', models.BooleanField(db_default=False, default=False)),
                ('connections', models.IntegerField(db_default=30, default=30)),
                ('per_connection', models.IntegerField(db_default=5, default=5)),
                ('per_hour', models.IntegerField(blank=True, null=True)),
                ('connect_timeout', models.IntegerField(db_default=10, default=10)),
                ('command_timeout', models.IntegerField(db_default=60, default=60)),
                ('data_timeout', models.IntegerField(db_default=240, default=240)),
                ('tls', models.SmallIntegerField(choices=[(0, 'where offered'), (1, 'never'), (2, 'always')], db_default=0, default=0)),
                ('active', models.BooleanField(db_default=True, default=True)),
                ('shipped', models.CharField(blank=True, max_length=64, null=True, unique=True)),
                ('changed', models.BooleanField(db_default=False, default=False)),
                ('modified_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_mx_rule',
                'ordering': ('position', 'mx_rule_id'),
            },
        ),
        migrations.CreateModel(
            name='SendingDomain',
            fields=[
                ('sending_domain_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('domain', models.CharField(max_length=253, unique=True)),
                ('spf', models.SmallIntegerField(choices=[(0, 'not looked at'), (1, 'good'), (2, 'warning'), (3, 'bad')], db_default=0, default=0)),
                ('dkim', models.SmallIntegerField(choices=[(0, 'not looked at'), (1, 'good'), (2, 'warning'), (3, 'bad')], db_default=0, default=0)),
                ('dmarc', models.SmallIntegerField(choices=[(0, 'not looked at'), (1, 'good'), (2, 'warning'), (3, 'bad')], db_default=0, default=0)),
                ('mx', models.SmallIntegerField(choices=[(0, 'not looked at'), (1, 'good'), (2, 'warning'), (3, 'bad')], db_default=0, default=0)),
                ('findings', models.JSONField(blank=True, default=list)),
                ('checked_at', models.DateTimeField(blank=True, null=True)),
                ('modified_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_sending_domain',
                'ordering': ('domain',),
            },
        ),
        migrations.CreateModel(
            name='SendingIp',
            fields=[
                ('ip_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('address', models.CharField(blank=True, db_default='', default='', max_length=45)),
                ('public_id', models.IntegerField(unique=True)),
                ('host', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('helo', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('weight', models.IntegerField(db_default=1, default=1)),
                ('affinities', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('include_domains', models.TextField(blank=True, db_default='', default='')),
                ('exclude_domains', models.TextField(blank=True, db_default='', default='')),
                ('warm_up_began', models.DateField(blank=True, null=True)),
                ('warm_up_steps', models.TextField(blank=True, db_default='200, 500, 1000, 2000, 5000, 10000, 20000, 40000, 70000, 100000', default='200, 500, 1000, 2000, 5000, 10000, 20000, 40000, 70000, 100000')),
                ('active', models.BooleanField(db_default=True, default=True)),
                ('modified_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_ip',
                'ordering': ('public_id',),
            },
        ),
        migrations.AddField(
            model_name='dkimkey',
            name='created_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='mxblock',
            name='lifted_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='dkimkey',
            constraint=models.UniqueConstraint(fields=('domain', 'selector'), name='nms_dkim_key_once'),
        ),
        migrations.AddConstraint(
            model_name='mxblock',
            constraint=models.UniqueConstraint(fields=('mx', 'public_id'), name='nms_mx_block_once'),
        ),
    ]
