"""The commands by name: a command's module is loaded when the command is used."""

from typing import NamedTuple

from cyclopts import App, Group, Parameter

from apollo import __version__

TRY = Group("Try", sort_key=1)
SET_UP = Group("Set up", sort_key=2)
DEPLOY = Group("Deploy", sort_key=3)
STEER = Group("While it runs", sort_key=4)
LOOK = Group("Look", sort_key=5)
_OTHERS = Group("Commands", sort_key=9)

_EXITS = (
    "Exit codes: 0 done, 1 a bug or broken infrastructure, 2 usage or invalid files, 3 failed or "
    "halted, 4 rolled back, 5 refused, 6 partial or hosts unreachable, 124 timed out, 130 detached."
)


class Command(NamedTuple):
    """A command: its first line is what its function's docstring says."""

    name: str
    target: str
    group: Group
    help: str


COMMANDS = (
    Command("demo", "demo:demo", TRY, "Deploy to twelve hosts under traffic, all on this machine."),
    Command("up", "up:up", TRY, "Run Temporal, the catalog and a worker on this machine."),
    Command("check", "check:check", SET_UP, "Check apollo.yaml and the files that it names."),
    Command("init", "init:init", SET_UP, "Write an apollo.yaml to begin with, and its hooks."),
    Command(
        "schema",
        "schema:schema",
        SET_UP,
        "Print the JSON Schema of apollo.yaml, for editors.\n\n`environment` is that of "
        "environments/NAME.yaml, `inventory` that of an inventory.",
    ),
    Command("apply", "apply:apply", SET_UP, "Apply environments and the pipeline of apollo.yaml."),
    Command(
        "doctor",
        "doctor:doctor",
        SET_UP,
        "Look at what Apollo needs, and at one environment.\n\nNothing is changed and nobody "
        "connects to hosts. The exit code is 1 when something must be mended.",
    ),
    Command("worker", "worker:worker", SET_UP, "Work until SIGTERM."),
    Command(
        "cluster setup",
        "cluster:setup",
        SET_UP,
        "Make the namespace and search attributes in Temporal.\n\nIt waits for the server, may run "
        "twice, and leaves what is there as it is.",
    ),
    Command(
        "cluster versions",
        "builds:listing",
        SET_UP,
        "List the workers' builds: which is current, what ends on which, which may go.",
    ),
    Command(
        "cluster switch",
        "builds:switch_to",
        SET_UP,
        "Let deployments begin on another build of the workers.\n\nThose under way end where they "
        "began; promotions move on.",
    ),
    Command("codec key", "codec:key", SET_UP, "Print a new key for APOLLO_ENCRYPTION_KEY."),
    Command(
        "codec serve",
        "codec:serve",
        SET_UP,
        "Decrypt for Temporal's UI and its program, until Ctrl-C.\n\nIt listens on loopback. "
        "Whoever reaches it can read what is encrypted: elsewhere it wants APOLLO_CODEC_TOKEN.",
    ),
    Command("release create", "release:create", DEPLOY, "Build, pack and store a release."),
    Command("release list", "release:listing", DEPLOY, "List the releases of an application."),
    Command(
        "release show",
        "release:show_release",
        DEPLOY,
        "Show a release: when it came to each environment, and where it runs.",
    ),
    Command("plan", "plan:plan", DEPLOY, "Show what a deployment would do; change nothing."),
    Command(
        "deploy",
        "deploy:deploy",
        DEPLOY,
        "Deploy a release and watch it.\n\nWithout RELEASE the working tree is packed: only for "
        "the first environment of the pipeline. `current` deploys new configuration of the same "
        "release. Ctrl-C detaches; the deployment goes on.",
    ),
    Command(
        "restart",
        "restart:restart",
        DEPLOY,
        "Stop and start what each host runs; no release changes.",
    ),
    Command(
        "sync",
        "sync:sync",
        DEPLOY,
        "Bring the current release to hosts that are new, missed it, or run it no longer.\n\n"
        "With --check it only shows them: exit code 0 when every host runs it, else 6.",
    ),
    Command(
        "promote",
        "promote:promote",
        DEPLOY,
        "Take a release along the pipeline and follow it.\n\nAt each stage it waits for approval, "
        "bake and windows, then deploys. Ctrl-C detaches; the promotion goes on.",
    ),
    Command(
        "schedule create",
        "schedule:create",
        DEPLOY,
        "Promote along the pipeline at the times of a cron line.",
    ),
    Command(
        "schedule list",
        "schedule:listing",
        DEPLOY,
        "List schedules: when they start what, and how that went.",
    ),
    Command("schedule pause", "schedule:pause", DEPLOY, "Start nothing until it is resumed."),
    Command(
        "schedule resume",
        "schedule:resume",
        DEPLOY,
        "Go on; times that passed meanwhile are not made up for.",
    ),
    Command(
        "schedule trigger",
        "schedule:trigger",
        DEPLOY,
        "Start now what it starts, also while it is paused.",
    ),
    Command("schedule delete", "schedule:delete", DEPLOY, "Take it away; what it started goes on."),
    Command(
        "watch",
        "watch:watch",
        STEER,
        "Watch the deployment that runs, or show the last.\n\nWith the name of an application its "
        "newest promotion.",
    ),
    Command("pause", "controls:pause", STEER, "Begin no more turns; those in flight end."),
    Command("hold", "gates:hold", STEER, "Let promotions begin nothing new."),
    Command("resume", "gates:resume", STEER, "Go on after a pause or a hold."),
    Command("abort", "controls:abort", STEER, "End at the next host boundary."),
    Command(
        "rollback",
        "rollback:rollback",
        STEER,
        "Take every changed host back.\n\nOf the deployment that runs, or of the last one: then it "
        "is a deployment of its own, held by no gate, window or alarm.",
    ),
    Command("approve", "gates:approve", STEER, "Open the gate that is waited at."),
    Command("reject", "gates:reject", STEER, "End what waits in an environment."),
    Command("pace", "controls:pace", STEER, "Change how many hosts may be out."),
    Command(
        "skip",
        "controls:skip",
        STEER,
        "Leave hosts out of the deployment that runs.\n\nHosts in their turn end it.",
    ),
    Command(
        "retry",
        "controls:retry",
        STEER,
        "Give hosts another turn that failed, were skipped or could not be reached.",
    ),
    Command("status", "status:status", LOOK, "Show what runs in all environments, or in one."),
    Command(
        "hosts", "hosts:app", LOOK, "Show what is known of each host, now or at a past moment."
    ),
    Command(
        "hosts trust",
        "trust:trust",
        LOOK,
        "Scan, show and trust the hosts' SSH keys.\n\nThe workers ask the hosts; nobody logs in. "
        "Compare the fingerprints with what the hosts' consoles say.",
    ),
    Command(
        "hosts disable",
        "out:disable",
        LOOK,
        "Take hosts out of all deployments; they count as out.",
    ),
    Command("hosts enable", "out:enable", LOOK, "Let disabled hosts take part again."),
    Command(
        "hosts forget",
        "out:forget",
        LOOK,
        "Forget what hosts run, and their SSH keys; the history stays.",
    ),
    Command(
        "history",
        "history:history",
        LOOK,
        "List the deployments of an environment, or of all.\n\nWith --audit: who did what, when "
        "and why: deployments, words to them, applied files, releases, hosts.",
    ),
    Command(
        "show",
        "show:show",
        LOOK,
        "Show a deployment: ENV#7, or the last of ENV.\n\nWhat was done and said when, the waves, "
        "errors that say the same, the slowest steps, and the first hosts of each outcome. With "
        "--prove whether it kept each rule; the exit code is 1 when one was broken.",
    ),
    Command(
        "workers",
        "workers:workers",
        LOOK,
        "Show who polls which queue: the workers, and the locations that have none.",
    ),
    Command(
        "logs",
        "logs:logs",
        LOOK,
        "Show what a host's hooks printed: in its last turn, or while its turn runs.\n\nENV#7 is "
        "the seventh deployment. Ctrl-C detaches; the turn goes on.",
    ),
)
"""In the order in which help and the reference show them."""


