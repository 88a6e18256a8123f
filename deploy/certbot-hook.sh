#!/bin/sh
# Hands a new certificate to the relay: /etc/letsencrypt/renewal-hooks/deploy/qasid-relay
# certbot sets RENEWED_LINEAGE to the directory of the certificate.
set -eu
: "${RENEWED_LINEAGE:?run by certbot}"
tls="${QASID_TLS_DIRECTORY:-/etc/qasid/tls}"
owner="${QASID_TLS_OWNER:-qasid}"
install -d -m 0750 -o root -g "$owner" "$tls"
install -m 0644 -o root -g "$owner" "$RENEWED_LINEAGE/fullchain.pem" "$tls/fullchain.pem"
install -m 0640 -o root -g "$owner" "$RENEWED_LINEAGE/privkey.pem" "$tls/privkey.pem"
# The relay looks every minute; this is faster. It may not be running yet.
systemctl reload qasid-relay 2>/dev/null || true
