"""The command line: parses, calls one function of `pipeline.commands`, sets the exit code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from pipeline import commands
from pipeline.address import as_path
from pipeline.errors import NstError
from pipeline.interrupts import ending_in_words
from pipeline.terminal import say
from pipeline.version import nst_version

_HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    no_args_is_help=True,
    context_settings=_HELP,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
cache_app = typer.Typer(
    no_args_is_help=True,
    context_settings=_HELP,
    help="Look at or clear the cache of style targets, and of what weights were found to be.",
)
weights_app = typer.Typer(
    context_settings=_HELP, help="List backbone weights, or fetch them ahead of time."
)
app.add_typer(cache_app, name="cache")
app.add_typer(weights_app, name="weights")

ManifestArgument = Annotated[
    Path,
    typer.Argument(
        help="The YAML manifest, a folder with one, or a picture of ours.", show_default=False
    ),
]
PictureArgument = Annotated[
    Path,
    typer.Argument(parser=as_path, help="A picture of ours, or its record.", show_default=False),
]
Devices = Annotated[
    str,
    typer.Option(help="auto, or a list such as cuda:0,cuda:2 or cpu,cpu.", envvar="NST_DEVICES"),
]
CacheDir = Annotated[
    Optional[Path],  # noqa: UP045 (typer on Python 3.10 reads the annotation at run time)
    typer.Option(
        help="Cache folder [default: NST_CACHE_DIR, else the user's].",
        show_default=False,
    ),
]
MaxJobs = Annotated[int, typer.Option(help="Refuse plans with more jobs.", min=1)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]


def _run_meant(word: str) -> Path:
    return commands.run_meant(word)  # here alone: what it needs takes a while to load


RunArgument = Annotated[
    Path,
    typer.Argument(parser=_run_meant, help="The run folder, or its manifest.", show_default=False),
]
Engine = Annotated[str, typer.Option(help="local, inline, dask or ray.")]
Address = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Of a Dask or Ray cluster.", show_default=False),
]
Workers = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(help="Of a cluster made here.", min=1, show_default=False),
]
Shard = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="i/n: the i-th of n parts of the plan; auto: what no other process takes.",
        show_default=False,
    ),
]
Retries = Annotated[int, typer.Option(help="After a worker died over a job.", min=0)]
Timeout = Annotated[float, typer.Option(help="Seconds for a batch; 0: none.", min=0)]
Stall = Annotated[
    float, typer.Option(help="Seconds without a step until a worker is ended.", min=0)
]
CheckpointEvery = Annotated[
    float, typer.Option(help="Seconds between checkpoints of long jobs, at least; 0: none.", min=0)
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")]
FailedOnly = Annotated[bool, typer.Option("--failed-only", help="Only jobs that failed before.")]
Compile = Annotated[
    bool,
    typer.Option("--compile", help="Have torch compile the network; about 20 s for each size."),
]
Graphs = Annotated[
    bool, typer.Option("--graphs", help="Take a GPU's steps as CUDA graphs: fewer calls.")
]
Deterministic = Annotated[
    bool,
    typer.Option("--deterministic", help="The same pixels every time, on a GPU too; slower."),
]
WithReport = Annotated[
    bool,
    typer.Option("--report/--no-report", help="Write report.html, now and then and at the end."),
]
Tensorboard = Annotated[
    bool, typer.Option("--tensorboard", help="Write losses and pictures for TensorBoard.")
]
Detach = Annotated[
    bool, typer.Option("--detach", help="Go on without this terminal; see nst status, nst stop.")
]
LogFormat = Annotated[str, typer.Option(help="Of run.log: text or json.")]
Log = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="A file, or - for standard error, that gets run.log's entries too.", envvar="NST_LOG",
        show_default=False,
    ),
]  # fmt: skip
JsonLines = Annotated[bool, typer.Option("--json", help="Print JSON lines.")]
Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--set", help="A setting instead of the manifest's, key=value.", show_default=False
    ),
]
Only = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(help="Only these jobs, axis=value, such as style=wave*.", show_default=False),
]
Limit = Annotated[int, typer.Option(help="Only so many jobs, the first; 0: all.", min=0)]
DrawnJobs = Annotated[int, typer.Option("--sample", help="Only so many, drawn; 0: all.", min=0)]
Seed = Annotated[int, typer.Option(help="Of --sample and --order shuffle.", min=0)]
JobOrder = Annotated[str, typer.Option("--order", help="plan, breadth or shuffle.")]
Redo = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(help="Make these again though they are done, axis=value.", show_default=False),
]
NotifyUrl = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="POST the summary as JSON there at the end.",
        show_default=False,
        envvar="NST_NOTIFY_URL",
    ),
]
LogTo = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(help="tensorboard, mlflow or wandb; may be repeated.", show_default=False),
]
Until = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Stop in order then, such as 07:00.", show_default=False),
]
MaxTime = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Stop in order after so long, such as 8h or 1h30m.", show_default=False),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"nst {nst_version()}")
        raise typer.Exit


@app.callback()
def nst(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Batch neural style transfer: a manifest of content x style pairs and grids in, pictures and
    records out."""


