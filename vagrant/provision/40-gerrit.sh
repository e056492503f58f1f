#!/bin/sh
# Gerrit: the war, a site, a service, and two accounts: the administrator `admin`, and `torii-ci`, which is Torii.
# With an argument only a part of that: `files` writes the configuration, `accounts` makes the accounts of a Gerrit that runs.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"

war=$GERRIT_SITE/bin/gerrit.war

# Gives gerrit.config our values, one by one: Gerrit keeps things of its own in that file, such as the id that all its changes carry.
configure() {
    config=$GERRIT_SITE/etc/gerrit.config
    [ -s "$config" ] || put "$config" 0644 gerrit:gerrit <<HEADER
# Made by Torii's lab. Everybody may become anybody here: this Gerrit is for trying things, on a network of its own.
HEADER
    render "$lab/gerrit/gerrit.config"
    for name in $(git config -f "$rendered" --list --name-only); do
        value=$(git config -f "$rendered" "$name")
        if [ "$(git config -f "$config" "$name" || true)" != "$value" ]; then
            git config -f "$config" "$name" "$value"
            changed=yes
            say "wrote $name of $config"
        fi
    done
    rm "$rendered"
    [ "$(stat -c '%U:%G' "$config")" = gerrit:gerrit ] || chown gerrit:gerrit "$config"
}

write_files() {
    be_root
    system_user gerrit "$GERRIT_SITE"
    folder "$GERRIT_SITE" 0755 gerrit:gerrit
    folder "$GERRIT_SITE/etc" 0755 gerrit:gerrit
    configure
    put_rendered "$lab/systemd/gerrit.service" /etc/systemd/system/gerrit.service
}

install_it() {
    folder "$GERRIT_SITE/bin" 0755 gerrit:gerrit
    download "$GERRIT_WAR_URL" "$war" "$GERRIT_WAR_SHA256"
    chmod 0644 "$war"
    if [ -n "$changed" ] || [ ! -d "$GERRIT_SITE/git/All-Projects.git" ]; then
        ! has_systemd || ! systemctl --quiet is-active gerrit || systemctl stop gerrit
        # --dev makes the account `admin`, with the password `secret` until `accounts` has given it another.
        runuser -u gerrit -- java -jar "$war" init --batch --dev --no-auto-start --install-plugin download-commands -d "$GERRIT_SITE"
        changed=yes
    fi
    configure # init may have its own ideas of what it would ask
    service gerrit.service
}

lets_in() { # USER NAME_OF_SECRET
    curl_as "$1" "$2" --fail --output /dev/null "$GERRIT_URL/a/accounts/self" 2>/dev/null
}

give_admin_a_password() {
    secret gerrit-admin
    ! lets_in admin gerrit-admin || return 0
    curl --noproxy '*' --silent --show-error --fail --output /dev/null --user admin:secret --header 'Content-Type: application/json' --request PUT \
        --data "{\"http_password\": \"$(cat "$SECRETS/gerrit-admin")\"}" "$GERRIT_URL/a/accounts/self/password.http" ||
        die "$GERRIT_URL lets admin in with neither the lab's password nor the one that init gives"
    say "gave admin a password"
}

make_torii_an_account() {
    secret gerrit-torii
    key_pair gerrit-torii-key torii-ci
    if ! gerrit_has /accounts/torii-ci; then
        # The name ends in CI: Gerrit's summary plug-in looks for that.
        gerrit PUT /accounts/torii-ci '{"name": "Torii CI", "email": "torii-ci@example.com"}' >/dev/null
        say "made the account torii-ci"
    fi
    if ! lets_in torii-ci gerrit-torii; then
        gerrit PUT /accounts/torii-ci/password.http "{\"http_password\": \"$(cat "$SECRETS/gerrit-torii")\"}" >/dev/null
        say "gave torii-ci a password"
    fi
    key=$(cat "$SECRETS/gerrit-torii-key.pub")
    if ! gerrit GET /accounts/torii-ci/sshkeys | grep -qF "$(echo "$key" | cut -d' ' -f2)"; then
        curl_as admin gerrit-admin --fail --output /dev/null --header 'Content-Type: text/plain' --data "$key" \
            "$GERRIT_URL/a/accounts/torii-ci/sshkeys"
        say "gave torii-ci an SSH key"
    fi
}

make_accounts() {
    wait_for "$GERRIT_URL/config/server/version" gerrit
    give_admin_a_password
    make_torii_an_account
}

case ${1:-all} in
    files) write_files ;;
    accounts) make_accounts ;;
    all)
        write_files
        install_it
        if has_systemd; then make_accounts; else say "no systemd runs here: the accounts are made when Gerrit runs"; fi
        ;;
    *) die "there is no part called $1: files, accounts or nothing" ;;
esac
