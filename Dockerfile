# One image for web, worker, beat and signer: the commands are in docker-compose.yml.
FROM python:3.12-slim-bookworm AS packages
COPY requirements-production.lock ./
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-production.lock

FROM python:3.12-slim-bookworm
RUN useradd --no-log-init --uid 10001 --home-dir /var/lib/sms --create-home --shell /usr/sbin/nologin sms \
 && mkdir -p /srv/static /srv/ledger && chown -R sms:sms /var/lib/sms /srv/static /srv/ledger
COPY --from=packages /venv /venv
WORKDIR /app
COPY . .
# Compiled once here: the containers' file systems are read-only, and every process would compile everything anew.
RUN python -m compileall -q .
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    PRODUCTION=1 HOST=0.0.0.0 PORT=8000 VAR_DIR=/var/lib/sms STATIC_ROOT=/srv/static LEDGER_DIR=/srv/ledger
USER sms
EXPOSE 8000
CMD ["python", "-m", "gunicorn", "-c", "python:sms_program.gunicorn", "sms_program.wsgi"]