@app.command(epilog="Example: nst batch manifests/quickstart.yaml")
def batch(
    manifest: ManifestArgument,
    devices: Devices = "auto",
    cache_dir: CacheDir = None,
    max_jobs: MaxJobs = 10_000_000,
    engine: Engine = "local",
    address: Address = None,
    workers: Workers = None,
    shard: Shard = None,
    retries: Retries = 2,
    timeout: Timeout = 0,
    stall: Stall = 900,
    checkpoint_every: CheckpointEvery = 10,
    fail_fast: FailFast = False,
    failed_only: FailedOnly = False,
    compile: Compile = False,
    graphs: Graphs = False,
    deterministic: Deterministic = False,
    with_report: WithReport = True,
    tensorboard: Tensorboard = False,
    quiet: Quiet = False,
    json_lines: JsonLines = False,
    detach: Detach = False,
    settings: Set = None,
    only: Only = None,
    limit: Limit = 0,
    sample: DrawnJobs = 0,
    seed: Seed = 0,
    order: JobOrder = "plan",
    redo: Redo = None,
    until: Until = None,
    max_time: MaxTime = None,
    notify_url: NotifyUrl = None,
    log_to: LogTo = None,
    log_format: LogFormat = "text",
    log: Log = None,
) -> None:
    """Run a manifest; run it again to go on where it stopped."""
    how = commands.parse_run_options(
        engine=engine,
        address=address,
        workers=workers,
        shard=shard,
        retries=retries,
        timeout_s=timeout,
        stall_s=stall,
        fail_fast=fail_fast,
        failed_only=failed_only,
        choice=commands.parse_choice(only or [], limit, sample, seed, order),
        redo=redo or [],
        until=until,
        max_time=max_time,
        log_format=log_format,
        log=log,
    )
    given = commands.parse_settings(settings or [], whole=False)
    options = commands.Options(
        devices, cache_dir, max_jobs, how, checkpoint_every, compile, given, deterministic, graphs
    )
    if detach:
        words = [word for word in sys.argv[1:] if word != "--detach"]
        raise typer.Exit(commands.start_detached(manifest, options, words))
    raise typer.Exit(
        commands.batch_manifest(
            manifest,
            options,
            quiet=quiet,
            as_json=json_lines,
            with_report=with_report,
            tensorboard=tensorboard,
            notify_url=notify_url,
            trackers=log_to or [],
        )
    )


@app.command(
    epilog="Example: nst slurm manifest.yaml --array 16 --sbatch=--gres=gpu:1",
    context_settings={"allow_extra_args": True},
)
def slurm(
    context: typer.Context,
    manifest: ManifestArgument,
    array: Annotated[int, typer.Option(help="Tasks, each a shard of the run.", min=1)],
    sbatch: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="An option of sbatch; may be repeated.", show_default=False),
    ] = None,
    submit: Annotated[bool, typer.Option("--submit", help="Hand it to sbatch.")] = False,
) -> None:
    """Print a run as an array job of Slurm; what follows -- goes to nst batch."""
    words = list(context.args)
    raise typer.Exit(commands.array_job(manifest, array, sbatch or [], words, submit=submit))


