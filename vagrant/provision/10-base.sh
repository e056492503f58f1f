#!/bin/sh
# What every other step needs of Debian, and the folder of the lab's secrets.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"
be_root

packages ca-certificates curl git gnupg openssh-client openssh-server python3 python3-venv rsync bubblewrap iproute2
folder "$SECRETS" 0700
folder /etc/apt/keyrings

say "Debian $(cat /etc/debian_version), $(python3 --version), $(git --version)"
