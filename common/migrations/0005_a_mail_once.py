from django.db import migrations, models

# Two deliveries of one task could each leave a row; the one that the server took stays, else the newest.
ONE_EACH = """
DELETE FROM common_sentmail a USING common_sentmail b
WHERE (a.kind, a.subject_type, a.subject_id, a.recipient_hash)
    = (b.kind, b.subject_type, b.subject_id, b.recipient_hash)
  AND (a.delivered_on_clock_at IS NOT NULL, a.id) < (b.delivered_on_clock_at IS NOT NULL, b.id)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("common", "0004_sent_forms"),
    ]

    operations = [
        migrations.RunSQL(ONE_EACH, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="sentmail",
            constraint=models.UniqueConstraint(
                fields=("kind", "subject_type", "subject_id", "recipient_hash"),
                name="sentmail_once",
                violation_error_message="Thư loại này về việc này đã ghi cho địa chỉ này.",
            ),
        ),
    ]
