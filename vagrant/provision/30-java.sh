#!/bin/sh
# The Java that Gerrit, Jenkins and its agents run on. Debian 12 has none that is new enough.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"
be_root

codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
repository adoptium "$JAVA_REPOSITORY $codename main" "$JAVA_KEY_URL" "$JAVA_KEY_FINGERPRINT"
packages "$JAVA_PACKAGE" fontconfig
say "$(java -version 2>&1 | head -n 1)"
