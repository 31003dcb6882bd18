from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0019_redirection'),
    ]

    operations = [
        migrations.AddField(
            model_name='delivery',
            name='new_contacts',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='delivery',
            name='passed_on',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='readerrequest',
            name='delivery_id',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
    ]
