#!/bin/sh
# The sample project `hello`: in git, in Gerrit, with jobs in Jenkins, and a first change that Torii votes on. Torii is started here.
# With an argument only one part: `tree`, `project`, `rights`, `jobs`, `start` or `change`, in this order.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"

: "${TORII:=/usr/local/bin/torii}"
home=$(getent passwd "$LAB_USER" | cut -d: -f6)
: "${SAMPLE:=${home:-/srv}/hello}"
server=$TORII_ETC/server.yml
subject='Greet whoever looks at the lab'

# Runs a command as a user of this machine, in a home of their own; where there is no such user, as who runs the step.
as() { # USER COMMAND [ARGUMENT...]
    if id "$1" >/dev/null 2>&1 && [ "$(id -un)" != "$1" ]; then
        user=$1
        shift
        runuser -u "$user" -- env "HOME=$(getent passwd "$user" | cut -d: -f6)" "$@"
    else
        shift
        "$@"
    fi
}

sample_git() {
    as "$LAB_USER" git -C "$SAMPLE" "$@"
}

# A work tree with the first commit, whoever asks: the one who works in it is Gerrit's administrator.
make_tree() {
    if [ ! -d "$SAMPLE/.git" ]; then
        as "$LAB_USER" git init --quiet --initial-branch main "$SAMPLE"
        sample_git config user.name Administrator
        sample_git config user.email admin@example.com
        sample_git config credential.helper "store --file=$SAMPLE/.git/lab-credentials"
        sample_git remote add origin "$GERRIT_URL/a/hello"
    fi
    if ! sample_git rev-parse --quiet --verify main >/dev/null; then
        for file in "$lab"/sample/*; do
            as "$LAB_USER" tee "$SAMPLE/${file##*/}" <"$file" >/dev/null
        done
        sample_git add .
        sample_git commit --quiet --message 'Say hello, and have Torii test it'
        say "made $SAMPLE"
    fi
}

make_project() {
    wait_for "$GERRIT_URL/config/server/version" gerrit
    if ! gerrit_has /projects/hello; then
        gerrit PUT /projects/hello '{"description": "The sample of the lab of Torii", "branches": ["main"]}' >/dev/null
        say "made the project hello"
    fi
    if [ ! -s "$SAMPLE/.git/lab-credentials" ]; then
        as "$LAB_USER" install -m 0600 /dev/null "$SAMPLE/.git/lab-credentials"
        echo "${GERRIT_URL%%://*}://admin:$(cat "$SECRETS/gerrit-admin")@${GERRIT_URL#*://}" >"$SAMPLE/.git/lab-credentials"
    fi
    if [ ! -x "$SAMPLE/.git/hooks/commit-msg" ]; then
        as "$LAB_USER" curl --noproxy '*' --fail --silent --show-error --output "$SAMPLE/.git/hooks/commit-msg" "$GERRIT_URL/tools/hooks/commit-msg"
        as "$LAB_USER" chmod +x "$SAMPLE/.git/hooks/commit-msg"
    fi
    if ! gerrit_has /projects/hello/branches/main; then
        said=$(sample_git push --quiet origin main 2>&1) || die "$said"
        say "pushed its branch main"
    fi
}

# Agents fetch what is tested as nobody: no password lies where a stranger's change is built. What stands in staging refs is made of
# changes that everybody may see in this Gerrit; where that is not so, agents need an account that may read them and do nothing else.
let_agents_read() {
    ! gerrit GET /projects/All-Projects/access | tail -n +2 | python3 -c '
import json, sys

section = json.load(sys.stdin)["local"].get("refs/staging/*", {})
sys.exit("global:Anonymous-Users" not in section.get("permissions", {}).get("read", {}).get("rules", {}))' || return 0
    gerrit POST /projects/All-Projects/access \
        '{"add": {"refs/staging/*": {"permissions": {"read": {"rules": {"global:Anonymous-Users": {"action": "ALLOW"}}}}}}}' >/dev/null
    say "let everybody read refs/staging/*"
}

# Label, submit requirement and permissions; then all of it is tried.
give_rights() {
    let_agents_read
    GERRIT_ADMIN_PASSWORD=$(cat "$SECRETS/gerrit-admin")
    export GERRIT_ADMIN_PASSWORD
    as torii "$TORII" gerrit setup --server "$server" --apply --admin-user admin --admin-password env:GERRIT_ADMIN_PASSWORD
    as torii "$TORII" gerrit check --server "$server" --admin-user admin --admin-password env:GERRIT_ADMIN_PASSWORD
}

make_jobs() {
    as torii "$TORII" sync-jobs --server "$server"
    # Agents may still be on their way: until they are there, their labels are nobody's.
    waited=0
    until said=$(as torii "$TORII" jenkins check --server "$server"); do
        if [ "$waited" -ge "$LAB_PATIENCE" ]; then
            printf '%s\n' "$said"
            die "this Jenkins is not as Torii needs it; each line above that begins with FAIL says what to do"
        fi
        sleep 5
        waited=$((waited + 5))
    done
    printf '%s\n' "$said"
}

start_torii() {
    service torii.service
    ! has_systemd || wait_for "$TORII_URL/health" torii
}

vote() { # NUMBER
    gerrit GET "/changes/$1/detail" | tail -n +2 | python3 -c '
import json, sys

label = json.load(sys.stdin)["labels"].get("Verified", {})
print(next((vote["value"] for vote in label.get("all", []) if vote.get("value")), 0))'
}

number_of_change() {
    gerrit GET "/changes/?q=project:hello+owner:admin+branch:main&n=50" | tail -n +2 | python3 -c '
import json, sys

print(*[change["_number"] for change in json.load(sys.stdin) if change["subject"] == sys.argv[1]][:1])' "$subject"
}

make_change() {
    number=$(number_of_change)
    if [ -z "$number" ]; then
        sample_git fetch --quiet origin
        sample_git checkout --quiet -B first-change origin/main
        as "$LAB_USER" sed -i 's/greeting("lab")/greeting("whoever looks at the lab")/' "$SAMPLE/hello.py"
        sample_git commit --quiet --all --message "$subject"
        said=$(sample_git push --quiet origin HEAD:refs/for/main 2>&1) || die "$said"
        sample_git checkout --quiet main
        number=$(number_of_change)
        say "pushed $GERRIT_URL/c/hello/+/$number"
    fi
    waited=0
    while found=$(vote "$number") && [ "$found" -eq 0 ]; do
        [ "$waited" -lt "$LAB_PATIENCE" ] || die "Torii has not voted on change $number after $LAB_PATIENCE s: torii explain --server $server review:$number"
        sleep 2
        waited=$((waited + 2))
    done
    [ "$found" -gt 0 ] || die "Torii voted Verified $found on $GERRIT_URL/c/hello/+/$number; its message there says which build failed"
    say "Torii's vote on change $number is Verified +$found"
}

case ${1:-all} in
    tree) make_tree ;;
    project) make_project ;;
    rights) give_rights ;;
    jobs) make_jobs ;;
    start) start_torii ;;
    change) make_change ;;
    all)
        be_root
        make_tree
        if has_systemd; then
            make_project
            give_rights
            make_jobs
            start_torii
            make_change
        else
            say "no systemd runs here: the project, its jobs and its change are made when Gerrit, Jenkins and Torii run"
        fi
        ;;
    *) die "there is no part called $1: tree, project, rights, jobs, start, change or nothing" ;;
esac
