#!/usr/bin/env python3
"""Whatever goes wrong is named: where, in which stage, and why; and the others go on."""
import os
import pathlib
import signal
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, IMAGE, main, wait_until  # noqa: E402
from processes import wait_for_end  # noqa: E402

CLIENTS = 3
PUBLIC = "/run/rookery/role/public"
MEDIUM = "/run/rookery/medium/rookery"
GONE = "while pidof {0} >/dev/null; do :; done; "  # a shell's words for: until no such program runs


class LabFiles(GuestTest):
    def refused(self, text):
        file = self.session.folder / "wrong.yaml"
        file.write_text(text)
        outcome = self.session.rookery("up", file, "--until", "ready", "--json", code=2)
        self.assertEqual(outcome.out, "")
        self.assertEqual([path.name for path in (self.session.runtime / "rookery").glob("*")], [])
        return outcome.err

    def test_an_unknown_word_is_shown_with_its_place_and_the_nearest_right_one(self):
        said = self.refused("lab: wrong\nmachines:\n  server: {role: boot-server}\n  n:\n    role: client\n    memmory: 64 MiB\n")
        self.assertRegex(said, r"wrong\.yaml:6:5: .*'memmory'.*'memory'")

    def test_a_wrong_unit(self):
        said = self.refused("lab: wrong\nmachines:\n  server: {role: boot-server, memory: 64 MB}\n")
        self.assertRegex(said, r"wrong\.yaml:3:\d+: .*'64 MB'.*'MiB'")

    def test_all_problems_at_once(self):
        said = self.refused("lab: Wrong\nimage: debian-12\nmachines:\n  server: {roll: boot-server}\n  n: {role: clint, count: 2}\n")
        self.assertRegex(said, r"wrong\.yaml:1:6: ")
        self.assertRegex(said, r"wrong\.yaml:4:12: .*'roll'.*'role'")
        self.assertRegex(said, r"wrong\.yaml:5:13: .*'clint'.*'client'")

    def test_what_is_no_yaml(self):
        self.assertRegex(self.refused("lab: wrong\nmachines: [\n"), r"wrong\.yaml:\d+:\d+: ")

    def test_a_file_that_is_not_there(self):
        self.assertIn("no-such.yaml", self.session.rookery("up", self.session.folder / "no-such.yaml", code=2).err)

    def test_an_image_that_is_not_there(self):
        file = self.session.folder / "image.yaml"
        file.write_text("lab: image\nimage: debian-99\nmachines:\n  server: {role: boot-server}\n")
        self.assert_has(self.session.rookery("up", file, "--until", "ready", code=2).err, "debian-99", IMAGE)

    def test_wrong_words_on_the_command_line(self):
        for words, said in ((["upp"], "there is no command 'upp'; did you mean 'up'?"),
                            (["fault", "st"], "there is no command 'fault st'; did you mean 'set'?"),
                            (["up", "--nods", "3", "x.yaml"], "up: there is no option '--nods'; did you mean '--nodes'?"),
                            (["up", "a.yaml", "b.yaml"], "up: 'b.yaml' is not expected; see rookery up --help"),
                            (["link", "n1"], "link: state is required; see rookery link --help")):
            self.assertEqual(self.session.rookery(*words, code=2).err, f"rookery: {said}\n")
        self.session.rookery("up", code=2)
        self.session.rookery("up", "x.yaml", "--nodes", "many", code=2)
        self.session.rookery("up", "x.yaml", "--down", code=2)
        self.session.rookery("exec", "n1", code=122)


