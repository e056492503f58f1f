"""What Torii relies on in a Jenkins with the Gearman plug-in. One suite: the fake is held to it, and so is every real Jenkins.

A real one may have anything already: nothing is assumed of its jobs, and of its nodes only that one runs jobs without a label.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Any

import jenkins
import pytest
import requests

from tests.support.jenkins_lab import JenkinsLab
from torii.testing.jenkins import job_xml

HELLO = "#!/bin/sh\necho hello from $TORII_UUID"
WAIT = "#!/bin/sh\necho begun\nwhile ! [ -e ended ]; do sleep 0.1; done"


class JenkinsContract:
    """Subclass it with a fixture `lab` that gives a `JenkinsLab`."""

    # -- jobs

    def test_a_job_is_made_and_read_back(self, lab: JenkinsLab) -> None:
        xml = job_xml(HELLO, description="said <b>once</b> & never again, naïvely")
        job = lab.job("made", xml)
        info = lab.jenkins.get_job_info(job)
        assert (info["_class"], info["buildable"], info["nextBuildNumber"]) == ("hudson.model.FreeStyleProject", True, 1)
        assert info["description"] == "said <b>once</b> & never again, naïvely"
        assert [each["name"] for each in info["property"][-1]["parameterDefinitions"]] == ["TORII_UUID"]
        assert "hello from $TORII_UUID" in lab.jenkins.get_job_config(job)
        assert job in [each["name"] for each in lab.jenkins.get_all_jobs()]

    def test_a_job_is_changed_disabled_and_deleted(self, lab: JenkinsLab) -> None:
        job = lab.job("changed", job_xml(HELLO))
        lab.jenkins.reconfig_job(job, job_xml(HELLO, description="changed"))
        assert lab.jenkins.get_job_info(job)["description"] == "changed"
        lab.jenkins.disable_job(job)
        disabled = lab.jenkins.get_job_info(job)
        assert (disabled["buildable"], disabled["color"]) == (False, "disabled")
        assert lab.post(f"job/{job}/buildWithParameters").status_code == 409
        lab.jenkins.enable_job(job)
        assert lab.jenkins.get_job_info(job)["buildable"]
        lab.jenkins.delete_job(job)
        assert not lab.jenkins.job_exists(job)
        assert lab.get(f"job/{job}/api/json").status_code == 404

    def test_what_is_no_job_is_refused(self, lab: JenkinsLab) -> None:
        job = lab.job("refused", job_xml(HELLO))
        headers = {"Content-Type": "text/xml"}
        again = lab.post("createItem", params={"name": job}, data=job_xml(HELLO), headers=headers)
        assert (again.status_code, "already exists" in again.headers["X-Error"]) == (400, True)
        odd = lab.post("createItem", params={"name": f"{lab.prefix}?"}, data=job_xml(HELLO), headers=headers)
        assert (odd.status_code, "unsafe character" in odd.headers["X-Error"]) == (400, True)
        assert lab.post("createItem", params={"name": f"{lab.prefix}-bad"}, data="<project>", headers=headers).status_code == 500
        assert lab.post(f"job/{job}/config.xml", data="<project>", headers=headers).status_code == 500

    def test_a_job_is_renamed(self, lab: JenkinsLab) -> None:
        job = lab.job("before", job_xml(HELLO))
        lab.made.append(f"{lab.prefix}-after")
        lab.jenkins.rename_job(job, f"{lab.prefix}-after")
        assert lab.jenkins.job_exists(f"{lab.prefix}-after")
        assert not lab.jenkins.job_exists(job)

    def test_jenkins_job_builder_makes_jobs(self, lab: JenkinsLab, tmp_path: pathlib.Path) -> None:
        job = f"{lab.prefix}-jjb"
        lab.made.append(job)
        (tmp_path / "jobs.yaml").write_text(f"- job:\n    name: {job}\n    builders:\n      - shell: echo made by JJB\n")
        conf = f"[jenkins]\nurl={lab.url}\nuser={lab.user}\npassword={lab.token}\nquery_plugins_info=False\n"
        (tmp_path / "jjb.ini").write_text(conf)
        program = pathlib.Path(sys.executable).with_name("jenkins-jobs")
        command = [program, "--conf", tmp_path / "jjb.ini", "--flush-cache", "update", tmp_path / "jobs.yaml"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env={"HOME": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        assert "echo made by JJB" in lab.jenkins.get_job_config(job)
        assert lab.ended(job, lab.start(job))["result"] == "SUCCESS"

    # -- who may

    def test_wrong_credentials_are_401_and_none_are_no_secret(self, lab: JenkinsLab) -> None:
        assert requests.get(f"{lab.url}/api/json", auth=(lab.user, "wrong"), timeout=30).status_code == 401
        job = lab.job("closed", job_xml(HELLO))
        refused = requests.post(f"{lab.url}/job/{job}/doDelete", timeout=30, allow_redirects=False)
        assert refused.status_code == 403

    def test_it_says_who_somebody_is_and_which_it_is(self, lab: JenkinsLab) -> None:
        assert lab.get("whoAmI/api/json").json()["name"] == lab.user
        assert lab.jenkins.get_version()[0].isdigit()

    # -- builds over REST

    def test_a_build_goes_from_the_queue_to_its_end(self, lab: JenkinsLab) -> None:
        job = lab.job("built", job_xml(HELLO, parameters=("TORII_UUID", "COLOUR=blue")))
        asked = lab.post(f"job/{job}/buildWithParameters", data={"TORII_UUID": "u-1", "UNDECLARED": "x"})
        assert asked.status_code == 201
        item = int(asked.headers["Location"].rstrip("/").rpartition("/")[2])
        number = lab.until(lambda: lab.jenkins.get_queue_item(item).get("executable"))["number"]
        found = lab.ended(job, number)
        assert (number, found["result"], found["queueId"], found["building"]) == (1, "SUCCESS", item, False)
        assert parameters_of(found) == {"TORII_UUID": "u-1", "COLOUR": "blue"}
        log = lab.jenkins.get_build_console_output(job, number)
        assert "hello from u-1\n" in log
        assert log.endswith("Finished: SUCCESS\n")
        assert lab.jenkins.get_queue_item(item)["cancelled"] is False

    @pytest.mark.parametrize(("script", "result"), [("exit 1", "FAILURE"), ("exit 0", "SUCCESS")])
    def test_a_script_decides_the_result(self, lab: JenkinsLab, script: str, result: str) -> None:
        job = lab.job(f"ends-{result.lower()}", job_xml(script, parameters=()))
        assert lab.ended(job, lab.start(job))["result"] == result

    def test_equal_parameters_in_the_queue_are_one_item(self, lab: JenkinsLab) -> None:
        quiet = job_xml(HELLO).replace("<disabled>", "<quietPeriod>30</quietPeriod><disabled>")
        job = lab.job("merged", quiet)
        first, same, other = (lab.post(f"job/{job}/buildWithParameters", data={"TORII_UUID": uuid}) for uuid in ("a", "a", "b"))
        assert [first.status_code, same.status_code, other.status_code] == [201, 303, 201]
        assert same.headers["Location"] == first.headers["Location"] != other.headers["Location"]
        item = int(first.headers["Location"].rstrip("/").rpartition("/")[2])
        assert "quiet period" in lab.jenkins.get_queue_item(item)["why"]
        assert lab.post("queue/cancelItem", params={"id": item}).status_code in (204, 302)
        cancelled = lab.jenkins.get_queue_item(item)
        assert (cancelled["cancelled"], cancelled.get("executable")) == (True, None)
        assert lab.jenkins.get_job_info(job)["builds"] == []

    def test_parameters_must_be_given_where_a_job_declares_some(self, lab: JenkinsLab) -> None:
        job = lab.job("declares", job_xml(HELLO))
        assert lab.post(f"job/{job}/build").status_code == 400

    def test_what_waits_says_for_what(self, lab: JenkinsLab) -> None:
        job = lab.job("nowhere", job_xml(HELLO, label=f"{lab.prefix}-nowhere"))
        asked = lab.post(f"job/{job}/buildWithParameters", data={"TORII_UUID": "waits"})
        item = int(asked.headers["Location"].rstrip("/").rpartition("/")[2])
        lab.until(lambda: "label" in (lab.jenkins.get_queue_item(item)["why"] or ""))
        tree = "items[id,why,stuck,task[name],actions[parameters[name,value]]]"
        found = [each for each in lab.get("queue/api/json", params={"tree": tree}).json()["items"] if each["id"] == item]
        assert [(each["task"]["name"], parameters_of(each)) for each in found] == [(job, {"TORII_UUID": "waits"})]
        lab.post("queue/cancelItem", params={"id": item})

    def test_a_build_is_stopped(self, lab: JenkinsLab) -> None:
        job = lab.job("stopped", job_xml(WAIT, parameters=()))
        number = lab.start(job)
        lab.until(lambda: "begun" in lab.jenkins.get_build_console_output(job, number))
        lab.jenkins.stop_build(job, number)
        assert lab.ended(job, number)["result"] == "ABORTED"
        assert lab.post(f"job/{job}/{number}/stop").status_code == 302

    def test_what_runs_is_seen_at_the_executors(self, lab: JenkinsLab) -> None:
        job = lab.job("seen", job_xml(WAIT))
        number = lab.start(job, TORII_UUID="seen-there")
        tree = "computer[displayName,executors[currentExecutable[number,url,actions[parameters[name,value]]]]]"

        def running() -> list[tuple[int, str]]:
            computers = lab.get("computer/api/json", params={"tree": tree}).json()["computer"]
            executables = [each["currentExecutable"] for computer in computers for each in computer["executors"]]
            return [(each["number"], each["url"]) for each in executables if each and parameters_of(each) == {"TORII_UUID": "seen-there"}]

        [(there, url)] = lab.until(running)
        assert (there, url.rstrip("/").endswith(f"/job/{job}/{number}")) == (number, True)
        lab.jenkins.stop_build(job, number)

    def test_a_build_is_found_by_its_uuid(self, lab: JenkinsLab) -> None:
        job = lab.job("found", job_xml(HELLO))
        for uuid in ("one", "two"):
            lab.ended(job, lab.start(job, TORII_UUID=uuid))
        tree = "builds[number,result,building,actions[parameters[name,value]]]{0,50}"
        builds = lab.get(f"job/{job}/api/json", params={"tree": tree}).json()["builds"]
        assert [(each["number"], each["result"], parameters_of(each)) for each in builds] == [
            (2, "SUCCESS", {"TORII_UUID": "two"}),
            (1, "SUCCESS", {"TORII_UUID": "one"}),
        ]

    # -- what a build leaves

    def test_a_log_is_read_in_pieces(self, lab: JenkinsLab) -> None:
        """NULs arrive, lines end with CRLF, what is not shown counts in the size, past the end is the start.

        So do bytes that are no UTF-8, or what Jenkins puts in their place.
        """
        job = lab.job(
            "log", job_xml("#!/bin/sh\nprintf 'nul \\000 odd \\377 end\\n'; i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done")
        )
        number = lab.start(job, TORII_UUID="log")
        pieces, start, more = b"", 0, True
        while more:
            piece = lab.get(f"job/{job}/{number}/logText/progressiveText", params={"start": start})
            pieces, start, more = pieces + piece.content, int(piece.headers["X-Text-Size"]), piece.headers.get("X-More-Data") == "true"
        whole = lab.get(f"job/{job}/{number}/consoleText").content
        assert pieces.decode("utf-8", "replace").replace("\r\n", "\n") == whole.decode("utf-8", "replace")
        assert pieces.count(b"\r\n") == whole.count(b"\n") > 200
        assert "nul \0 odd \N{REPLACEMENT CHARACTER} end\n" in whole.decode("utf-8", "replace")
        assert start >= len(whole) - 2  # one byte may have become three
        rest = lab.get(f"job/{job}/{number}/logText/progressiveText", params={"start": start})
        assert (rest.content, rest.headers["X-Text-Size"]) == (b"", str(start))
        assert lab.get(f"job/{job}/{number}/logText/progressiveText", params={"start": start + 1000}).content == pieces
        assert lab.get(f"job/{job}/{number}/logText/progressiveText", params={"start": "x"}).status_code == 500
        assert lab.get(f"job/{job}/999/logText/progressiveText").status_code == 404

    def test_artifacts_are_listed_and_fetched(self, lab: JenkinsLab) -> None:
        script = "#!/bin/sh\nmkdir -p out/deep\necho one >out/one.txt\nprintf '\\000\\001\\377' >'out/deep/a b é.bin'"
        job = lab.job("artifacts", job_xml(script, parameters=(), artifacts="out/**"))
        number = lab.start(job)
        found = lab.ended(job, number)
        assert sorted(each["relativePath"] for each in found["artifacts"]) == ["out/deep/a b é.bin", "out/one.txt"]
        assert lab.get(f"job/{job}/{number}/artifact/out/one.txt").content == b"one\n"
        assert lab.get(f"job/{job}/{number}/artifact/out/deep/a%20b%20%C3%A9.bin").content == b"\x00\x01\xff"
        assert lab.get(f"job/{job}/{number}/artifact/out/two.txt").status_code == 404

    def test_failed_tests_make_a_build_unstable(self, lab: JenkinsLab) -> None:
        """A real Jenkins needs the plug-in `junit` for it."""
        cases = '<testcase classname="a.B" name="good"/><testcase classname="a.B" name="bad"><failure message="no">why</failure></testcase>'
        script = f"#!/bin/sh\necho '<testsuite name=\"s\">{cases}</testsuite>' >report.xml"
        job = lab.job("tests", job_xml(script, parameters=(), junit="report.xml"))
        number = lab.start(job)
        assert lab.ended(job, number)["result"] == "UNSTABLE"
        report = lab.get(f"job/{job}/{number}/testReport/api/json").json()
        assert (report["passCount"], report["failCount"], report["skipCount"]) == (1, 1, 0)
        names = [(each["className"], each["name"], each["status"]) for suite in report["suites"] for each in suite["cases"]]
        assert names[0] == ("a.B", "good", "PASSED")
        assert (names[1][:2], names[1][2] in ("FAILED", "REGRESSION")) == (("a.B", "bad"), True)

    def test_a_build_without_tests_has_no_report(self, lab: JenkinsLab) -> None:
        job = lab.job("no-tests", job_xml(HELLO))
        number = lab.start(job, TORII_UUID="none")
        lab.ended(job, number)
        assert lab.get(f"job/{job}/{number}/testReport/api/json").status_code == 404

    def test_a_build_is_described_and_deleted(self, lab: JenkinsLab) -> None:
        job = lab.job("described", job_xml(HELLO))
        number = lab.start(job, TORII_UUID="described")
        lab.ended(job, number)
        assert lab.post(f"job/{job}/{number}/submitDescription", data={"description": "<i>é</i>"}).status_code == 302
        assert lab.jenkins.get_build_info(job, number)["description"] == "<i>é</i>"
        lab.jenkins.delete_build(job, number)
        with pytest.raises(jenkins.JenkinsException, match="does not exist"):
            lab.jenkins.get_build_info(job, number)

    # -- the Gearman plug-in

    def test_a_gearman_job_is_a_build(self, lab: JenkinsLab) -> None:
        job = lab.job(
            "gearman", job_xml("#!/bin/sh\necho A=${A-unset} B=${B-unset} U=${UNDECLARED-unset}", parameters=("TORII_UUID", "A=a", "B=b"))
        )
        heard = lab.submit(f"build:{job}", {"TORII_UUID": "g-1", "A": "given", "UNDECLARED": "x"})
        assert lab.wait(heard) == ["created", "data", "status", "complete"]
        begun, done = heard.of("data"), heard.of("complete")
        assert (begun["name"], begun["number"], done["result"]) == (job, 1, "SUCCESS")
        assert {**begun, "result": "", "node_name": "", "node_labels": []} == {**done, "result": "", "node_name": "", "node_labels": []}
        assert begun["worker"].rpartition("_exec-")[1] == "_exec-"
        found = lab.ended(job, 1)
        assert parameters_of(found) == {"TORII_UUID": "g-1", "A": "given"}
        assert "A=given B=unset U=unset" in lab.jenkins.get_build_console_output(job, 1)
        assert float(heard.of("status")[0]) >= 0
        assert heard.of("status")[1] == "-1"

    @pytest.mark.parametrize(("script", "result"), [("exit 1", "FAILURE"), ("exit 3", "UNSTABLE")])
    def test_every_result_completes_a_gearman_job(self, lab: JenkinsLab, script: str, result: str) -> None:
        xml = job_xml(script).replace("</command>", "</command><unstableReturn>3</unstableReturn>")
        job = lab.job(f"gearman-{result.lower()}", xml)
        heard = lab.submit(f"build:{job}", {"TORII_UUID": "r-1"})
        lab.wait(heard)
        assert heard.of("complete")["result"] == result

    @pytest.mark.parametrize("payload", [b"", b"no JSON", b"[]x", b'{"a":{"b":1}}', b'{"a":"1","a":"2"}', b'{"a":"1"'])
    def test_a_payload_that_is_no_flat_object_is_an_exception(self, lab: JenkinsLab, payload: bytes) -> None:
        job = lab.job("payload", job_xml(HELLO))
        heard = lab.submit(f"build:{job}", payload)
        assert lab.wait(heard)[-1] in ("fail", "exception")
        assert lab.jenkins.get_job_info(job)["nextBuildNumber"] == 1

    def test_a_gearman_build_is_stopped_by_its_manager(self, lab: JenkinsLab) -> None:
        job = lab.job("gearman-stop", job_xml(WAIT))
        heard = lab.submit(f"build:{job}", {"TORII_UUID": "s-1"})
        begun = lab.until(lambda: heard.of("data"))
        lab.until(lambda: "begun" in lab.jenkins.get_build_console_output(job, begun["number"]))
        which = {"name": job, "number": str(begun["number"])}
        stopped = lab.submit(f"stop:{begun['manager']}", which)
        assert lab.wait(stopped)[-1] == "complete"
        lab.wait(heard)
        assert heard.of("complete")["result"] == "ABORTED"
        assert lab.wait(lab.submit(f"stop:{begun['manager']}", which))[-1] == "fail"
        nobody = lab.submit(f"stop:{begun['manager']}", {"name": job, "number": "999"})
        assert lab.wait(nobody)[-1] in ("fail", "exception")

    def test_a_build_is_described_by_its_manager(self, lab: JenkinsLab) -> None:
        job = lab.job("gearman-describe", job_xml(HELLO))
        heard = lab.submit(f"build:{job}", {"TORII_UUID": "d-1"})
        lab.wait(heard)
        which = {"name": job, "number": "1", "html_description": "<a href='x'>é</a>"}
        assert lab.wait(lab.submit(f"set_description:{heard.of('data')['manager']}", which))[-1] == "complete"
        assert lab.jenkins.get_build_info(job, 1)["description"] == "<a href='x'>é</a>"

    def test_a_functions_comes_and_goes_with_its_job(self, lab: JenkinsLab) -> None:
        job = lab.job("comes", job_xml(HELLO))
        lab.until(lambda: lab.registered(f"build:{job}"))
        lab.jenkins.disable_job(job)
        lab.until(lambda: lab.registered(f"build:{job}") is None)
        lab.jenkins.enable_job(job)
        lab.until(lambda: lab.registered(f"build:{job}"))
        lab.jenkins.delete_job(job)
        lab.until(lambda: lab.registered(f"build:{job}") is None)

    def test_builds_that_differ_in_their_uuid_are_builds_of_their_own(self, lab: JenkinsLab) -> None:
        job = lab.job("many", job_xml(HELLO))
        all_heard = [lab.submit(f"build:{job}", {"TORII_UUID": f"m-{number}"}) for number in range(5)]
        for heard in all_heard:
            lab.wait(heard)
        assert sorted(heard.of("complete")["number"] for heard in all_heard) == [1, 2, 3, 4, 5]

    def test_a_gearman_job_cancelled_in_jenkins_queue_ends(self, lab: JenkinsLab) -> None:
        job = lab.job("blocked", job_xml(WAIT, concurrent=False))
        first = lab.submit(f"build:{job}", {"TORII_UUID": "first"})
        lab.until(lambda: first.of("data"))
        second = lab.submit(f"build:{job}", {"TORII_UUID": "second"})
        item = lab.until(lambda: [each for each in lab.jenkins.get_queue_info() if each["task"]["name"] == job])[0]
        assert (item["blocked"], "already in progress" in item["why"]) == (True, True)
        lab.post("queue/cancelItem", params={"id": item["id"]})
        assert lab.wait(second)[-1] in ("fail", "exception")
        lab.jenkins.stop_build(job, first.of("data")["number"])
        lab.wait(first)


def parameters_of(found: dict[str, Any]) -> dict[str, str]:
    """Return the parameters in the actions of a build or an item; those of a build over Gearman are in an action of another class."""
    return {each["name"]: each["value"] for action in found["actions"] for each in action.get("parameters", ())}
