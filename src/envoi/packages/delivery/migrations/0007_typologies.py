import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0006_sender'),
    ]

    operations: list[migrations.operations.base.Operation] = [
        migrations.CreateModel(
            name='Typology',
            fields=[
                ('typology_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=64, unique=True)),
                ('label', models.CharField(max_length=128)),
                ('description', models.TextField(blank=True, default='')),
                ('filtering', models.BooleanField(default=False)),
                ('built_in', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField()),
                ('modified_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_typology',
                'ordering': ('label',),
            },
        ),
        migrations.CreateModel(
            name='TypologyRule',
            fields=[
                ('typology_rule_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=64, unique=True)),
                ('label', models.CharField(max_length=128)),
                ('description', models.TextField(blank=True, default='')),
                ('type', models.SmallIntegerField(choices=[(0, 'filtering'), (1, 'pressure'), (2, 'capacity'), (3, 'control'), (4, 'offer presentation')])),
                ('channel', models.SmallIntegerField(choices=[(-1, 'all channels'), (0, 'e-mail'), (1, 'SMS'), (2, 'phone'), (3, 'direct mail'), (4, 'fax')], default=-1)),
                ('phase', models.SmallIntegerField(choices=[(0, 'start of targeting'), (1, 'after targeting'), (2, 'start of personalization'), (3, 'end of the analysis')], default=3)),
                ('level', models.SmallIntegerField(choices=[(0, 'information'), (1, 'warning'), (2, 'error')], default=2)),
                ('rank', models.IntegerField(default=50)),
                ('active', models.BooleanField(default=True)),
                ('frequency', models.IntegerField(default=0)),
                ('reapply', models.BooleanField(default=False)),
                ('applies', models.JSONField(blank=True, default=dict)),
                ('definition', models.JSONField(blank=True, default=dict)),
                ('built_in', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField()),
                ('modified_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'nms_typology_rule',
                'ordering': ('type', 'rank', 'typology_rule_id'),
            },
        ),
        migrations.CreateModel(
            name='TypologyRuleRel',
            fields=[
                ('typology_rule_rel_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('rule', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='typologies', to='delivery.typologyrule')),
                ('typology', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rules', to='delivery.typology')),
            ],
            options={
                'db_table': 'nms_typology_rule_rel',
            },
        ),
        migrations.AddConstraint(
            model_name='typologyrulerel',
            constraint=models.UniqueConstraint(fields=('typology', 'rule'), name='nms_typology_rule_once'),
        ),
        migrations.RemoveField(
            model_name='delivery',
            name='typology_id',
        ),
        migrations.AddField(
            model_name='delivery',
            name='typology',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='delivery.typology'),
        ),
        migrations.AddField(
            model_name='delivery',
            name='weight',
            field=models.SmallIntegerField(blank=True, null=True),
        ),
    ]