@app.command(epilog="Example: nst init holidays --style paintings")
def init(
    folder: Annotated[Path, typer.Argument(help="Where the pictures are.")] = Path(),
    content: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Content: a file, folder or glob in it; may be repeated."),
    ] = None,
    style: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Style, likewise."),
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="The run folder.")] = "stylized",
) -> None:
    """Write a manifest of what lies in a folder."""
    raise typer.Exit(commands.init_manifest(folder, content or [], style or [], output))


@app.command(epilog="Example: nst stop runs/quickstart")
def stop(run: RunArgument) -> None:
    """Have a run end in order, from any terminal; nst batch goes on with it."""
    raise typer.Exit(commands.stop_run(run))


@app.command(epilog="Example: nst report runs/quickstart")
def report(
    run: RunArgument,
) -> None:
    """Write report.html: the run as one page that opens from disk."""
    raise typer.Exit(commands.write_report(run))


@app.command(
    epilog="Example: nst sheet runs/quickstart --rows style --cols style_weight -o sheet.png"
)
def sheet(
    run: RunArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="A .png, .jpg, .webp or .pdf.", show_default=False),
    ],
    rows: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="content, style, class, split, or a swept setting.", show_default=False),
    ] = None,
    cols: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The same.", show_default=False),
    ] = None,
    tile: Annotated[int, typer.Option(help="Long side of a picture, px.", min=32, max=4096)] = 256,
    title: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Above it, instead of the run's name.", show_default=False),
    ] = None,
    favorites: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Only these: a name, a glob, or a .txt list.", show_default=False),
    ] = None,
    reject: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Not these, likewise.", show_default=False),
    ] = None,
    diff: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            parser=as_path, help="Another run: show both, and how they differ.", show_default=False
        ),
    ] = None,
) -> None:
    """Make a labeled contact sheet of a run."""
    chosen = commands.choose_pictures(favorites or [], reject or [], title)
    raise typer.Exit(commands.write_sheet(run, rows, cols, output, tile, diff, chosen))


@app.command(epilog="Example: nst table runs/quickstart -o jobs.csv")
def table(
    run: RunArgument,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--output", "-o", help="A .csv or .parquet file [default: in RUN].", show_default=False
        ),
    ] = None,
) -> None:
    """Write one table of all jobs of a run: inputs, settings, losses, failures."""
    raise typer.Exit(commands.write_table_of(run, output))


