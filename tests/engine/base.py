"""PostgreSQL for tests: emptying tables between transactional tests passes our append-only triggers.

The triggers refuse TRUNCATE for everybody, which is their purpose. Tests that attack them use the real statements;
only Django's own clean-up between tests goes through here.
"""

from django.db import transaction
from django.db.backends.postgresql import base, operations

USER_TRIGGERS = """
SELECT tgrelid::regclass::text, quote_ident(tgname), tgenabled::text
FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'
"""


class DatabaseOperations(operations.DatabaseOperations):
    def execute_sql_flush(self, sql_list):
        with transaction.atomic(using=self.connection.alias), self.connection.cursor() as cursor:
            cursor.execute(USER_TRIGGERS)
            triggers = cursor.fetchall()
            for table, name, _ in triggers:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
            for sql in sql_list:
                cursor.execute(sql)
            for table, name, enabled in triggers:
                mode = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}[enabled]
                cursor.execute(f"ALTER TABLE {table} {mode} TRIGGER {name}")


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations
