#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""man_test.py BIN_DIR SOURCE_DIR: the manual pages say what is so.

Every option, key, default, exit status and variable of the programs is in
their pages, and the other way round; every function of the header is in a page
of the library with its prototype; what pages refer to exists; groff has
nothing to say. At the end the pages are spoilt in several ways, and each must
be noticed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

# Pages of others that ours refer to.
FOREIGN = {"systemd(1)", "systemd-sysusers(8)", "unix(7)", "mmap(2)",
           "dlopen(3)", "strerror(3)"}
SECTIONS = {
    "tenured.8": ["OPTIONS", "FILES", "ENVIRONMENT", "SIGNALS", "EXIT STATUS",
                  "SECURITY", "EXAMPLES"],
    "tenured.conf.5": ["OPTIONS", "ENVIRONMENT", "EXAMPLES"],
    "tenurectl.1": ["OPTIONS", "FILES", "ENVIRONMENT", "EXIT STATUS",
                    "SECURITY", "EXAMPLES"],
    "libtenure.3": ["RETURN VALUE", "ENVIRONMENT", "SECURITY", "EXAMPLES"],
    "tenured-protocol.7": ["FILES", "SECURITY"],
}


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True,
                          check=True, **options).stdout


def section(page, name):
    match = re.search(r"^# %s\n(.*?)(?=^# |\Z)" % re.escape(name), page,
                      re.M | re.S)
    return match.group(1) if match else ""


def bold_entries(text):
    """The lines that begin an entry of a list."""
    return re.findall(r"^(\*\S.*)$", text, re.M)


def compare(what, documented, real):
    for name in sorted(real - documented):
        yield "%s: %s is not documented" % (what, name)
    for name in sorted(documented - real):
        yield "%s: %s is documented, but does not exist" % (what, name)


def long_options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def program_options(page, help_text):
    """Options have a line of their own in the help and in the page."""
    lines = [line for line in help_text.split("\n")
             if re.match(r"\s+-", line)]
    entries = bold_entries(section(page, "OPTIONS"))
    yield from compare(
        "options", long_options(" ".join(entries)),
        long_options(" ".join(re.match(r"\s+((-\w, )?--?[\w-]+)", line)
                              .group(1) for line in lines)))


def configuration(page, printed):
    real, defaults, name = {}, {}, ""
    for line in printed.split("\n"):
        if line.startswith("["):
            name = line[1:-1]
        elif " = " in line and not line.startswith("#"):
            key, value = line.split(" = ")
            real["%s.%s" % (name, key)] = value
    options = section(page, "OPTIONS")
    for part in re.split(r"^## ", options, flags=re.M)[1:]:
        name = re.match(r"\[(\w+)\]", part).group(1)
        for key, text in re.findall(r"^\*([a-z-]+)\*\n((?:\t.*\n)+)", part,
                                    re.M):
            match = re.search(r"Default:\s+(\w+)", text)
            defaults["%s.%s" % (name, key)] = match and match.group(1)
    yield from compare("keys", set(defaults), set(real))
    for key, value in sorted(defaults.items()):
        if value and value != real.get(key, value):
            yield "%s: the default is %s, not %s" % (key, real[key], value)


def exit_statuses(page, source):
    used = set(re.findall(r"\bEX_[A-Z]+\b", read(source, "daemon/daemon.c")))
    real = {str(getattr(os, name)) for name in used}
    documented = set(re.findall(r"^\*(\d+)\*$", section(page, "EXIT STATUS"),
                                re.M))
    yield from compare("exit status", documented, real)


def ctl_exit_codes(page, help_text):
    text = help_text.partition("Exit codes:")[2]
    real = set(re.findall(r"\b(\d+)\s(?!and the)", text))
    documented = set(re.findall(r"^\*(\d+)\*$", section(page, "EXIT STATUS"),
                                re.M))
    yield from compare("exit codes of tenurectl", documented, real)


def ctl_commands(page, help_text):
    real = set(re.findall(r"^  ([a-z]+)  ", help_text, re.M))
    documented = set(re.findall(r"^\*([a-z]+)\*", section(page, "COMMANDS"),
                                re.M))
    yield from compare("commands", documented, real)


def signals(page, help_text):
    real = {"SIG" + name for name in re.findall(
        r"\b(TERM|INT|HUP|USR1|USR2|QUIT)\b", help_text)}
    documented = set(re.findall(
        r"SIG\w+", " ".join(bold_entries(section(page, "SIGNALS")))))
    yield from compare("signals", documented, real)


def variables(page, source, folder):
    """Those that the code names itself; keys are variables by a rule."""
    real = set()
    for name in sorted(os.listdir(os.path.join(source, folder))):
        if name.endswith(".c") and not name.endswith(("_test.c", "_testing.c")):
            real.update(re.findall(r'getenv\("(\w+)"\)',
                                   read(source, folder, name)))
    text = section(page, "ENVIRONMENT") + section(page, "SYNOPSIS")
    for name in sorted(real):
        if name != "PATH" and not re.search(r"\b%s\b" % name, text):
            yield "%s/: variable %s is not documented" % (folder, name)


def prototypes(text):
    """name -> declaration on one line, of what looks like one."""
    found = {}
    for match in re.finditer(
            r"^((?:const )?(?:int|void|char|struct \w+) \*?(tenure_\w+)"
            r"\([^;{]*\));", text, re.M):
        found[match.group(2)] = re.sub(r"\s+", " ", match.group(1))
    return found


