#!/bin/sh
# Jenkins: Debian package, plug-ins, casc.yaml, two agents over SSH as the user jenkins-agent, and an API token for its user `torii`.
# With an argument only a part of that: `files` writes the configuration, `token` makes the token in a Jenkins that runs.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"

agents=/var/lib/jenkins-agent
manager=/opt/jenkins-plugin-manager/jenkins-plugin-manager-$PLUGIN_MANAGER_VERSION.jar

# A file that casc.yaml reads: the same content as a secret of the lab, for Jenkins' eyes.
hand_over() { # SECRET_OF_THE_LAB NAME
    put "$JENKINS_ETC/secrets/$2" 0640 root:jenkins <"$SECRETS/$1"
}

write_files() {
    be_root
    system_user jenkins "$JENKINS_HOME" # as its package would
    system_user jenkins-agent "$agents"
    for name in agent1 agent2; do
        folder "$agents/$name" 0755 jenkins-agent:jenkins-agent
    done
    secret jenkins-admin
    secret jenkins-torii
    key_pair jenkins-agents-key jenkins-agents
    folder "$agents/.ssh" 0700 jenkins-agent:jenkins-agent
    put "$agents/.ssh/authorized_keys" 0600 jenkins-agent:jenkins-agent <"$SECRETS/jenkins-agents-key.pub"
    # Torii tells builds Gerrit's address with /a/, which asks for a password. Agents fetch as nobody, who may read everything in this Gerrit.
    put "$agents/.gitconfig" 0644 jenkins-agent:jenkins-agent <<CONFIG
[url "$GERRIT_URL/"]
	insteadOf = $GERRIT_URL/a/
CONFIG
    folder "$JENKINS_ETC/secrets" 0750 root:jenkins
    hand_over jenkins-admin JENKINS_ADMIN_PASSWORD
    hand_over jenkins-torii JENKINS_TORII_PASSWORD
    hand_over jenkins-agents-key AGENT_KEY
    # The machine's own host key, from its own disk: Jenkins speaks to no agent's machine with another.
    put "$JENKINS_ETC/secrets/AGENT_HOST_KEY" 0640 root:jenkins <<KEY
$(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)
KEY
    put "$JENKINS_ETC/casc.yaml" 0644 <"$lab/jenkins/casc.yaml"
    put_rendered "$lab/systemd/jenkins.conf" /etc/systemd/system/jenkins.service.d/torii-lab.conf
}

install_it() {
    repository jenkins "$JENKINS_REPOSITORY binary/" "$JENKINS_KEY_URL" "$JENKINS_KEY_FINGERPRINT"
    without_starting packages "jenkins=$JENKINS_VERSION"
    folder /opt/jenkins-plugin-manager
    if [ ! -e "$manager" ]; then
        fetch "$PLUGIN_MANAGER_URL.sha256" "$manager.sha256"
        download "$PLUGIN_MANAGER_URL" "$manager" "$(cut -c 1-64 "$manager.sha256")"
    fi
    if ! cmp -s "$lab/jenkins/plugins.txt" "$JENKINS_HOME/plugins/.torii-lab.txt"; then
        say "getting plug-ins"
        # --latest false: what plugins.txt does not name comes in the oldest version that will do, which is the same tomorrow.
        runuser -u jenkins -- mkdir -p "$JENKINS_HOME/plugins"
        runuser -u jenkins -- java -jar "$manager" --war /usr/share/java/jenkins.war --plugin-file "$lab/jenkins/plugins.txt" \
            --plugin-download-directory "$JENKINS_HOME/plugins" --latest false
        put "$JENKINS_HOME/plugins/.torii-lab.txt" 0644 jenkins:jenkins <"$lab/jenkins/plugins.txt"
    fi
    service jenkins.service
}

# A token works where a password would need a crumb and a session with each request. It is made as Torii's account itself would at its page.
make_token() {
    wait_for "$JENKINS_URL/login" jenkins
    if [ -s "$SECRETS/jenkins-token" ] &&
        curl_as torii jenkins-token --fail --output /dev/null "$JENKINS_URL/user/torii/api/json" 2>/dev/null; then
        return
    fi
    cookies=$(mktemp)
    crumb=$(curl_as torii jenkins-torii --fail --cookie-jar "$cookies" "$JENKINS_URL/crumbIssuer/api/json" |
        python3 -c 'import json, sys; said = json.load(sys.stdin); print(said["crumbRequestField"] + ": " + said["crumb"])') ||
        die "$JENKINS_URL does not let torii in; has it read casc.yaml? See journalctl -u jenkins"
    token=$(curl_as torii jenkins-torii --fail --cookie "$cookies" --header "$crumb" --data newTokenName=torii-lab \
        "$JENKINS_URL/user/torii/descriptorByName/jenkins.security.ApiTokenProperty/generateNewToken" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["data"]["tokenValue"])') || die "$JENKINS_URL makes no token for torii"
    rm "$cookies"
    (umask 077 && printf '%s' "$token" >"$SECRETS/jenkins-token")
    say "made an API token for torii"
}

case ${1:-all} in
    files) write_files ;;
    token) make_token ;;
    all)
        write_files
        install_it
        if has_systemd; then make_token; else say "no systemd runs here: the token is made when Jenkins runs"; fi
        ;;
    *) die "there is no part called $1: files, token or nothing" ;;
esac
