#!/bin/sh
# Before a removal, of dpkg ("remove") or rpm (0). The daemon finishes what it has claimed.
set -e

case "$1" in
  remove|0) ;;
  *) exit 0 ;;
esac
# systemd-standalone-sysusers comes without systemctl: nothing runs or is enabled there.
command -v systemctl >/dev/null || exit 0
[ ! -d /run/systemd/system ] || systemctl stop pushglue.service
systemctl --quiet disable pushglue.service
