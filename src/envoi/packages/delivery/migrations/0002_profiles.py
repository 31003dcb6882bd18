"""Profiles: recipients, visitors, seeds, services, lists, mappings, suppression, consent."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


# A distributed database wants the column that it distributes by in each key (architecture §2.6). Django knows
# one column as the key of these tables: the id, which is unique because ids are handed out once.
KEYS = """
ALTER TABLE nms_subscription DROP CONSTRAINT nms_subscription_pkey;
ALTER TABLE nms_subscription ADD CONSTRAINT nms_subscription_pkey PRIMARY KEY (recipient_id, service_id);
CREATE INDEX nms_subscription_id ON nms_subscription (subscription_id);
CREATE INDEX nms_subscription_service ON nms_subscription (service_id, subscription_id);
CREATE INDEX nms_subscription_expiration ON nms_subscription (expiration_date)
  WHERE expiration_date IS NOT NULL;
ALTER TABLE nms_sub_histo DROP CONSTRAINT nms_sub_histo_pkey;
ALTER TABLE nms_sub_histo ADD CONSTRAINT nms_sub_histo_pkey PRIMARY KEY (recipient_id, sub_histo_id);
CREATE INDEX nms_sub_histo_id ON nms_sub_histo (sub_histo_id);
CREATE INDEX nms_sub_histo_service ON nms_sub_histo (service_id, date);
CREATE INDEX nms_sub_histo_confirmation ON nms_sub_histo (batch_id) WHERE confirmation = 1;
ALTER TABLE nms_rcp_grp_rel DROP CONSTRAINT nms_rcp_grp_rel_pkey;
ALTER TABLE nms_rcp_grp_rel ADD CONSTRAINT nms_rcp_grp_rel_pkey PRIMARY KEY (group_id, recipient_id);
CREATE INDEX nms_rcp_grp_rel_id ON nms_rcp_grp_rel (rcp_grp_rel_id);
CREATE INDEX nms_rcp_grp_rel_recipient ON nms_rcp_grp_rel (recipient_id);
ALTER TABLE nms_consent DROP CONSTRAINT nms_consent_pkey;
ALTER TABLE nms_consent ADD CONSTRAINT nms_consent_pkey PRIMARY KEY (recipient_id, consent_id);
CREATE INDEX nms_consent_id ON nms_consent (consent_id);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0001_paused_workflow'),
        ('kernel', '0004_enumerations_accounts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Country',
            fields=[
                ('iso_a2', models.CharField(max_length=2, primary_key=True, serialize=False)),
                ('iso_a3', models.CharField(blank=True, default='', max_length=3)),
                ('iso_num', models.CharField(blank=True, default='', max_length=3)),
                ('label', models.CharField(max_length=128)),
                ('labels', models.JSONField(default=dict)),
            ],
            options={
                'db_table': 'nms_country',
                'ordering': ('label',),
            },
        ),
        migrations.CreateModel(
            name='DeliveryMapping',
            fields=[
                ('delivery_mapping_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=64, unique=True)),
                ('label', models.CharField(max_length=128)),
                ('labels', models.JSONField(default=dict)),
                ('schema', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('storage', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('broad_log_schema', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('broad_log_excl_schema', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('tracking_log_schema', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('forecast_log_schema', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('recipient_path', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('addresses', models.JSONField(blank=True, default=dict)),
                ('built_in', models.BooleanField(default=False)),
                ('package', models.CharField(blank=True, db_default='', default='', max_length=64)),
            ],
            options={
                'db_table': 'nms_delivery_mapping',
                'ordering': ('label',),
                'constraints': [models.UniqueConstraint(condition=models.Q(('storage', ''), _negated=True), fields=('storage',), name='nms_delivery_mapping_storage')],
            },
        ),
        migrations.CreateModel(
            name='Group',
            fields=[
                ('group_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=64, unique=True)),
                ('label', models.CharField(max_length=128)),
                ('description', models.TextField(blank=True, default='')),
                ('type', models.SmallIntegerField(choices=[(0, 'group'), (1, 'list')], default=0)),
                ('schema', models.CharField(default='nms:recipient', max_length=64)),
                ('columns', models.JSONField(blank=True, default=list)),
                ('expiration_date', models.DateTimeField(blank=True, null=True)),
                ('delete_status', models.SmallIntegerField(db_default=0, default=0)),
                ('member_count', models.BigIntegerField(blank=True, null=True)),
                ('counted_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('modified_at', models.DateTimeField()),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('folder', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='kernel.folder')),
            ],
            options={
                'db_table': 'nms_group',
                'ordering': ('label', 'group_id'),
            },
        ),
        migrations.CreateModel(
            name='Recipient',
            fields=[
                ('salutation', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('first_name', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('middle_name', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('last_name', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('company', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('birth_date', models.DateField(blank=True, null=True)),
                ('gender', models.SmallIntegerField(choices=[(0, 'not indicated'), (1, 'male'), (2, 'female')], db_default=0, default=0)),
                ('language', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('email', models.CharField(blank=True, db_default='', default='', max_length=254)),
                ('email_format', models.SmallIntegerField(choices=[(0, 'undefined'), (1, 'text'), (2, 'HTML')], db_default=0, default=0)),
                ('phone', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('mobile_phone', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('fax', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('address1', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('address2', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('address3', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('address4', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('zip_code', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('city', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('state_code', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('country_code', models.CharField(blank=True, db_default='XX', default='XX', max_length=2)),
                ('recipient_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('account', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('domain', models.GeneratedField(db_persist=True, expression=models.Func('email', models.Value('@'), models.Value(2), function='split_part'), max_length=254, output_field=models.CharField(max_length=254))),
                ('black_list', models.SmallIntegerField(choices=[(0, 'no'), (1, 'yes')], db_default=0, default=0)),
                ('black_list_email', models.SmallIntegerField(choices=[(0, 'no'), (1, 'yes')], db_default=0, default=0)),
                ('black_list_mobile', models.SmallIntegerField(choices=[(0, 'no'), (1, 'yes')], db_default=0, default=0)),
                ('black_list_phone', models.SmallIntegerField(choices=[(0, 'no'), (1, 'yes')], db_default=0, default=0)),
                ('black_list_postal_mail', models.SmallIntegerField(choices=[(0, 'no'), (1, 'yes')], db_default=0, default=0)),
                ('black_list_fax', models.SmallIntegerField(choices=[(0, 'no'), (1, 'yes')], db_default=0, default=0)),
                ('addr_error_count', models.IntegerField(db_default=0, default=0)),
                ('addr_quality', models.SmallIntegerField(choices=[(0, 'not checked'), (1, 'valid'), (2, 'corrected'), (3, 'invalid')], db_default=0, default=0)),
                ('addr_last_check', models.DateTimeField(blank=True, null=True)),
                ('origin', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('image', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('text1', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('text2', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('text3', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('created_at', models.DateTimeField()),
                ('modified_at', models.DateTimeField()),
                ('created_by', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('folder', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='kernel.folder')),
                ('modified_by', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'nms_recipient',
            },
        ),
        migrations.CreateModel(
            name='RcpGrpRel',
            fields=[
                ('rcp_grp_rel_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('group', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='members', to='delivery.group')),
                ('recipient', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='delivery.recipient')),
            ],
            options={
                'db_table': 'nms_rcp_grp_rel',
            },
        ),
        migrations.CreateModel(
            name='Consent',
            fields=[
                ('consent_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('purpose', models.CharField(max_length=64)),
                ('channel', models.SmallIntegerField(choices=[(0, 'e-mail'), (1, 'SMS'), (2, 'phone'), (3, 'direct mail'), (4, 'fax')])),
                ('action', models.SmallIntegerField(choices=[(0, 'withdrawn'), (1, 'given')])),
                ('date', models.DateTimeField()),
                ('source', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('proof', models.TextField(blank=True, db_default='', default='')),
                ('source_address', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('operator', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('recipient', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='consents', to='delivery.recipient')),
            ],
            options={
                'db_table': 'nms_consent',
            },
        ),
        migrations.CreateModel(
            name='SeedMember',
            fields=[
                ('salutation', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('first_name', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('middle_name', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('last_name', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('company', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('birth_date', models.DateField(blank=True, null=True)),
                ('gender', models.SmallIntegerField(choices=[(0, 'not indicated'), (1, 'male'), (2, 'female')], db_default=0, default=0)),
                ('language', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('email', models.CharField(blank=True, db_default='', default='', max_length=254)),
                ('email_format', models.SmallIntegerField(choices=[(0, 'undefined'), (1, 'text'), (2, 'HTML')], db_default=0, default=0)),
                ('phone', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('mobile_phone', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('fax', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('address1', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('address2', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('address3', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('address4', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('zip_code', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('city', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('state_code', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('country_code', models.CharField(blank=True, db_default='XX', default='XX', max_length=2)),
                ('seed_member_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('label', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('delivery_id', models.BigIntegerField(blank=True, null=True)),
                ('operation_id', models.BigIntegerField(blank=True, null=True)),
                ('active', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField()),
                ('modified_at', models.DateTimeField()),
                ('folder', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='kernel.folder')),
            ],
            options={
                'db_table': 'nms_seed_member',
                'ordering': ('label', 'seed_member_id'),
            },
        ),
        migrations.CreateModel(
            name='Service',
            fields=[
                ('service_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=64, unique=True)),
                ('label', models.CharField(max_length=128)),
                ('description', models.TextField(blank=True, default='')),
                ('type', models.SmallIntegerField(choices=[(0, 'e-mail'), (1, 'SMS'), (2, 'phone'), (3, 'direct mail'), (4, 'fax'), (50, 'Facebook'), (51, 'X'), (52, 'mobile application'), (53, 'LINE')], default=0)),
                ('mode', models.SmallIntegerField(choices=[(0, 'newsletter'), (1, 'viral')], default=0)),
                ('validity_length', models.IntegerField(default=0)),
                ('validity_unit', models.CharField(blank=True, choices=[('d', 'days'), ('m', 'months')], default='d', max_length=1)),
                ('subscription_template_id', models.BigIntegerField(blank=True, null=True)),
                ('unsubscription_template_id', models.BigIntegerField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('modified_at', models.DateTimeField()),
                ('folder', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='kernel.folder')),
                ('mapping', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='delivery.deliverymapping')),
            ],
            options={
                'db_table': 'nms_service',
                'ordering': ('label', 'service_id'),
            },
        ),
        migrations.CreateModel(
            name='SubHisto',
            fields=[
                ('sub_histo_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('action', models.SmallIntegerField(choices=[(0, 'unsubscription'), (1, 'subscription')])),
                ('date', models.DateTimeField()),
                ('origin', models.SmallIntegerField(choices=[(0, 'by hand'), (1, 'import'), (2, 'web form'), (3, 'workflow'), (4, 'expired'), (5, 'interface'), (6, 'merged profile')], db_default=0, default=0)),
                ('batch_id', models.BigIntegerField()),
                ('confirmation', models.SmallIntegerField(choices=[(0, 'none'), (1, 'to send'), (2, 'sent')], db_default=0, default=0)),
                ('operator', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('recipient', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='history', to='delivery.recipient')),
                ('service', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='history', to='delivery.service')),
            ],
            options={
                'db_table': 'nms_sub_histo',
            },
        ),
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('subscription_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField()),
                ('expiration_date', models.DateTimeField(blank=True, null=True)),
                ('delete_status', models.SmallIntegerField(db_default=0, default=0)),
                ('origin', models.SmallIntegerField(choices=[(0, 'by hand'), (1, 'import'), (2, 'web form'), (3, 'workflow'), (4, 'expired'), (5, 'interface'), (6, 'merged profile')], db_default=0, default=0)),
                ('recipient', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='subscriptions', to='delivery.recipient')),
                ('service', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='subscriptions', to='delivery.service')),
            ],
            options={
                'db_table': 'nms_subscription',
            },
        ),
        migrations.CreateModel(
            name='Suppression',
            fields=[
                ('suppression_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('address', 'address'), ('domain', 'domain')], max_length=8)),
                ('channel', models.SmallIntegerField(choices=[(0, 'e-mail'), (1, 'SMS'), (2, 'phone'), (3, 'direct mail'), (4, 'fax')], default=0)),
                ('key', models.CharField(max_length=254)),
                ('hint', models.CharField(blank=True, db_default='', default='', max_length=254)),
                ('reason', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('created_at', models.DateTimeField()),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'nms_suppression',
            },
        ),
        migrations.CreateModel(
            name='Visitor',
            fields=[
                ('salutation', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('first_name', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('middle_name', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('last_name', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('company', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('birth_date', models.DateField(blank=True, null=True)),
                ('gender', models.SmallIntegerField(choices=[(0, 'not indicated'), (1, 'male'), (2, 'female')], db_default=0, default=0)),
                ('language', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('email', models.CharField(blank=True, db_default='', default='', max_length=254)),
                ('email_format', models.SmallIntegerField(choices=[(0, 'undefined'), (1, 'text'), (2, 'HTML')], db_default=0, default=0)),
                ('phone', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('mobile_phone', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('fax', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('address1', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('address2', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('address3', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('address4', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('zip_code', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('city', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('state_code', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('country_code', models.CharField(blank=True, db_default='XX', default='XX', max_length=2)),
                ('visitor_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('origin', models.SmallIntegerField(choices=[(0, 'referral'), (1, 'Facebook'), (2, 'X'), (3, 'LINE')], db_default=0, default=0)),
                ('external_id', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('referrer', models.CharField(blank=True, db_default='', default='', max_length=254)),
                ('created_at', models.DateTimeField()),
                ('modified_at', models.DateTimeField()),
                ('folder', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='kernel.folder')),
                ('recipient', models.ForeignKey(db_constraint=False, default=0, on_delete=django.db.models.deletion.SET_DEFAULT, related_name='visitors', to='delivery.recipient')),
            ],
            options={
                'db_table': 'nms_visitor',
            },
        ),
        migrations.CreateModel(
            name='VisitorSub',
            fields=[
                ('visitor_sub_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField()),
                ('delete_status', models.SmallIntegerField(db_default=0, default=0)),
                ('service', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='delivery.service')),
                ('visitor', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='delivery.visitor')),
            ],
            options={
                'db_table': 'nms_visitor_sub',
            },
        ),
        migrations.AddIndex(
            model_name='group',
            index=models.Index(condition=models.Q(('expiration_date__isnull', False)), fields=['expiration_date'], name='nms_group_expiration'),
        ),
        migrations.AddIndex(
            model_name='recipient',
            index=models.Index(fields=['email'], name='nms_recipient_email'),
        ),
        migrations.AddIndex(
            model_name='recipient',
            index=models.Index(fields=['email'], name='nms_recipient_email_like', opclasses=['text_pattern_ops']),
        ),
        migrations.AddIndex(
            model_name='recipient',
            index=models.Index(fields=['mobile_phone'], name='nms_recipient_mobile'),
        ),
        migrations.AddIndex(
            model_name='recipient',
            index=models.Index(fields=['account'], name='nms_recipient_account'),
        ),
        migrations.AddIndex(
            model_name='recipient',
            index=models.Index(fields=['folder'], name='nms_recipient_folder'),
        ),
        migrations.AddIndex(
            model_name='recipient',
            index=models.Index(fields=['modified_at'], name='nms_recipient_modified'),
        ),
        migrations.AddIndex(
            model_name='seedmember',
            index=models.Index(condition=models.Q(('delivery_id__isnull', False)), fields=['delivery_id'], name='nms_seed_member_delivery'),
        ),
        migrations.AddIndex(
            model_name='seedmember',
            index=models.Index(condition=models.Q(('operation_id__isnull', False)), fields=['operation_id'], name='nms_seed_member_operation'),
        ),
        migrations.AddConstraint(
            model_name='service',
            constraint=models.CheckConstraint(condition=models.Q(('validity_length__gte', 0)), name='nms_service_validity_positive'),
        ),
        migrations.AddConstraint(
            model_name='suppression',
            constraint=models.UniqueConstraint(fields=('key', 'channel', 'kind'), name='nms_suppression_once'),
        ),
        migrations.AddIndex(
            model_name='visitor',
            index=models.Index(fields=['email'], name='nms_visitor_email'),
        ),
        migrations.AddIndex(
            model_name='visitor',
            index=models.Index(fields=['modified_at'], name='nms_visitor_modified'),
        ),
        migrations.AddConstraint(
            model_name='visitorsub',
            constraint=models.UniqueConstraint(fields=('visitor', 'service'), name='nms_visitor_sub_once'),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(KEYS, migrations.RunSQL.noop)],
            state_operations=[
                migrations.AddConstraint(
                    model_name='subscription',
                    constraint=models.UniqueConstraint(fields=('recipient', 'service'), name='nms_subscription_pkey'),
                ),
                migrations.AddConstraint(
                    model_name='rcpgrprel',
                    constraint=models.UniqueConstraint(fields=('group', 'recipient'), name='nms_rcp_grp_rel_pkey'),
                ),
            ],
        ),
    ]
