"""`torii demo`: two repositories, a whole Torii, and a story that is played on them and checked.

`place` is the folder it happens in, `projects` what the repositories hold and which changes are made to them, `clones` the git commands
of the people who push. `workshop` says what a home of changes is to the story: `plain` is one of bare repositories, `gerrit` a Gerrit that
is booted for it; `jenkins` and `gerrit_jenkins` are the same with their builds in a Jenkins. That is named by `jenkins_venue`, looked at by
`jenkins_check`, used through `jenkins_builds` and left as it was by `jenkins_sweep`; `git_http` is where it fetches from.

`engine` is the Torii, `story` what is pushed and waited for. `snapshot` reads how things stand, `screen` lays that out, `presenter` shows
it, `picture` keeps a moment of it. In the end `evidence` gathers what git, the workshop and the store say, `expectations` says in what that
is not as it should be, and `ending` prints both. `play` runs it all.
"""
