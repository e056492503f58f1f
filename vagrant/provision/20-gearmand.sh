#!/bin/sh
# gearmand, on loopback: Gearman has no passwords, so whoever reaches its port can start builds.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"
be_root

without_starting packages gearman-job-server gearman-tools
version=$(dpkg-query -W -f '${Version}' gearman-job-server)
case $version in
    "$GEARMAND_VERSION"*) ;;
    *) die "Debian's gearman-job-server is $version here, and the lab is made for $GEARMAND_VERSION; see versions.env" ;;
esac

# Debian's unit and its init script both read this.
put /etc/default/gearman-job-server <<CONFIG
# Written by Torii's lab.
PARAMS="--listen=127.0.0.1 --port=$GEARMAN_PORT --daemon --log-file=/var/log/gearman-job-server/gearmand.log"
CONFIG
service gearman-job-server.service
say "gearmand $version, for 127.0.0.1:$GEARMAN_PORT"
