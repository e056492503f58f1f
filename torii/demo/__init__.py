"""`torii demo`: two repositories, a whole Torii, and a story that is played on them and checked.

`place` is the folder it happens in, `projects` what the repositories hold and which changes are made to them, `workshop` the git
commands of the people who push, `story` what they push and wait for. `snapshot` reads how things stand, `screen` lays that out,
`presenter` shows it, `picture` keeps a moment of it. In the end `evidence` gathers what git, the notes and the store say, `expectations`
says in what that is not as it should be, and `ending` prints both. `play` runs it all.
"""
