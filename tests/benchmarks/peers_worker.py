"""One peer in a process of its own: ``python -m tests.benchmarks.peers_worker PEER FOLDER``.

It judges one frame and prints a line. Then it does what the lines on its standard input
ask, and prints a line of JSON for each: ``again N`` judges that frame N times more;
``time N`` judges the next N frames and gives the
seconds of each, and of clock and processor for all; ``check`` gives the answers to the compared
frames, ``pixels`` those to the same frames at the model's own size, ``version PACKAGE`` the
version of a package.
"""

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import peers_files as files
from tests.benchmarks.peers_loops import PEERS, Answer, Frame, Peer


def main(name: str, folder: Path) -> None:
    """Answer until the standard input ends."""
    # Libraries print what they like to the standard output; answers have one of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(value: object) -> None:
        import json

        answers.write(json.dumps(value) + "\n")
        answers.flush()

    frames = np.load(folder.parent / files.FRAMES, mmap_mode="r")
    peer = PEERS[name](folder, files.read_facts(folder))
    frame = np.array(frames[0])
    peer.judge(frame)
    reply("ready")
    timed: Iterator[Frame] | None = None
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "time":
            timed = timed or itertools.cycle(np.array(frames[-files.TIMED :]))
            reply(_time(peer, timed, int(arguments[0])))
        elif command == "again":
            for _ in range(int(arguments[0])):
                peer.judge(frame)
            reply("done")
        elif command == "version":
            from importlib.metadata import version

            reply(version(arguments[0]))
        else:
            shown = frames if command == "check" else np.load(folder / files.PIXELS)
            reply([_answer(peer, np.array(frame)) for frame in shown[: files.COMPARED]])


def _answer(peer: Peer, frame: Frame) -> Answer:
    peer.prepare(frame)
    return peer.read(peer.judge(frame))


def _time(peer: Peer, frames: Iterator[Frame], count: int) -> dict[str, Any]:
    seconds = []
    clock: Callable[[], float] = time.perf_counter
    used, begin = time.process_time(), clock()
    for frame in itertools.islice(frames, count):
        peer.prepare(frame)
        start = clock()
        peer.judge(frame)
        seconds.append(clock() - start)
    return {
        "seconds": seconds,
        "processor_s": time.process_time() - used,
        "took_s": clock() - begin,
    }


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
