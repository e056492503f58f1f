"""What the end of a build in Jenkins means. The traces are those of a real Jenkins 2.372, shortened."""

from __future__ import annotations

import pytest

from torii.jenkins import Build
from torii.model.build import Result
from torii.results.verdict import verdict

FRAMES = """\
\tat hudson.remoting.Channel.call(Channel.java:993)
\tat hudson.FilePath.act(FilePath.java:1186)
\tat hudson.tasks.CommandInterpreter.perform(CommandInterpreter.java:163)
\tat hudson.model.AbstractBuild$AbstractBuildExecution.perform(AbstractBuild.java:818)
\tat hudson.model.Run.execute(Run.java:1900)
\tat hudson.model.FreeStyleBuild.run(FreeStyleBuild.java:44)
\tat hudson.model.ResourceController.execute(ResourceController.java:107)
\tat hudson.model.Executor.run(Executor.java:449)
"""
AGENT_KILLED = f"""\
tick 1
FATAL: Unable to delete script file /tmp/jenkins1.sh
java.io.EOFException
\tat java.base/java.io.ObjectInputStream$PeekInputStream.readFully(ObjectInputStream.java:2911)
\tat hudson.remoting.SynchronousCommandTransport$ReaderThread.run(SynchronousCommandTransport.java:61)
Caused: java.io.IOException: Unexpected termination of the channel
\tat hudson.remoting.SynchronousCommandTransport$ReaderThread.run(SynchronousCommandTransport.java:75)
Caused: hudson.remoting.ChannelClosedException: Channel "hudson.remoting.Channel@235bf711:agent3": Remote call on agent3 failed. \
The channel is closing down or has closed down
{FRAMES}Build step 'Execute shell' marked build as failure
Finished: FAILURE
"""
SHUT_DOWN = """\
tick 2
FATAL: null
java.lang.IllegalStateException: Jenkins.instance is missing. Read the documentation of Jenkins.getInstanceOrNull to see what you did.
\tat jenkins.model.Jenkins.get(Jenkins.java:813)
\tat hudson.tasks.BuildTrigger.execute(BuildTrigger.java:274)
\tat hudson.model.AbstractBuild$AbstractBuildExecution.cleanUp(AbstractBuild.java:728)
\tat hudson.model.Run.execute(Run.java:1947)
\tat hudson.model.ResourceController.execute(ResourceController.java:107)
\tat hudson.model.Executor.run(Executor.java:449)
Finished: ABORTED
"""
OFFLINE = """\
+ make test
Agent went offline during the build
ERROR: Connection was broken: java.util.concurrent.TimeoutException: Ping started at 1 hasn't completed by 2
Build step 'Execute shell' marked build as failure
Finished: FAILURE
"""
OWN_FAILURE = """\
Exception in thread "main" java.nio.channels.ClosedChannelException
\tat java.base/sun.nio.ch.SocketChannelImpl.ensureOpen(SocketChannelImpl.java:195)
\tat com.example.Client.main(Client.java:12)
Build step 'Execute shell' marked build as failure
Finished: FAILURE
"""
FAILED = "+ make test\nmake: *** [test] Error 2\nBuild step 'Execute shell' marked build as failure\nFinished: FAILURE\n"


def build(result: Result, node: str = "agent3", causes: tuple[str, ...] = ("Started by user torii",)) -> Build:
    return Build("app--main--unit", 26, "http://jenkins/job/app--main--unit/26/", result, result.value, node=node, causes=causes)


@pytest.mark.parametrize(
    ("result", "tail", "words"),
    [
        (Result.FAILURE, AGENT_KILLED, "the agent agent3 was lost in the build: hudson.remoting.ChannelClosedException"),
        (Result.ABORTED, SHUT_DOWN, "Jenkins was shut down in the build"),
        (Result.FAILURE, OFFLINE, "the agent agent3 went offline in the build"),
    ],
    ids=["agent", "controller", "offline"],
)
def test_a_build_that_broke_with_its_agent_or_controller_is_lost(result, tail, words):
    found, detail = verdict(build(result), tail)
    assert found is Result.LOST
    assert detail.startswith(words)


@pytest.mark.parametrize("result", [Result.SUCCESS, Result.UNSTABLE, Result.NOT_BUILT])
def test_a_result_that_no_broken_agent_gives_stays_what_it_is(result):
    assert verdict(build(result), AGENT_KILLED)[0] is result


def test_a_trace_that_the_build_itself_printed_blames_nobody_else():
    assert verdict(build(Result.FAILURE), OWN_FAILURE)[0] is Result.FAILURE


def test_a_trace_of_jenkins_that_the_build_went_on_after_does_not_excuse_its_failure():
    printed = AGENT_KILLED.replace("Build step", "[ERROR] There are test failures.\nBuild step")
    assert verdict(build(Result.FAILURE), printed)[0] is Result.FAILURE