def library(pages, header):
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    real = prototypes(header)
    documented = {}
    for name, page in pages.items():
        if not name.startswith("tenure_"):
            continue
        declared = prototypes(section(page, "SYNOPSIS"))
        for function, prototype in declared.items():
            if function in documented:
                yield "%s is in two pages" % function
            documented[function] = prototype
        names = re.search(r"^([\w, ]+) - ", section(page, "NAME"), re.M)
        if set(names.group(1).split(", ")) != set(declared):
            yield "%s: NAME and SYNOPSIS differ" % name
    yield from compare("functions", set(documented), set(real))
    for function in sorted(set(real) & set(documented)):
        if real[function] != documented[function]:
            yield "%s is '%s', not '%s'" % (function, real[function],
                                            documented[function])
    text = "".join(pages.values())
    for flag in sorted(set(re.findall(
            r"\bTENURE_(?:CONNECT|MAP|CREATE_SHARED|RIGHT)_?\w*", header))):
        if flag not in text:
            yield "%s is in no page" % flag


def shape(pages):
    for name, wanted in sorted(SECTIONS.items()):
        for title in wanted:
            if name not in pages or not section(pages[name], title).strip():
                yield "%s: no section %s" % (name, title)
    ours = set()
    for name, page in pages.items():
        number = name.rsplit(".", 1)[1]
        ours.add("%s(%s)" % (name.rsplit(".", 1)[0], number))
        match = re.search(r"^([\w, ]+) - ", section(page, "NAME"), re.M)
        for function in match.group(1).split(", ") if match else ():
            ours.add("%s(%s)" % (function, number))
    for name, page in sorted(pages.items()):
        for target, number in re.findall(r"\*([\w.-]+)\*\((\d)\)", page):
            reference = "%s(%s)" % (target, number)
            if reference not in ours | FOREIGN:
                yield "%s: refers to %s" % (name, reference)


def typeset(pages):
    if not shutil.which("scdoc"):
        return
    for name, page in sorted(pages.items()):
        made = subprocess.run(["scdoc"], input=page, capture_output=True,
                              text=True, check=False)
        if made.returncode:
            yield "%s: scdoc: %s" % (name, made.stderr.strip())
        elif shutil.which("groff"):
            said = subprocess.run(
                ["groff", "-ww", "-t", "-man", "-Tutf8", "-z"],
                input=made.stdout, capture_output=True, text=True,
                check=False).stderr.strip()
            if said:
                yield "%s: groff: %s" % (name, said)


def problems(pages, bin_dir, source):
    daemon = os.path.join(bin_dir, "tenured")
    ctl = os.path.join(bin_dir, "tenurectl")
    help_text = run(daemon, "--help")
    clean = {"XDG_RUNTIME_DIR": "/run/user/1", "TENURED_CONFIG": "/dev/null"}
    with tempfile.NamedTemporaryFile() as empty:
        clean["TENURED_CONFIG"] = empty.name
        printed = run(daemon, "--print-config", env=clean)
    page = pages["tenured.8"]
    yield from program_options(page, help_text)
    yield from exit_statuses(page, source)
    yield from signals(page, help_text)
    yield from variables(page, source, "daemon")
    yield from configuration(pages["tenured.conf.5"], printed)
    yield from variables(pages["libtenure.3"], source, "client")
    yield from library(pages, "".join(
        read(source, "client/include/tenure", name)
        for name in sorted(os.listdir(os.path.join(
            source, "client/include/tenure")))))
    if os.path.exists(ctl):
        page, help_text = pages["tenurectl.1"], run(ctl, "--help")
        yield from program_options(page, help_text)
        yield from ctl_exit_codes(page, help_text)
        yield from ctl_commands(page, help_text)
    yield from shape(pages)
    yield from typeset(pages)


SPOILS = [
    ("tenured.8", "*--private*", "*--hidden*"),
    ("tenured.8", "*SIGHUP*", "*SIGUSR2*"),
    ("tenured.8", "*73*", "*72*"),
    ("tenured.8", "*TENURED_LOG_PRIORITY*", "*TENURED_LOG*"),
    ("tenured.8", "# SECURITY", "# SAFETY"),
    ("tenured.8", "*tenured.conf*(5)", "*tenure.conf*(5)"),
    ("tenured.conf.5", "*stores*", "*shops*"),
    ("tenured.conf.5", "Default: 64G", "Default: 63G"),
    ("libtenure.3", "*TENURE_DAEMON*", "*TENURE_DEMON*"),
    ("tenure_map.3", "void **ret_pointer", "void *ret_pointer"),
    ("tenure_alloc.3", "tenure_free", "tenure_drop"),
    ("tenure_dispenser_create.3", "uint64_t transaction", "uint64_t number"),
    ("tenure_map.3", "*TENURE_MAP_POPULATE*", "*TENURE_MAP_TOUCH*"),
]


def main(bin_dir, source):
    folder = os.path.join(source, "packaging/man")
    pages = {name[:-len(".scd")]: read(folder, name)
             for name in sorted(os.listdir(folder)) if name.endswith(".scd")}
    found = list(problems(pages, bin_dir, source))
    if not found:
        for name, old, new in SPOILS:
            spoilt = dict(pages)
            spoilt[name] = pages[name].replace(old, new)
            if (spoilt[name] == pages[name] or
                    not list(problems(spoilt, bin_dir, source))):
                found.append("not noticed: %s: %s for %s" % (name, new, old))
    for line in found:
        print(line)
    print("man_test: %d problems" % len(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
