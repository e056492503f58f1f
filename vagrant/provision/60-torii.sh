#!/bin/sh
# Torii: the checkout beside this lab, installed into a virtual environment, with its server.yml and a service.
# With the argument `files` only its configuration is written. It is started by the next step, when Gerrit has all it needs.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"
be_root

parts='torii job-templates jjb pyproject.toml setup.py constraints.txt README.md LICENSE'

source_key() {
    (
        cd "$TORII_SOURCE" || exit
        # shellcheck disable=SC2086 # a list of words
        find $parts -type f ! -name '*.pyc' ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
        python3 --version
    )
}

install_it() {
    [ -e "$TORII_SOURCE/constraints.txt" ] || die "$TORII_SOURCE is no checkout of Torii; name one as TORII_SOURCE"
    key=$(source_key)
    if [ "$(cat "$TORII_HOME/torii-lab" 2>/dev/null)" = "$key" ]; then
        return
    fi
    say "installing Torii into $TORII_HOME"
    rm -f "$TORII_HOME/torii-lab"
    python3 -m venv "$TORII_HOME"
    work=$(mktemp -d) # pip builds where the sources are, and those are not ours
    # shellcheck disable=SC2086
    (cd "$TORII_SOURCE" && tar -cf - --exclude=__pycache__ $parts) | tar -xf - -C "$work" --no-same-owner
    "$TORII_HOME/bin/pip" install --quiet --no-input --disable-pip-version-check --constraint "$work/constraints.txt" "$work"
    rm -r "$work"
    put "$TORII_HOME/torii-lab" <<KEY
$key
KEY
}

# What others made for Torii, where Torii reads it.
hand_over() { # SECRET_OF_THE_LAB NAME
    [ ! -s "$SECRETS/$1" ] || put "$TORII_ETC/$2" 0640 root:torii <"$SECRETS/$1"
}

# Gerrit's host keys, from its own disk.
known_hosts() {
    for key in "$GERRIT_SITE"/etc/ssh_host_*_key.pub; do
        [ ! -e "$key" ] || printf '[%s]:%s %s\n' "$GERRIT_SSH_HOST" "$GERRIT_SSH_PORT" "$(cut -d' ' -f1,2 "$key")"
    done
}

write_files() {
    system_user torii "$TORII_STATE"
    folder "$TORII_STATE" 0750 torii:torii
    folder "$TORII_ETC" 0750 root:torii
    hand_over gerrit-torii gerrit-password
    hand_over gerrit-torii-key gerrit-key
    hand_over jenkins-token jenkins-token
    put "$TORII_ETC/known_hosts" 0640 root:torii <<KEYS
$(known_hosts)
KEYS
    put_rendered "$lab/torii/server.yml" "$TORII_ETC/server.yml" 0640 root:torii
    put_rendered "$lab/systemd/torii.service" /etc/systemd/system/torii.service
}

case ${1:-all} in
    files) write_files ;;
    all)
        install_it
        write_files
        put /usr/local/bin/torii 0755 <<COMMAND
#!/bin/sh
exec $TORII_HOME/bin/torii "\$@"
COMMAND
        torii validate "$TORII_ETC/server.yml"
        if ! has_systemd; then
            say "no systemd runs here: torii.service is installed, and not started"
        elif [ -n "$changed" ]; then
            systemctl daemon-reload
            systemctl try-restart torii.service
        fi
        ;;
    *) die "there is no part called $1: files or nothing" ;;
esac
