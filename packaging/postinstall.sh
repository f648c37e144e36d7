#!/bin/sh
# Behind an installation or an upgrade, of dpkg ("configure", and the old version if there is one) or rpm (1 or 2).
set -e

umask 027
systemd-sysusers pushglue.conf

# Keys are made once. What is there is never changed.
for key in PUSHGLUE_ANONYMIZE_KEY PUSHGLUE_HTTP_TOKEN; do
  file=/etc/pushglue/secrets/$key
  [ -e "$file" ] && continue
  od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$file.new"
  chgrp pushglue "$file.new"
  mv "$file.new" "$file"
done

case "$1 $2" in
  "configure "|"1 "|"2 ") # the first time: the account was not there when the files came; rpm resets the group with each upgrade
    chgrp -R pushglue /etc/pushglue
    ;;
esac

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
systemctl is-active --quiet pushglue.service || exit 0

# A daemon that runs is replaced, unless the new one would not start with its configuration.
if systemd-run --quiet --pipe --wait --collect \
  -p User=pushglue -p EnvironmentFile=/etc/pushglue/environment -p WorkingDirectory=/var/lib/pushglue /usr/bin/pushglue check >/dev/null; then
  systemctl restart pushglue.service
else
  echo "pushglue.service was not restarted, and goes on with the version before: the new one refuses its configuration, see above." >&2
fi