class FailsWhileItBoots(GuestTest):
    """Clients that cannot come up: the lab does, and the exit code says that it is not whole."""

    def test_the_others_go_on_and_the_exit_code_says_so(self):
        lab = self.session.lab("partly", 2, "  far: {role: client, link: {delay: 50 s}, boot_timeout: 4 s}\n")
        report = lab.up(code=1)
        self.assertEqual((report["machines"], report["ready"]), (4, 2))
        self.assertEqual([(f["name"], f["stage"]) for f in report["failed"]], [("far", "dhcp")])
        self.assert_has(report["failed"][0]["reason"], "not ready after 4 s", "DISCOVER, no OFFER")
        self.assertEqual(lab.run("n2", "hostname"), "n2\n")
        machine = lab.machines()["far"]
        self.assertEqual((machine["stage"], machine["failed_in"]), ("failed", "dhcp"))
        self.assertIn("far is not ready", lab.rookery("exec", "far", "--", "true", code=124).err)
        lab.down()
        self.assert_nothing_left(lab)

    def test_a_boot_server_that_dies_ends_the_boot_with_its_reason(self):
        # Whether it dies before its clients were started or while they boot.
        for words in ("server firmware", "n1 dhcp"):
            lab = self.session.lab("serverless-" + words[0], 0, "  n: {role: client, count: 2, boot_timeout: 5 s}\n")
            up = lab.start("--until", "ready", "--down")
            lab.wait_for_words(words)
            os.kill(lab.guest_process("server"), signal.SIGKILL)
            self.assertEqual(wait_for_end(up, 30), 1)
            self.assertRegex(lab.said(), r"server failed in the stage \w+: it died, killed by signal 9")
            self.assert_nothing_left(lab)