@app.command(epilog="Example: nst best runs/quickstart")
def best(
    run: RunArgument,
    balance: Annotated[
        float, typer.Option(help="Content loss that a unit of style loss is worth.", min=0)
    ] = 3.0,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--output", "-o", help="The manifest [default: best.yaml in RUN].", show_default=False
        ),
    ] = None,
    show: Annotated[int, typer.Option(help="Jobs of each pair to print; 0: all.", min=0)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Rank each pair's jobs by one score for all; write the best as a manifest."""
    raise typer.Exit(commands.rank_run(run, balance, output, show, as_json=as_json))


@app.command(epilog="Example: nst status runs/quickstart")
def status(
    run: RunArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again until it ends.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how far a run is, what failed and why, from any terminal."""
    raise typer.Exit(commands.show_status(run, as_json=as_json, watch=watch))


@app.command(epilog="Example: nst plan manifests/quickstart.yaml --measure")
def plan(
    manifest: ManifestArgument,
    devices: Devices = "auto",
    cache_dir: CacheDir = None,
    max_jobs: MaxJobs = 10_000_000,
    json_lines: Annotated[bool, typer.Option("--json", help="Print every job as JSON.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Estimate time, memory and disk from a trial.")
    ] = False,
    others_slots: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--for", help="Other slots to tell the time on, such as 8xcuda.", show_default=False
        ),
    ] = None,
    all_settings: Annotated[
        bool, typer.Option("--settings", help="Show all settings, those of the preset too.")
    ] = False,
    settings: Set = None,
    only: Only = None,
    limit: Limit = 0,
    sample: DrawnJobs = 0,
    seed: Seed = 0,
    order: JobOrder = "plan",
) -> None:
    """Show what would run, and how much of it is done."""
    choice = commands.parse_choice(only or [], limit, sample, seed, order)
    given = commands.parse_settings(settings or [], whole=False)
    run = commands.RunOptions(choice=choice)
    options = commands.Options(devices, cache_dir, max_jobs, run, given=given)
    code = commands.show_plan(
        manifest,
        options,
        as_json=json_lines,
        measured=measure,
        others_slots=others_slots or [],
        all_settings=all_settings,
    )
    raise typer.Exit(code)


@app.command(epilog="Example: nst run town.jpg wave.jpg -o out.png --set size=768 --set steps=400")
def run(
    content: Annotated[
        Path, typer.Argument(parser=as_path, help="The content picture.", show_default=False)
    ],
    style: Annotated[
        Path, typer.Argument(parser=as_path, help="The style picture.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")],
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="A setting, key=value; may be repeated.", show_default=False),
    ] = None,
    preset: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The same as --set preset=NAME; nst presets lists them."),
    ] = None,
    backbone: Annotated[
        str,
        typer.Option(help="vgg19, vgg16, lite; auto: vgg19 on a GPU with its weights, else lite."),
    ] = "auto",
    weights: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="A local weight file, caffe or torchvision.", show_default=False),
    ] = None,
    devices: Devices = "auto",
    cache_dir: CacheDir = None,
    deterministic: Deterministic = False,
    quiet: Quiet = False,
) -> None:
    """Stylize one pair of pictures."""
    chosen = [] if preset is None else [f"preset={preset}"]
    values = commands.parse_settings([*chosen, *(settings or [])])
    source = commands.parse_weights(weights)
    named = "vgg19" if backbone == "auto" and source is not None else backbone
    request = commands.PairRequest(content, style, output, values, named, source)
    options = commands.Options(devices, cache_dir, deterministic=deterministic)
    raise typer.Exit(commands.run_pair(request, options, quiet=quiet))


@app.command(epilog="Example: nst show out.png")
def show(
    picture: PictureArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how a picture of ours was made."""
    raise typer.Exit(commands.show_picture(picture, as_json=as_json))


@app.command(epilog="Example: nst again out.png --set size=1024 -o large.png")
def again(
    picture: PictureArgument,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--output",
            "-o",
            help="The picture to write [default: NAME-again here].",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="What is to be otherwise, key=value; may be repeated."),
    ] = None,
    inputs: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="A folder where its inputs may lie now; may be repeated."),
    ] = None,
    weights: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Other weights: a file, caffe or torchvision.", show_default=False),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="In a batch as large as then, on as many CPU threads: on the same machine bit for "
            "bit, at the cost of the batch.",
        ),
    ] = False,
    devices: Devices = "auto",
    cache_dir: CacheDir = None,
    quiet: Quiet = False,
) -> None:
    """Make a picture of ours again, perhaps otherwise."""
    source = commands.parse_weights(weights)
    changes = commands.Changes(settings or [], inputs or [], source, exact=exact)
    options = commands.Options(devices, cache_dir)
    raise typer.Exit(commands.make_again(picture, output, changes, options, quiet=quiet))


@app.command(epilog="Example: nst schema > nst.schema.json")
def schema() -> None:
    """Print the manifest's JSON Schema, for editors."""
    commands.show_schema()


@app.command(epilog="Example: nst presets gatys2016")
def presets(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="Show all settings of this one.", show_default=False),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    help_me: Annotated[
        bool, typer.Option("--help-me", help="Say which knob gives which look, at what cost.")
    ] = False,
) -> None:
    """List the presets, or every setting of one, or which knob gives which look."""
    if help_me:
        commands.show_wishes(markdown=markdown)
    else:
        commands.show_presets(name, markdown=markdown)


@app.command(
    "import",
    epilog="Example: nst import neural-style -content_image a.jpg -style_image b.jpg",
    # All that stands behind the tool's name is its command, with or without `--`.
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
)
def import_(
    tool: Annotated[
        str,
        typer.Argument(
            help="neural-style, neural-style-pt, neural-style-tf, style-transfer-pytorch, "
            "pastiche, pytorch-neural-style-transfer or neural-style-transfer."
        ),
    ],
    command: Annotated[
        list[str],
        typer.Argument(help="Its command, or a script of such commands.", show_default=False),
    ],
) -> None:
    """Print the manifest that does what another tool's command does, or write those of a script."""
    commands.show_imported(tool, command)


