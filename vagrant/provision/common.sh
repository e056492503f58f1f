# shellcheck shell=sh
# What the steps have in common. Sourced by each, which then is a function of its environment: every name below has a default.
# Rules of a step: it may be run again at any time and then changes nothing; it says what it changes; it asks nobody.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
lab=${here%/*}
# shellcheck source-path=SCRIPTDIR source=../versions.env
. "$lab/versions.env"

: "${TORII_SOURCE:=${lab%/*}}"             # the checkout of Torii that is installed
: "${SECRETS:=/etc/torii-lab}"             # passwords, keys and tokens, made by the lab and read by root alone
: "${GERRIT_SITE:=/srv/gerrit}"
: "${GERRIT_URL:=http://localhost:$GERRIT_PORT}"
: "${GERRIT_SSH_HOST:=localhost}"
: "${JENKINS_HOME:=/var/lib/jenkins}"
: "${JENKINS_URL:=http://localhost:$JENKINS_PORT}"
: "${JENKINS_ETC:=/etc/jenkins-lab}"
: "${TORII_HOME:=/opt/torii}"
: "${TORII_ETC:=/etc/torii}"
: "${TORII_STATE:=/var/lib/torii}"
: "${TORII_URL:=http://localhost:$TORII_PORT}"
: "${LAB_USER:=vagrant}"                   # whose home gets a clone of the sample, where that user exists
: "${LAB_PATIENCE:=300}"                   # seconds that a service may take to answer
export DEBIAN_FRONTEND=noninteractive

changed=''

say() {
    printf '%s: %s\n' "${0##*/}" "$*"
}

die() {
    say "$@" >&2
    exit 1
}

be_root() {
    [ "$(id -u)" -eq 0 ] || die "this step installs things: run it as root"
}

has_systemd() {
    [ -d /run/systemd/system ]
}

# ---- files -------------------------------------------------------------------------------------------------------------------

# Gives FILE the content of standard input, this mode and owner. Sets `changed` where any of that was not so: no use at the end of a pipe.
put() { # FILE [MODE [OWNER:GROUP]]
    mkdir -p "${1%/*}"
    wanted=$(mktemp "${1%/*}/.torii-lab.XXXXXX")
    cat >"$wanted"
    chmod "${2:-0644}" "$wanted"
    chown "${3:-root:root}" "$wanted"
    if [ -e "$1" ] && cmp -s "$wanted" "$1" && [ "$(stat -c '%a %U:%G' "$1")" = "$(stat -c '%a %U:%G' "$wanted")" ]; then
        rm "$wanted"
    else
        mv "$wanted" "$1"
        changed=yes
        say "wrote $1"
    fi
}

folder() { # PATH [MODE [OWNER:GROUP]]
    mkdir -p "$1"
    [ "$(stat -c '%a' "$1")" = "$(printf '%o' "0${2:-0755}")" ] || chmod "${2:-0755}" "$1"
    [ "$(stat -c '%U:%G' "$1")" = "${3:-root:root}" ] || chown "${3:-root:root}" "$1"
}

# Sets `rendered` to a new file with the content of TEMPLATE, each @NAME@ as the variable NAME has it; one that is not set is an error.
render() { # TEMPLATE
    script=''
    for name in $(grep -o '@[A-Z][A-Z0-9_]*@' "$1" | sort -u | tr -d @); do
        value=''
        eval "[ -n \"\${$name+set}\" ] && value=\$$name" || die "$1 asks for $name, which nobody has set"
        script="$script
s|@$name@|$(printf '%s' "$value" | sed 's/[&|\\]/\\&/g')|g"
    done
    rendered=$(mktemp)
    sed "$script" "$1" >"$rendered"
}

put_rendered() { # TEMPLATE FILE [MODE [OWNER:GROUP]]
    render "$1"
    shift
    put "$@" <"$rendered"
    rm "$rendered"
}

# Makes a secret of 32 characters where FILE is not there yet. It has no line end.
secret() { # NAME
    folder "$SECRETS" 0700
    [ -s "$SECRETS/$1" ] || (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$SECRETS/$1")
}

# Makes a key pair where there is none.
key_pair() { # NAME COMMENT
    folder "$SECRETS" 0700
    [ -s "$SECRETS/$1" ] || ssh-keygen -q -t ed25519 -N '' -C "$2" -f "$SECRETS/$1"
}

# ---- packages ----------------------------------------------------------------------------------------------------------------

# Installs those of the packages that are missing. NAME=VERSION also where another version is there.
packages() { # PACKAGE...
    missing=''
    for package in "$@"; do
        there=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "${package%%=*}" 2>/dev/null) || there=''
        case $package in
            *=*) [ "$there" = "installed ${package#*=}" ] || missing="$missing $package" ;;
            *) [ "${there%% *}" = installed ] || missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    apt-get -q update >/dev/null
    # shellcheck disable=SC2086 # a list of words
    apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends --allow-downgrades $missing >/dev/null
    changed=yes
}