class GoesWrong(GuestTest):
    """A running lab in which something is broken on purpose, on the boot server, by its own root."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = cls.session.lab("wrong", CLIENTS)
        cls.lab.up()
        # What is changed here is to be served at once, not when the server looks at it again.
        cls.lab.shell("server", f"cp {PUBLIC}/boot.ipxe /tmp/boot.ipxe; kill $(cat /run/rookery/lighttpd.pid); " + GONE.format("lighttpd") +
                      "sed -i 's/stat-cache-engine.*/stat-cache-engine = \"disable\"/' /run/rookery/role/lighttpd.conf; "
                      "lighttpd -f /run/rookery/role/lighttpd.conf")

    def setUp(self):
        self.addCleanup(self.all_is_well_again)

    def all_is_well_again(self):
        """The break was undone, and the machine comes up with nothing else done to it."""
        self.script("cat")
        for name in ("n1", "n2", "n3"):
            if self.lab.stage(name) != "ready":
                self.lab.reset(name)
                self.lab.wait_for(name, "ready")

    def script(self, command):
        """What the command makes of the boot script is served in its place."""
        self.lab.shell("server", f"{command} </tmp/boot.ipxe >{PUBLIC}/new && mv {PUBLIC}/new {PUBLIC}/boot.ipxe")

    def fails(self, stage, *words, name="n2"):
        self.lab.reset(name)
        machine = self.lab.wait_for(name, "failed")
        self.assertEqual(machine["failed_in"], stage, machine["reason"])
        self.assert_has(machine["reason"], *words)
        self.assertIn(machine["reason"], self.lab.rookery("ps").out)
        # Its last console lines are among the reason; the rest is kept.
        self.assertIn(f"failed in the stage {stage}", self.lab.console(name))
        # It is its affair alone.
        self.assertEqual({self.lab.stage(other) for other in ("server", "n1", "n3")}, {"ready"})
        self.assertEqual(self.lab.run("n3", "hostname"), "n3\n")
        return machine["reason"]

    def test_machines_that_are_not_there(self):
        for command in (["exec", "n99", "--", "true"], ["power", "reset", "n99"], ["power", "cut", "n1", "n99"],
                        ["logs", "n99"], ["why", "n99"]):
            # exec's own failures stand apart from what a program may end with.
            code = 122 if command[0] == "exec" else 2
            self.assertIn("n99", self.lab.rookery(command[0], *command[1:], code=code).err)
        self.assertEqual(self.lab.stage("n1"), "ready")
        self.lab.rookery("power", "off", "n1", code=2)

    def test_a_guest_that_dies(self):
        os.kill(self.lab.guest_process("n2"), signal.SIGKILL)
        machine = self.lab.wait_for("n2", "failed")
        self.assertEqual((machine["state"], machine["failed_in"]), ("failed", "ready"))
        self.assert_has(machine["reason"], "killed by signal 9", "console:")
        self.assertEqual(self.lab.run("n1", "hostname"), "n1\n")

    def test_a_program_in_a_guest_that_dies_with_it(self):
        """exec comes back, and says why."""
        answers = []
        thread = threading.Thread(target=lambda: answers.append(
            self.lab.rookery("exec", "n2", "--", "sh", "-c", "echo begun; sleep 600", code=None)))
        thread.start()
        wait_until(lambda: "sleep 600" in self.lab.run("n2", "busybox", "ps", "-o", "args"), 30, "the program runs")
        self.lab.rookery("power", "cut", "n2")
        thread.join(timeout=30)
        self.assertEqual(len(answers), 1, "exec did not come back")
        self.assertNotEqual(answers[0].code, 0)
        self.assertEqual(answers[0].out, "begun\n")
        self.assert_has(answers[0].err, "n2", "power cut")

    def test_a_program_that_takes_too_long(self):
        self.assertIn("did not end in time", self.lab.rookery("exec", "--timeout", "0.5", "n3", "--", "sleep", "600", code=123).err)
        wait_until(lambda: "sleep 600" not in self.lab.run("n3", "busybox", "ps", "-o", "args"), 30, "it was ended")

    def test_a_word_in_the_boot_script_that_nobody_knows(self):
        self.script("sed '2a frobnicate now'")
        self.fails("script", "boot.ipxe", "line 3", "'frobnicate'")

    def test_a_boot_script_that_is_none(self):
        self.script("echo '<html>'")
        self.fails("script", "boot.ipxe")

    def test_a_boot_script_that_is_missing(self):
        self.lab.run("server", "rm", f"{PUBLIC}/boot.ipxe")
        self.fails("script", "http://10.77.0.1/boot.ipxe", "404")

    def test_a_boot_script_that_never_ends(self):
        self.script("printf '#!ipxe\\n:again\\ngoto again\\n'")
        self.fails("script", "boot.ipxe")

    def test_a_second_stage_that_is_missing(self):
        self.script("sed s/stage2.cpio/stage9.cpio/")
        self.fails("kernel", "http://10.77.0.1/stage9.cpio", "404")

    def test_a_second_stage_with_another_digest(self):
        changed = "cp {0}/stage2.cpio /tmp/changed; printf x | dd of=/tmp/changed bs=1 seek=100000 conv=notrunc 2>/dev/null"
        self.lab.shell("server", changed.format(MEDIUM) + f"; mount --bind /tmp/changed {MEDIUM}/stage2.cpio")
        try:
            self.fails("kernel", "digest", "stage2.cpio")
        finally:
            self.lab.shell("server", f"umount -l {MEDIUM}/stage2.cpio")

    def test_a_share_by_something_unknown(self):
        self.script("sed s,nbd://,gopher://,")
        self.fails("root", "gopher")

    def test_a_share_where_nobody_listens(self):
        self.script("sed s,:10809/root,:10810/root,")
        self.fails("root", "nbd://10.77.0.1:10810/root", "Connection refused")

    def test_an_http_server_that_is_gone(self):
        self.lab.shell("server", "kill $(cat /run/rookery/lighttpd.pid); " + GONE.format("lighttpd"))
        try:
            self.fails("script", "http://10.77.0.1/boot.ipxe", "Connection refused")
        finally:
            self.lab.run("server", "lighttpd", "-f", "/run/rookery/role/lighttpd.conf")


class LosesItsShare(GuestTest):
    """Last, and in a lab of its own: without its NBD server no root of a client can be read any more."""

    def test_an_nbd_server_that_is_gone(self):
        lab = self.session.lab("noshare", 2)
        lab.up()
        lab.shell("server", "kill -9 $(pidof nbdkit); " + GONE.format("nbdkit"))
        lab.reset("n2")
        machine = lab.wait_for("n2", "failed")
        self.assertEqual(machine["failed_in"], "root")
        self.assert_has(machine["reason"], "nbd://10.77.0.1:10809/root.squashfs", "Connection refused")
        self.assertEqual(lab.stage("server"), "ready")
        lab.down()
        self.assert_nothing_left(lab)


if __name__ == "__main__":
    main()
