import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0010_content'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='DeliveryApproval',
            fields=[
                ('delivery_approval_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('step', models.CharField(choices=[('target', 'target'), ('content', 'content'), ('extraction', 'extraction'), ('proof', 'proof'), ('start', 'start')], max_length=16)),
                ('basis', models.CharField(max_length=64)),
                ('submitted_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('reminded', models.SmallIntegerField(default=0)),
                ('remind_at', models.DateTimeField(blank=True, null=True)),
                ('approved', models.BooleanField(blank=True, null=True)),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('comment', models.TextField(blank=True, default='')),
                ('answered_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('delivery', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='submissions', to='delivery.delivery')),
                ('submitted_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'nms_delivery_approval',
                'ordering': ('-delivery_approval_id',),
            },
        ),
        migrations.CreateModel(
            name='DeliveryReviewer',
            fields=[
                ('delivery_reviewer_id', models.BigAutoField(primary_key=True, serialize=False)),
                ('approval', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reviewers', to='delivery.deliveryapproval')),
                ('operator', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'nms_delivery_reviewer',
            },
        ),
        migrations.CreateModel(
            name='DeliverySchedule',
            fields=[
                ('delivery', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='schedule', serialize=False, to='delivery.delivery')),
                ('analyse_at', models.DateTimeField(blank=True, null=True)),
                ('execution', models.SmallIntegerField(choices=[(0, 'provisional analysis only'), (1, 'automatic execution')], default=0)),
                ('run_id', models.BigIntegerField(blank=True, null=True)),
                ('confirmed_at', models.DateTimeField(blank=True, null=True)),
                ('start_before', models.DateTimeField(blank=True, null=True)),
                ('confirmed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('operator', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'nms_delivery_schedule',
            },
        ),
        migrations.AddIndex(
            model_name='deliveryapproval',
            index=models.Index(condition=models.Q(('remind_at__isnull', False)), fields=['remind_at'], name='nms_delivery_approval_remind'),
        ),
        migrations.AddConstraint(
            model_name='deliveryapproval',
            constraint=models.UniqueConstraint(condition=models.Q(('approved__isnull', True)), fields=('delivery', 'step'), name='nms_delivery_approval_open'),
        ),
        migrations.AddConstraint(
            model_name='deliveryreviewer',
            constraint=models.UniqueConstraint(fields=('approval', 'operator'), name='nms_delivery_reviewer_once'),
        ),
        migrations.AddIndex(
            model_name='deliveryschedule',
            index=models.Index(condition=models.Q(('analyse_at__isnull', False), ('run_id__isnull', True)), fields=['analyse_at'], name='nms_delivery_schedule_due'),
        ),
        migrations.AddIndex(
            model_name='deliveryschedule',
            index=models.Index(condition=models.Q(('start_before__isnull', False)), fields=['start_before'], name='nms_delivery_schedule_missed'),
        ),
    ]