# Debian starts a service as soon as it is installed. Ours wait until they are configured: while COMMAND runs, none is started.
without_starting() { # COMMAND [ARGUMENT...]
    held=''
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\n[ ! -d /proc/%s ] || exit 101\n' "$$" >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
        held=yes
    fi
    "$@"
    [ -z "$held" ] || rm /usr/sbin/policy-rc.d
}

# Has apt use a repository, by the one key that signs it. A key with another fingerprint is not trusted.
repository() { # NAME LINE KEY_URL FINGERPRINT
    keyring=/etc/apt/keyrings/$1.gpg
    if [ ! -s "$keyring" ]; then
        fetched=$(mktemp)
        fetch "$3" "$fetched"
        found=$(gpg --batch --show-keys --with-colons "$fetched" | awk -F: '$1 == "pub" {next_is = 1} $1 == "fpr" && next_is {print $10; next_is = 0}')
        [ "$found" = "$4" ] || die "$3 has the key '$found', not $4; was it renewed? Then see its project's pages, and alter versions.env"
        gpg --batch --yes --dearmor --output "$fetched.gpg" "$fetched"
        put "$keyring" <"$fetched.gpg"
        rm "$fetched" "$fetched.gpg"
    fi
    put "/etc/apt/sources.list.d/$1.list" <<LINE
deb [signed-by=$keyring] $2
LINE
}

# ---- downloads ---------------------------------------------------------------------------------------------------------------

fetch() { # URL FILE
    curl --fail --silent --show-error --location --retry 5 --retry-connrefused --proto '=http,https' --output "$2" "$1" ||
        die "could not get $1"
}

# Gets URL as FILE where that is not there with this checksum already.
download() { # URL FILE SHA256
    if [ -e "$2" ] && echo "$3  $2" | sha256sum --check --status; then
        return
    fi
    say "getting $1"
    mkdir -p "${2%/*}"
    fetch "$1" "$2.part"
    if ! echo "$3  $2.part" | sha256sum --check --status; then
        found=$(sha256sum "$2.part")
        rm "$2.part"
        die "$1 has the SHA-256 ${found%% *}, and should have $3"
    fi
    mv "$2.part" "$2"
    changed=yes
}

# ---- services ----------------------------------------------------------------------------------------------------------------

system_user() { # NAME HOME
    id "$1" >/dev/null 2>&1 || useradd --system --user-group --home-dir "$2" --create-home --shell /bin/bash "$1"
}

# Has a unit run now and at each start; anew where something of it was changed.
service() { # UNIT
    if ! has_systemd; then
        say "no systemd runs here: $1 is installed, and not started"
        return
    fi
    [ -z "$changed" ] || systemctl daemon-reload
    systemctl --quiet enable "$1"
    if [ -n "$changed" ]; then
        systemctl restart "$1"
    else
        systemctl start "$1"
    fi
}

# Returns once URL answers, whatever it says short of an error of the server.
wait_for() { # URL NAME
    waited=0
    until curl --noproxy '*' --silent --output /dev/null --max-time 10 --fail "$1"; do
        [ "$waited" -lt "$LAB_PATIENCE" ] || die "$2 does not answer at $1 after $LAB_PATIENCE s; see journalctl -u $2"
        sleep 2
        waited=$((waited + 2))
    done
}

# ---- Gerrit and Jenkins, over HTTP -------------------------------------------------------------------------------------------

# curl as a user whose password is in a file of $SECRETS: it stands on no command line.
curl_as() { # USER SECRET ARGUMENT...
    login="$1:$(cat "$SECRETS/$2")"
    shift 2
    printf 'user = "%s"\n' "$login" | curl --config - --noproxy '*' --silent --show-error --max-time 120 "$@"
}

# Gerrit's REST, as the administrator. Prints the answer; fails where Gerrit does.
gerrit() { # METHOD PATH [JSON]
    method=$1 path=$2
    shift 2
    [ $# -eq 0 ] || set -- --header 'Content-Type: application/json' --data "$1"
    curl_as admin gerrit-admin --fail --request "$method" "$@" "$GERRIT_URL/a$path"
}

gerrit_has() { # PATH
    gerrit GET "$1" >/dev/null 2>&1
}
