"""Tables in all dialects and with all faults, for a comparison of two readers."""

import numpy as np

from cap_jax.data import signal_names

TIME, PPG, ART = "time_s", "digital_ppg", "radial_pressure_mmhg"
HEADER = f"{TIME},{ART}\n"
ROWS = [(f"{k / 100:.2f}", f"{90 + 20 * np.sin(k / 10):.3f}") for k in range(200)]
DATA = "".join(f"{t},{p}\n" for t, p in ROWS)
RANDOM_TABLES = 60
CHANNELS = {"Time": signal_names.Signal(TIME), "ART": signal_names.Signal("radial", "kPa")}
WORDS = [
  "", "NA", "nan", "NaN", "null", "None", "-nan", "#N/A", "1.#IND", "<NA>", "inf", "-inf", "Infinity", "+inf", "INF",
  "1e3", "-1.5E-3", "+2.5", ".5", "5.", "-.25e+2", "1e400", "-1e400", "0", "-0.0", "00012.50", "123456789012345678",
  "9007199254740993", "0.1000000000000000055511151231257827", "3e-324", "2.2250738585072011e-308", "1" * 40, "12.5 ",
  "99999999999999999999", "\u0661\u0662", "\u00a012\u2003",
]  # fmt: skip
NO_NUMBERS = [
  "0x10", "1_0", "high", "--", "1e", "e5", "1,5", "1 2", "+nan", "NAN", "NA ", "true", "Infinit", "'", "it's \\", "1.2.3",
  "\u0661_", "10:15:01", "28.11.2026", "3 PM", "time_s", "-", "\ufeff12", "a\tb", "\u200e7", "x" * 99, "1/2/2026",
  "80 mmHg", "9MS", "0.3 mV", "+1.5kPa", "8 x", "mmHg", "7 s 8",
]  # fmt: skip


def clock(times, wave="90"):
  return (HEADER + "".join(f"{at:.12g},{wave}\n" for at in times)).encode()


def cells(*rows, header=HEADER):
  return (header + "".join(f"{row}\n" for row in rows)).encode()


def wave(values, step_s=0.01):
  return cells(*(f"{k * step_s:.4f},{value:.5f}" for k, value in enumerate(values)))


def dialects():
  text = HEADER + DATA
  quotes = "".join(f'"{t}", "{p}"\n' for t, p in ROWS)
  with_comma = text.replace(",", ";").replace(".", ",")
  labelled = f'{TIME},{ART},"label\nof mine"\n' + DATA.replace("\n", ',"a\n, ""b"\n')
  return {
    "plain": text,
    "semicolons": text.replace(",", ";"),
    "tabs": text.replace(",", "\t"),
    "decimal commas": with_comma,
    "decimal commas, tabs": with_comma.replace(";", "\t"),
    "decimal commas and points": text.replace(",", ";").replace("0.", "0,"),
    "commas in one column": HEADER.replace(",", ";") + "".join(f"{t};{p}\n".replace(".", ",", 1) for t, p in ROWS),
    "quotes": HEADER + quotes,
    "windows": text.replace("\n", "\r\n"),
    "carriage returns": text.replace("\n", "\r"),
    "mixed ends": text.replace("\n1", "\r1").replace("\n2", "\r\n2"),
    "no last end": text[:-1],
    "byte order mark": "\ufeff" + text,
    "joined": "# made\n\ufeff" + text,
    "savetxt": "# " + text,
    "percent": "%" + text,
    "preamble": 'Monitor, 15" screen\n\n' + text,
    "comments": text.replace("\n0.5", "\n \t# up, 3, 4\n0.5"),
    "blank lines": text.replace("\n1", "\n\n1"),
    "spaces": text.replace(",", " , "),
    "umlauts": text.replace("\n", ",für ä\n"),
    "labels in lines": labelled,
    "inches": f"{TIME},{ART},cuff\n" + DATA.replace("\n", ',5" cuff\n'),
    "trailing": text.replace("\n", ",,\n"),
    "short rows": f"{TIME},{ART},note\n0,90,begin\n"
    + "".join(f"{k / 100:.2f},9\n" for k in range(1, 99)).replace("9\n", "91\n"),
    "exponents": HEADER + "".join(f"{k / 100:.18e},{90 + k % 7:.18e}\n" for k in range(99)),
    "capitals": text.replace("time_s", " Time_S"),
    "empty cells": text + "2.00,\n2.01,\n2.02,90\n,\n",
    "two signals": text.replace("\n", ",1\n").replace(",1", f",{PPG}", 1),
    "comment within quotes": f'{TIME},{ART},note\n0,90,"a\n# b"\n' + DATA[len("0.00,90.000\n") :],
    "a person": text.replace("\n", ",7\n").replace(",7", ",Patient_ID", 1),
    "quoted text": HEADER + DATA.replace("\n0.5", '\n"0".5'),
  }


