"""A Jenkins for tests, with its Gearman plug-in: it answers as a real one was recorded to (2.372, gearman-plugin 0.5.0), and runs jobs.

    from torii.testing.jenkins import FakeJenkins, FakeNode, job_xml

    with FakeJenkins(tmp_path, gearman=[server.address], nodes=[FakeNode("agent1", ("linux",), executors=2)]) as fake:
        fake.url, fake.user, fake.token            # for python-jenkins, Jenkins Job Builder, torii.jenkins.Controller; also fake.password
        fake.add_job("team/app", job_xml("echo hello"))   # or createItem over HTTP; a folder in the name is made with it

*Builds* run the shell steps of their config.xml with the code of Torii's own worker, into a console log, a test report and artifacts as
Jenkins has them. `fake.hold("app*")` has builds wait instead, until `fake.release("app", 3, "FAILURE")` (without a number: the oldest);
`fake.instant("SUCCESS")` ends them at once, for benchmarks; `fake.for_real("app")` takes that back. The newest word about a job counts.
`fake.build(job, number)`, `fake.find(uuid)`, `fake.running()`, `fake.queue()`, `fake.wait_for_build`, `fake.wait_until_over` look at them;
`build.parameters`, `.result`, `.description`, `.artifacts` (path: bytes or a file) and `.tests` are there to be read and set.

*Logs*: `fake.write(job, number, bytes)` appends anything, NULs and broken UTF-8 too; `fake.huge_log(job, number, 500 << 20)` makes one
that is stored nowhere. `X-Text-Size` is not the length of the text: there are CRLFs, and notes that are not shown.

*Faults*: `fake.fault(kind, pattern, times, seconds)` for the next requests that match (`"GET .*/api/json"`): 401, 403, "login" (403 with
the page that leads to the login), 404, 409, 500, 502, 503, "html" (200, where JSON was due), "slow", "cut", "half" (cut in the body),
"after" (cut when it was done). `fake.down()`/`up()`: HTTP refuses, builds go on. `fake.restart(kill=True)`, or `end(kill)` and `boot()`:
the process ends in the middle of builds. `fake.kill_node(name)`/`revive_node`, `take_offline`, `quiet_down(True)`/`quiet_down(False)`,
`add_node`, `start_build`, `stop_build`, `delete_build`, `cancel`, `delete_job`, `disable_job`, `rename_job`: what people do.
`fake.cut_gearman()`. `fake.say(Words())` with a class of your own puts garbage into WORK_DATA or a second WORK_COMPLETE on the wire.
`fake.allow("Overall/Read", ...)` and `fake.allow_anonymous(...)` take permissions away. `FakeJenkins(plugins={...})` chooses plug-ins:
without `junit` there are no test reports.

`fake.lag = 0.05` has an item that left the queue name no build for a moment, `fake.quiet_period = 5.0` has builds wait, as a real one may.
On the wire a job goes by its short name, so that two of one name in two folders are mistaken for each other; `stop:` and
`set_description:` want the full name. (No job in a folder was recorded: this is the worse of what may be.)

What it leaves out: a real plug-in stalls for up to 5 s between builds on a saturated node, looks every 5 s whether a quiet-down is over,
and does not come back from a proxy that accepts and closes; a build stopped within milliseconds of its start may fail there instead of
being aborted; a job whose reports or artifacts are missing fails there unless it says otherwise; pipelines and matrix jobs are shown
here, but run nothing. What is no UTF-8 in a log arrives here as it is; a real one may put U+FFFD in its place. Pages are as much of HTML
as a program could care for.
"""

from torii.testing.jenkins.fake import PLUGINS, FakeJenkins
from torii.testing.jenkins.plugin import Words
from torii.testing.jenkins.routes import Account
from torii.testing.jenkins.samples import job_xml
from torii.testing.jenkins.state import Build, FakeNode

__all__ = ["PLUGINS", "Account", "Build", "FakeJenkins", "FakeNode", "Words", "job_xml"]