@app.command(epilog="Example: nst clean runs/town")
def clean(
    run: RunArgument,
    stale: Annotated[
        bool,
        typer.Option("--stale", help="Only move pictures of no job any more to RUN/stale."),
    ] = False,
) -> None:
    """Delete what a run kept along the way: frames and checkpoints; pictures and records stay."""
    if stale:
        commands.move_stale(run)
    else:
        commands.clean_run(run)


@cache_app.command("info", epilog="Example: nst cache info")
def cache_info(cache_dir: CacheDir = None) -> None:
    """Say where the cache is and how large."""
    commands.show_cache(cache_dir)


@cache_app.command("clear", epilog="Example: nst cache clear")
def cache_clear(cache_dir: CacheDir = None) -> None:
    """Delete everything in the cache; it is made again when needed."""
    commands.clear_cache(cache_dir)


@weights_app.callback(invoke_without_command=True, epilog="Example: nst weights")
def weights(context: typer.Context, cache_dir: CacheDir = None) -> None:
    """List backbone weights, or fetch them ahead of time."""
    context.obj = cache_dir
    if context.invoked_subcommand is None:
        commands.list_weights(cache_dir)


@weights_app.command("download", epilog="Example: nst weights download vgg19")
def weights_download(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The backbone.")] = "vgg19",
    cache_dir: CacheDir = None,
) -> None:
    """Fetch a backbone's weights ahead of time."""
    commands.fetch_weights(name, cache_dir or context.obj)


@app.command(epilog="Example: nst doctor")
def doctor(
    cache_dir: CacheDir = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Measure how to share out the CPU's cores, and keep it.")
    ] = False,
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Compare each GPU with the CPU in a small job.")
    ] = False,
) -> None:
    """Check versions, devices, memory, weights, cache and rights; say how to mend what is wrong."""
    if gpu:
        raise typer.Exit(commands.check_gpus())
    if tune:
        commands.tune_cpu(cache_dir)
        return
    raise typer.Exit(commands.check_machine(cache_dir))


@app.command(epilog="Example: nst distill --teacher vgg19 --images photos --out lite.safetensors")
def distill(
    teacher: Annotated[str, typer.Option(help="vgg19, or a weight file.")],
    images: Annotated[
        list[Path],
        typer.Option(help="Folder of pictures to train on; several count the same, each."),
    ],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")],
    steps: Annotated[int, typer.Option(help="Training steps.", min=1)] = 26_000,
    seed: Annotated[int, typer.Option(help="Of weights and crops.", min=0)] = 0,
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda:0, ...")] = "auto",
    batch_size: Annotated[int, typer.Option("--batch", help="Pictures a step.", min=2)] = 8,
    crop: Annotated[int, typer.Option(help="Side of a crop in px.", min=32)] = 112,
    widths: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Channels of conv1_1 to conv5_1, by commas.", show_default=False),
    ] = None,
    start: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A small network's file to begin with.", show_default=False),
    ] = None,
    teacher_weights: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Of vgg19: caffe, torchvision or a file.", show_default=False),
    ] = None,
    checkpoint_every: Annotated[float, typer.Option(help="Seconds.", min=0)] = 30.0,
    quiet: Quiet = False,
) -> None:
    """Train a small backbone that stands in for a large one; run it again to go on after a kill."""
    options = commands.DistillOptions(
        steps,
        seed,
        precision,
        device,
        batch_size,
        crop,
        widths,
        checkpoint_every,
        start,
        commands.parse_weights(teacher_weights, "--teacher-weights"),
    )
    code = commands.train_student(teacher, images, out, options, quiet=quiet)
    raise typer.Exit(code)


# Their exit code tells of the run, whatever became of its words.
_RUNS = ("batch", "run", "again", "distill")


def main() -> None:
    """Entry point: errors to standard error; exit code 2 for what the user has to change."""
    output = commands.make_lenient()
    with ending_in_words(sys.argv[1:]):
        code = _exit_code()
    lost = "" if sys.argv[1:2] and sys.argv[1] in _RUNS else commands.lost_answer(output)
    if lost:
        say(f"error: {lost}", file=sys.stderr)
    sys.exit(code or int(bool(lost)))


def _exit_code() -> int:
    try:
        app()
    except NstError as error:
        say(f"error: {error}", file=sys.stderr)
        return 2
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0


if __name__ == "__main__":
    main()
