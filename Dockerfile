# One image for web, worker, beat and signer: the commands are in docker-compose.yml.
FROM python:3.12-slim-bookworm AS packages
WORKDIR /app
COPY requirements.lock ./
RUN python -m venv /venv \
 && awk '/^uv==/{on=1} /^[a-z]/&&!/^uv==/{on=0} on' requirements.lock > uv.txt \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r uv.txt \
 && /venv/bin/uv pip sync --no-cache --python /venv/bin/python --require-hashes requirements.lock

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/sms --create-home sms \
 && mkdir -p /srv/static /srv/ledger && chown -R sms:sms /var/lib/sms /srv/static /srv/ledger
COPY --from=packages /venv /venv
WORKDIR /app
COPY . .
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    PRODUCTION=1 HOST=0.0.0.0 PORT=8000 VAR_DIR=/var/lib/sms STATIC_ROOT=/srv/static LEDGER_DIR=/srv/ledger
USER sms
EXPOSE 8000
CMD ["python", "-m", "gunicorn", "-c", "python:sms_program.gunicorn", "sms_program.wsgi"]
