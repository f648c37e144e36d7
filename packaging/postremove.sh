#!/bin/sh
# Behind a removal. dpkg's "purge" leaves nothing: neither keys, nor files that pipelines wrote, nor the account.
set -e

if [ "$1" = purge ]; then
  rm -rf /etc/pushglue /var/lib/pushglue
  if getent passwd pushglue >/dev/null; then
    userdel pushglue
  fi
fi
[ ! -d /run/systemd/system ] || systemctl daemon-reload
