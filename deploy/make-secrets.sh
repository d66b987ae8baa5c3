#!/bin/sh
# Makes the secrets of docker-compose.yml once; an existing file is never touched.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets certificates
random() { head -c "$1" /dev/urandom | base64 | tr -d '\n=' | tr '+/' '-_'; }
once() { # name, value
  if [ -e "secrets/$1" ]; then echo "giữ nguyên secrets/$1"; else printf '%s' "$2" > "secrets/$1"; echo "đã tạo secrets/$1"; fi
}
key32() { head -c 32 /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_'; }
once database_password "$(random 30)"
once database_url "postgresql://sms_program:$(cat secrets/database_password)@database:5432/sms_program"
once secret_key "$(random 60)"
once identity_keys "1:$(key32)"
once identity_index_key "$(key32)"
once ledger_signing_key "$(key32)"
once metrics_token "$(random 30)"
once email_url "smtp://localhost:25"
# The containers run as user 10001, the proxy as 101, and must be able to read them; only root can give them away.
if [ "$(id -u)" = 0 ]; then
  chown -R 10001 secrets
  chown -R 101 certificates
else
  echo "Chạy lại bằng root (sudo sh deploy/make-secrets.sh) để các container đọc được secrets và certificates."
fi