def refusals():
  rows, comma = [f"{t},{p}" for t, p in ROWS], [f"{t};{p}".replace(".", ",") for t, p in ROWS]
  return {
    "empty": b"",
    "a word among decimal commas": "\n".join(
      [HEADER.strip().replace(",", ";"), *comma[:5], "0,05;high", *comma[6:]]
    ).encode(),
    "one line end": b"\n",
    "header only": HEADER.encode(),
    "header without end": HEADER.strip().encode(),
    "comments only": (HEADER + "# a\n% b\n").encode(),
    "blank rows": (HEADER + "\n\n").encode(),
    "one row": cells("0,80"),
    "duplicate": cells("0,1,2", header=f"{TIME},{ART},{ART} \n"),
    "no clock": cells("0,1", header=f"seconds,{ART}\n"),
    "wide": cells("0.000,72,2,0,048", header=f"{TIME},{ART},{PPG}\n"),
    "wide row 4": cells("0,1", "# x", "1,2,,", "2,3,4"),
    "wide, semicolons": cells("0;1;2", header=HEADER.replace(",", ";")),
    "wide, quotes": cells('0,72,1,"a,b"', '1,"2'),
    "units row": cells("s,mmHg", *rows),
    "units in brackets": cells("[s],[mmHg]", *rows),
    "second header": cells(*rows, HEADER.strip()),
    "decimal comma in quotes": cells('0,"72,5"', '0.01,"72,6"'),
    "time of day": cells("23:59:50.000,72", "23:59:50.008,73"),
    "cut": (HEADER + DATA + "2.0").encode(),
    "NUL": cells("0,8\x000"),
    "several persons": cells("A,0,1", "B,1,2", header=f"Subject,{HEADER}"),
    "missing persons": cells(",0,1", "NA,1,2", "b'\",2,3", "c,3,4", header=f"case_id,{HEADER}"),
    "open quote": cells('0,"80', *rows),
    "open quote in header": cells("0,80", header=f'{TIME},"{ART}\n'),
    "latin 1": cells("0,80,ä").replace(b"\xc3\xa4", b"\xe4"),
    "cut character": cells("0,80", "1,90").rstrip() + b"\xc3",
    "bytes": bytes(range(1, 256)),
    "cut UTF-16": (HEADER + DATA).encode("utf-16")[:-1],
    "UTF-16 without mark": (HEADER + DATA).encode("utf-16-le"),
    "surrogate": HEADER.encode() + b"0,\xed\xa0\x80\n",
    "long": cells("0," + "8" * 1_000_001),
    "cut far": HEADER.encode() + b"0,\xf0\x9f\x92\n",
    "long header": cells("0,1", header=HEADER.strip() + "," + "x" * 1_000_001 + "\n"),
    "many cells": cells("0,80" + "," * 20_000),
    "many names": cells("0,80", header=HEADER.strip() + ",x" * 10_000 + "\n"),
    "second column first": cells("0,a", "b,1"),
    "a word and decimal commas": cells("1,5;x", *comma, header=f"{ART};{TIME}\n"),
  }


def refused_clocks_and_waves():
  return {
    "restart": clock(np.concatenate([np.arange(100), np.arange(100) + 0.4]) / 100),
    "few digits": clock(np.round(np.arange(200) / 100, 1)),
    "order": clock(np.arange(200)[np.r_[0:50, 51, 50, 52:200]] / 100),
    "each twice": clock(np.repeat(np.arange(200), 2) / 100),
    "minutes": clock(np.arange(200) / 6000),
    "days": clock(np.arange(200) / 8_640_000),
    "milliseconds": clock(np.arange(200) * 10),
    "samples": clock(np.arange(200)),
    "slow": clock(np.arange(200) / 10),
    "gaps": clock([*np.arange(50) / 100, 900]),
    "no time": cells("0,80", ",90"),
    "infinite time": cells("0,80", "inf,90"),
    "falls at once": clock([5, 4, 3]),
    "still": clock([1, 1, 1]),
    "hours": clock(np.arange(9000) / 360_000),
    "only NaN": cells("0,", "0.01,", "0.02,NA"),
    "only infinite": cells("0,inf", "0.01,-inf"),
    "kPa": wave(12 + np.sin(np.arange(300) / 9)),
    "too high": wave(900 + np.arange(300)),
    "truths": cells("0,True", "0.01,False", "0.02,"),
    "some truths": cells("0,1", "0.01,True", "0.02,x"),
  }


