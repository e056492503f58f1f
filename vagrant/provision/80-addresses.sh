#!/bin/sh
# Where everything is. `vagrant provision --provision-with addresses` says it again.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"
be_root

cat <<ADDRESSES

  Gerrit    $GERRIT_URL/        "Sign in" lets you become admin; over HTTP its password is $(cat "$SECRETS/gerrit-admin")
  Jenkins   $JENKINS_URL/        admin, password $(cat "$SECRETS/jenkins-admin"); to look needs no one
  Torii     $TORII_URL/
  gearmand  127.0.0.1:$GEARMAN_PORT inside of the machine alone: gearadmin --status
  sample    vagrant ssh, then: cd hello

ADDRESSES
