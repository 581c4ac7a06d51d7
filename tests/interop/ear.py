"""Sounds to send and judgements on what was heard, through the `sound` tool, sox and espeak-ng."""
import os
import subprocess

from rig import BUILD, Failure

SOUND = os.path.join(BUILD, "tests/interop/sound")
TONE_DBFS = -12.0  # what `sound tone` makes unless told otherwise
RATES = {"pcmu": 8000, "pcma": 8000, "g722": 16000, "opus": 48000}

TEXT = ("Good morning, this is the reception in Berlin. The train to Paris leaves at eight forty "
        "from platform seven. Please bring the blue folder, and call me back before noon.")


def figures(*args):
    """Runs `sound` and returns what it printed as a dict of floats."""
    done = subprocess.run([SOUND, *args], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"sound {' '.join(args)}: {done.stderr.strip()}")
    return {key: float(value) for key, value in (pair.split("=") for pair in done.stdout.split())}


def make_tone(rig, freq, rate, seconds=60):
    path = rig.path(f"tone-{freq}-{rate}-{seconds}.wav")
    if not os.path.exists(path):
        subprocess.run([SOUND, "tone", str(freq), str(seconds), str(rate), path], check=True)
    return path


def make_speech(rig, rate, text=TEXT, silence_after=60):
    """Returns (file to play, the spoken part alone, its seconds). Phones hang up when their file
    ends, so the file to play goes on in silence."""
    raw, spoken = rig.path("espeak.wav"), rig.path(f"speech-{rate}.wav")
    played = rig.path(f"speech-{rate}-played.wav")
    subprocess.run(["espeak-ng", "-s", "160", "-w", raw, text], check=True)
    subprocess.run(["sox", "-D", raw, "-r", str(rate), "-b", "16", spoken, "gain", "-n", "-6",
                    "pad", "0.3", "0.2"], check=True)
    subprocess.run(["sox", "-D", spoken, played, "pad", "0", str(silence_after)], check=True)
    seconds = float(subprocess.run(["soxi", "-D", spoken], check=True, capture_output=True,
                                   text=True).stdout)
    return played, spoken, seconds


class Verdict(str):
    """What was heard, in words."""
    gap_ms = 0.0  # the longest


def judge_tone(who, heard_path, freq, sent_seconds, longest_gap_ms=60, completeness=0.95):
    """Raises Failure unless the tone of make_tone came in whole; returns a Verdict."""
    got = figures("measure", heard_path, str(freq))
    text = (f"{got['freq']:.0f} Hz {got['level_dbfs']:.1f} dB snr {got['snr_db']:.0f} dB "
            f"{100 * got['heard_ms'] / 1000 / sent_seconds:.1f} %")
    wrong = []
    if abs(got["freq"] - freq) > 2:
        wrong.append(f"frequency {got['freq']} Hz")
    if abs(got["level_dbfs"] - TONE_DBFS) > 3:  # speech codecs bend lone tones by a dB or two
        wrong.append(f"level {got['level_dbfs']} dB instead of {TONE_DBFS}")
    if got["longest_gap_ms"] > longest_gap_ms:
        wrong.append(f"gap of {got['longest_gap_ms']:.0f} ms")
    if got["heard_ms"] / 1000 < completeness * sent_seconds:
        wrong.append(f"only {got['heard_ms']:.0f} ms of {sent_seconds:.2f} s")
    if wrong:
        raise Failure(f"{who} heard {freq} Hz badly: " + ", ".join(wrong))
    verdict = Verdict(text)
    verdict.gap_ms = got["longest_gap_ms"]
    return verdict


def judge_speech(who, sent_path, heard_path, completeness=95, spectral=0.75):
    got = figures("compare", sent_path, heard_path)
    text = (f"speech {got['completeness']:.0f} % complete, likeness {got['spectral']:.2f}, "
            f"{got['level_diff_db']:+.1f} dB")
    if got["completeness"] < completeness or got["spectral"] < spectral or \
            abs(got["level_diff_db"]) > 3 or got["longest_missing_ms"] > 100:
        raise Failure(f"{who} heard badly: {text}, "
                      f"hole of {got['longest_missing_ms']:.0f} ms")
    return text


def seconds_of(path):
    """Length of a recording that may still be open or end in the middle of a frame."""
    done = subprocess.run(["soxi", "-D", path], capture_output=True, text=True)
    return float(done.stdout) if done.returncode == 0 and done.stdout.strip() else 0.0