def checked_waves():
  t = np.arange(65 * 125) / 125
  pulse = 90 + 20 * np.sin(2 * np.pi * t)
  stamps = 995 + np.arange(2500) / 125
  digits = {"two decimals": [f"{x:.2f}" for x in stamps], "six digits": [f"{x:g}" for x in stamps]}
  return {
    "open line": wave(np.where(t < 45, 18.0, pulse), 0.008),
    "line off": wave(np.where(t < 45, -1.5, pulse), 0.008),
    "markers": wave(np.where(np.arange(t.size) % 9 < 5, -999.0, pulse), 0.008),
    "infinite samples": cells("0,inf", "0.01,90", "0.02,91"),
    "pause": clock([*np.arange(200) / 125, *(2 + np.arange(300) / 125)]),
    "Unix clock": clock(1.7e9 + np.arange(300) / 8),
    "Unix clock at 125 Hz": (HEADER + "".join(f"{1.7e9 + k / 125:.3f},90\n" for k in range(300))).encode(),
    **{name: cells(*(f"{at},90" for at in texts)) for name, texts in digits.items()},
    "whole seconds": cells(*(f"{k // 125},{90 + k % 7}" for k in range(2400))),
  }


def single_cells():
  found = {}
  for k, word in enumerate([*WORDS, *NO_NUMBERS]):
    found[f"cell {word}"] = cells("0,80", f"0.01,{word}", f"0.02,{word}" * (k % 2), header=f"{TIME},{PPG}\n")
    in_quotes = word.replace('"', '""').replace(".", ",")
    found[f"quoted {word}"] = cells("0,00;", '0,01;"' + in_quotes + '"', "0,02;8", header=f"{TIME};{PPG}\n")
  return found


def random_table(rng):
  """Returns the bytes of a table in a random dialect, and its channels."""
  delimiter, decimal = [(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ",")][rng.integers(5)]
  names = [*rng.permutation([TIME, PPG]), *[f"x{k}" for k in range(rng.integers(4))]]
  names = list(rng.permutation(names)) if rng.integers(2) else names
  words = [word for word in WORDS if decimal == "." or not word.isascii() or "." not in word]
  strange, blanks = rng.choice([0, 0, 0.01, 0.2]), rng.choice(["", "", " ", "  "])
  digits = rng.integers(0, 18)
  lines = [delimiter.join(names)]
  for k in range(rng.integers(2, 150)):
    row = []
    for name in names:
      cell = (
        f"{k / 128}"
        if name == TIME
        else f"{rng.normal(0, 10.0 ** rng.integers(-5, 6)):.{digits}{rng.choice(['f', 'e', 'g'])}}"
      )
      if name.startswith("x") and rng.random() < 0.1:
        cell = str(rng.choice(["", "für", 'a "b"', "5", "nan", "# no"]))
      cell = cell.replace(".", decimal)
      if name == PPG and rng.random() < strange:
        cell = str(rng.choice(words))
      quoted = rng.random() < 0.05 or delimiter in cell or '"' in cell
      row.append(blanks + ('"' + cell.replace('"', '""') + '"' if quoted else cell))
    lines += ["# comment, of 3, cells"] * (rng.random() < 0.02) + [""] * (rng.random() < 0.02) + [delimiter.join(row)]
  if rng.integers(3) == 0:
    lines = ["Recorder: 12", "", 'of "us"'][: rng.integers(1, 4)] + lines
  end = ["\n", "\r\n", "\r"][rng.integers(3)]
  text = end.join(lines) + end * rng.integers(2)
  return text.encode(str(rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16"])))


def inputs():
  """Returns name → (bytes, channels)."""
  named = {**dialects(), **refusals(), **refused_clocks_and_waves(), **checked_waves(), **single_cells()}
  found = {name: (text if isinstance(text, bytes) else text.encode(), {}) for name, text in named.items()}
  utf16 = {"utf-16": "utf-16", "utf-16-be": "utf-16-be"}
  for name, encoding in utf16.items():
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    found[name] = ((mark + HEADER + DATA).encode(encoding), {})
  rng = np.random.default_rng(0)
  found.update({f"random {k}": (random_table(rng), {}) for k in range(RANDOM_TABLES)})
  kpa = "Device: recorder, 12\n\nTime,ART\n" + "".join(f"{t},{float(p) / 7.50062}\n" for t, p in ROWS)
  return {
    **found,
    "channels": (kpa.encode(), CHANNELS),
    "channel missing": (kpa.replace("ART", "ABP").encode(), CHANNELS),
  }
