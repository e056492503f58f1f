#!/bin/sh
# Where everything is. `vagrant provision --provision-with addresses` says it again.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"
be_root

password() { # SECRET
    cat "$SECRETS/$1" 2>/dev/null || printf 'not made yet'
}

cat <<ADDRESSES

  Gerrit    $GERRIT_URL/        "Sign in" lets you become admin; over HTTP its password is $(password gerrit-admin)
  Jenkins   $JENKINS_URL/        admin, password $(password jenkins-admin); to look needs no one
  Torii     $TORII_URL/
  gearmand  127.0.0.1:$GEARMAN_PORT inside of the machine alone: gearadmin --status
  sample    vagrant ssh, then: cd hello

ADDRESSES