def build() -> App:
    """The application with all commands, none of them loaded."""
    app = App(
        name="apollo",
        help="Put releases on fleets of hosts while they serve traffic.",
        help_epilogue=_EXITS,
        version=__version__,
        help_format="plaintext",
        default_parameter=Parameter(negative="", show_default=False),
        group_commands=_OTHERS,
    )
    release = App(name="release", help="Create, list and show releases.", group=DEPLOY)
    schedule = App(name="schedule", help="Promote and sync at set times.", group=DEPLOY)
    for command in COMMANDS:
        if " " not in command.name:
            app.command(_path(command), name=command.name, help=command.help, group=command.group)
    cluster = App(
        name="cluster", help="Prepare a Temporal cluster, and upgrade its workers.", group=SET_UP
    )
    codec = App(name="codec", help="Keys, and what decrypts for Temporal's pages.", group=SET_UP)
    for group in (release, schedule, cluster, codec):
        app.command(group)
        add_commands(group, group.name[0])
    return app


def add_commands(app: App, name: str) -> None:
    """Register the commands that stand behind another word: `release create`."""
    for command in COMMANDS:
        first, _, second = command.name.partition(" ")
        if second and first == name:
            app.command(_path(command), name=second, help=command.help)


def _path(command: Command) -> str:
    return f"apollo.cli.{command.target}"