def test_another_trouble_of_a_step_in_jenkins_is_a_failure():
    tail = AGENT_KILLED.replace("Unexpected termination of the channel", "error=7, Argument list too long").replace(
        "hudson.remoting.ChannelClosedException", "java.io.IOException"
    )
    assert verdict(build(Result.FAILURE), tail)[0] is Result.FAILURE


def test_words_about_an_agent_that_went_offline_mean_nothing_where_the_build_prints_on():
    tail = OFFLINE.replace("Build step", "3 tests failed\nBuild step")
    assert verdict(build(Result.FAILURE), tail)[0] is Result.FAILURE


def test_what_jenkins_does_after_a_lost_step_hides_nothing():
    tail = AGENT_KILLED.replace(
        "Finished:", "Archiving artifacts\nERROR: Step 'Archive the artifacts' failed: no workspace for on-special #26\nFinished:"
    )
    assert verdict(build(Result.FAILURE), tail)[0] is Result.LOST


NOT_FETCHED = """\
Running as SYSTEM
ERROR: Error fetching remote repo 'origin'
hudson.plugins.git.GitException: Failed to fetch from https://git.example.com/app
\tat hudson.plugins.git.GitSCM.fetchFrom(GitSCM.java:999)
\tat hudson.model.Executor.run(Executor.java:449)
Caused by: hudson.plugins.git.GitException: Command "git fetch" returned status code 128:
stderr: fatal: unable to access 'https://git.example.com/app/': Could not resolve host: git.example.com

ERROR: Error fetching remote repo 'origin'
Archiving artifacts
Recording test results
Finished: FAILURE
"""


def test_a_checkout_that_fails_blames_no_change():
    words = "the tested commit could not be checked out: Error fetching remote repo 'origin'"
    assert verdict(build(Result.FAILURE), NOT_FETCHED) == (Result.LOST, words)
    gone = "ERROR: Couldn't find any revision to build. Verify the repository and branch configuration for this job.\nFinished: FAILURE\n"
    assert verdict(build(Result.FAILURE), gone)[0] is Result.LOST


def test_a_build_that_speaks_of_a_failed_checkout_itself_is_a_failure():
    own = "+ make\nERROR: Error fetching remote repo 'origin'\nBuild step 'Execute shell' marked build as failure\nFinished: FAILURE\n"
    assert verdict(build(Result.FAILURE), own)[0] is Result.FAILURE
    assert verdict(build(Result.FAILURE), "ERROR: Error fetching remote repo 'origin'\n+ make\nFinished: FAILURE\n")[0] is Result.FAILURE


def test_a_failure_says_which_step_failed_and_what_jenkins_says_of_it():
    assert verdict(build(Result.FAILURE), FAILED) == (Result.FAILURE, "the step 'Execute shell' failed")
    tail = "ERROR: Unable to find the credential of this job.\nFinished: FAILURE\n"
    assert verdict(build(Result.FAILURE), tail) == (Result.FAILURE, "Unable to find the credential of this job.")


def test_why_it_was_started_is_no_reason_for_its_failure():
    assert verdict(build(Result.FAILURE, causes=("Gestartet durch Benutzer torii",)), FAILED)[1] == "the step 'Execute shell' failed"


def test_an_aborted_build_says_by_whom():
    tail = "tick 1\nTerminated\nBuild was aborted\nAborted by admin\nFinished: ABORTED\n"
    assert verdict(build(Result.ABORTED), tail) == (Result.ABORTED, "aborted in Jenkins by admin")
    assert verdict(build(Result.ABORTED), "Finished: ABORTED\n") == (Result.ABORTED, "aborted in Jenkins")


def test_an_abort_by_the_timeout_plugin_is_a_timeout():
    tail = "tick\nBuild timed out (after 30 minutes). Marking the build as aborted.\nBuild was aborted\nFinished: ABORTED\n"
    assert verdict(build(Result.ABORTED), tail) == (Result.TIMED_OUT, "timed out after 30 minutes")
    assert verdict(build(Result.FAILURE), tail)[0] is Result.FAILURE
    assert verdict(build(Result.TIMED_OUT), tail) == (Result.TIMED_OUT, "timed out after 30 minutes")


def test_a_success_says_nothing_and_hostile_words_stay_a_line():
    assert verdict(build(Result.SUCCESS), FAILED) == (Result.SUCCESS, "")
    detail = verdict(build(Result.FAILURE), "ERROR: \x1b[31mred\x07 \u202etxet" + "x" * 5000 + "\nFinished: FAILURE\n")[1]
    assert detail.isprintable()
    assert len(detail) <= 600


def test_a_log_that_is_empty_or_odd_hides_no_result():
    for tail in ("", "\n" * 70_000, "\x00" * 1000, "\tat hudson.model.Executor.run(Executor.java:449)\n" * 1000):
        assert verdict(build(Result.FAILURE), tail)[0] is Result.FAILURE
