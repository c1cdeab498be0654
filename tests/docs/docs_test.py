#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""docs_test.py snippets|commands BIN_DIR LIB_DIR SOURCE_DIR

What the documents show is true.

snippets: every C program in README.md, docs/ and the manual pages compiles
without a warning as it stands, runs with the built daemon, and prints what
the text says that it prints.

commands: every command line in README.md is carried out in a copy of the
tree, in the order of the page, installing below a directory of its own; those
that would change the machine are only looked at, and one that is not known
here is an error. The other documents name only commands of ./run that exist.

Both end with spoilt documents, each of which must be noticed.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def documents(source):
    """path in the tree -> text, of all that a reader sees."""
    found = {}
    for top, folders, names in os.walk(source):
        inside = os.path.relpath(top, source)
        if inside == ".":
            folders[:] = ["docs", "packaging"]
        for name in names:
            if name.endswith((".md", ".scd")):
                path = os.path.normpath(os.path.join(inside, name))
                found[path] = read(os.path.join(top, name))
    return found


def programs(text):
    """(program, what it prints or None) for each with a main()."""
    for match in re.finditer(r"^```c?\n(.*?)^```\n(.*?)(?=^```|^#|\Z)", text,
                             re.M | re.S):
        if re.search(r"^int main\(", match.group(1), re.M):
            prints = re.search(r"prints:\n\n((?:    .*\n)+)", match.group(2))
            yield match.group(1), prints and re.sub(
                "^    ", "", prints.group(1), flags=re.M)


class Failed(Exception):
    pass


def must(command, directory, environment, timeout=300):
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, timeout=timeout,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
            shell=isinstance(command, str))
    except subprocess.TimeoutExpired:
        raise Failed("%s: takes too long" % command) from None
    if done.returncode:
        raise Failed("%s: exit status %d\n%s" % (
            command, done.returncode, done.stdout[-2000:]))
    return done.stdout


def clean_environment(work):
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith(("TENURE_", "CMAKE_"))}
    runtime = os.path.join(work, "runtime")
    os.makedirs(runtime, mode=0o700, exist_ok=True)
    environment["XDG_RUNTIME_DIR"] = runtime
    return environment


def try_program(text, prints, bin_dir, lib_dir, source):
    with tempfile.TemporaryDirectory(prefix="tenure-docs-") as work:
        path = os.path.join(work, "program")
        with open(path + ".c", "w", encoding="utf-8") as file:
            file.write(text)
        environment = clean_environment(work)
        environment["TENURE_DAEMON"] = os.path.join(bin_dir, "tenured")
        must(["cc", *WARNINGS, "-o", path, path + ".c",
              "-I", os.path.join(source, "client/include"),
              "-I", os.path.join(source, "core/wire/include"),
              "-L", lib_dir, "-ltenure", "-Wl,-rpath," + lib_dir],
             work, environment)
        said = must([path], work, environment, timeout=30)
        if prints is not None and said != prints:
            raise Failed("it prints %r, not %r" % (said, prints))


def snippet_problems(texts, bin_dir, lib_dir, source):
    for path, text in sorted(texts.items()):
        for program, prints in programs(text):
            try:
                try_program(program, prints, bin_dir, lib_dir, source)
            except Failed as failure:
                yield "%s: %s" % (path, failure)


def snippets(bin_dir, lib_dir, source):
    texts = documents(source)
    if not list(programs(texts["README.md"])):
        return ["README.md shows no program"]
    found = list(snippet_problems(texts, bin_dir, lib_dir, source))
    readme = texts["README.md"]
    for old, new in (("tenure_alloc(t,", "tenure_alloc("),
                     ("return 0;", "return 3;"),
                     ("\tchar why[256];\n", "\tchar why[256];\n\tint x;\n"),
                     ("    held by tenured", "    owned by tenured")):
        spoilt = readme.replace(old, new)
        if spoilt == readme or not list(snippet_problems(
                {"README.md": spoilt}, bin_dir, lib_dir, source)):
            found.append("not noticed: %r for %r" % (new, old))
    return found


def blocks(text):
    """(language, lines) of each block of code, indented ones too."""
    for match in re.finditer(
            r"^```(\w*)\n(.*?)^```$|(?<=\n\n)((?:    \S[^\n]*\n)+)", text,
            re.M | re.S):
        if match.group(3):
            yield "", re.sub("^    ", "", match.group(3), flags=re.M)
        else:
            yield match.group(1) or "text", match.group(2)


def command_lines(text):
    """The commands of the blocks: of an indented one all its lines, unless
    it is said to be what something prints; of one with prompts those with
    one."""
    text = re.sub(r"(prints:\n\n)(?:    .*\n)+", r"\1", text)
    for language, block in blocks(text):
        if language not in ("", "sh", "console"):
            continue
        lines = [re.sub(r"\s+#.*", "", line) for line in block.split("\n")]
        prompts = [line[2:] for line in lines if line.startswith("$ ")]
        yield from prompts or [line for line in lines if line.strip()]


class Readme:
    """Carries out the commands of one text in a copy of the tree."""

    def __init__(self, text, source, work, bin_dir):
        self.text = text
        self.source = source
        self.bin_dir = bin_dir
        self.tree = os.path.join(work, "tree")
        self.root = os.path.join(work, "root")
        self.environment = clean_environment(work)
        # What no command chooses: that which is built soonest.
        self.environment["CMAKE_BUILD_TYPE"] = "Debug"
        self.environment.update({
            "DESTDIR": self.root,
            "CMAKE_BUILD_PARALLEL_LEVEL": "2",
            "PKG_CONFIG_PATH": self.root + "/usr/local/lib/pkgconfig",
            "LD_LIBRARY_PATH": self.root + "/usr/local/lib",
        })
        if shutil.which("ninja"):
            self.environment["CMAKE_GENERATOR"] = "Ninja"

    def run(self):
        shutil.copytree(self.source, self.tree, ignore=shutil.ignore_patterns(
            "build", "build-*", ".git", "corpus", "__pycache__"))
        for program, _ in programs(self.text):
            with open(os.path.join(self.tree, "program.c"), "w",
                      encoding="utf-8") as file:
                file.write(program)
            break
        for line in command_lines(self.text):
            self.command(line)
        for language, block in blocks(self.text):
            if language == "cmake":
                self.project(block)

    def command(self, line):
        line = re.sub(r"^sudo ", "", line)
        words = shlex.split(line)
        name = words[0]
        if name == "./run":
            check_run(self.tree, words[1:])
        elif name == "systemctl":
            self.systemctl(words[1:])
        elif os.path.basename(name) == "tenurectl":
            self.tenurectl(words[1:])
        elif name in ("cmake", "cc", "./program"):
            must(line, self.tree, self.environment)
        elif line not in ("ldconfig", "systemd-sysusers"):
            raise Failed("%s: this test does not know that command" % line)

    def systemctl(self, words):
        for word in words:
            if "." in word and not any(
                    name.startswith(word) for name in os.listdir(
                        os.path.join(self.tree, "packaging/systemd/system"))):
                raise Failed("systemctl: there is no %s" % word)

    def tenurectl(self, words):
        """Beside a daemon of its own; what has no answer is no example."""
        program = os.path.join(self.bin_dir, "tenurectl")
        if not os.path.exists(program):
            return
        environment = dict(self.environment, TENURE_DAEMON=os.path.join(
            self.bin_dir, "tenured"))
        if words[0] == "run":
            words = ["run", "--", "true"]
        else:
            words = ["run", "--", program, *words]
        must([program, *words], self.tree, environment, timeout=60)

    def project(self, block):
        folder = os.path.join(self.tree, "project")
        os.makedirs(folder)
        with open(os.path.join(folder, "CMakeLists.txt"), "w",
                  encoding="utf-8") as file:
            file.write("cmake_minimum_required(VERSION 3.13)\n"
                       "project(program LANGUAGES C)\n"
                       "add_executable(program ../program.c)\n" + block)
        must(["cmake", "-S", folder, "-B", folder + "/build",
              "-DCMAKE_PREFIX_PATH=%s/usr/local" % self.root],
             folder, self.environment)
        must(["cmake", "--build", folder + "/build"], folder,
             self.environment)
        must([folder + "/build/program"], folder, self.environment)


def check_run(tree, words):
    help_text = must(["./run", "help"], tree, dict(os.environ))
    words = [word for word in words if word != "--no-install"]
    if words and not re.search(r"^  %s\b" % re.escape(words[0]), help_text,
                               re.M):
        raise Failed("./run has no command %s" % words[0])
    for word in words[1:]:
        if word.startswith("--") and not re.search(
                r"^  %s .*%s\b" % (re.escape(words[0]), word), help_text,
                re.M):
            raise Failed("./run %s has no option %s" % (words[0], word))


def command_problems(text, source, bin_dir):
    with tempfile.TemporaryDirectory(prefix="tenure-docs-") as work:
        try:
            Readme(text, source, work, bin_dir).run()
        except Failed as failure:
            yield "README.md: %s" % failure


def run_problems(texts, source):
    for path, text in sorted(texts.items()):
        for line in re.findall(r"(?:^(?:    |\t)|`)(\./run [a-z][^`\n#]*)",
                               text, re.M):
            try:
                check_run(source, line.split()[1:])
            except Failed as failure:
                yield "%s: %s" % (path, failure)


def commands(bin_dir, lib_dir, source):
    texts = documents(source)
    readme = texts["README.md"]
    wanted = ("./run demo", "cmake --install", "cc program.c")
    for command in wanted:
        if command not in readme:
            return ["README.md does not show %s" % command]
    found = list(run_problems(texts, source))
    found += command_problems(readme, source, bin_dir)
    # Cheap ones: they fail before anything is built.
    for old, new in (("    ./run demo", "    ./run demonstrate"),
                     ("    cmake -B build", "    cmake --b build"),
                     ("    ./run test", "    make test")):
        spoilt = readme.replace(old, new)
        if spoilt == readme or not list(
                command_problems(spoilt, source, bin_dir)):
            found.append("not noticed: %r for %r" % (new, old))
    if not list(run_problems({"x": "`./run everything`"}, source)):
        found.append("not noticed: ./run everything")
    return found


def main(what, *places):
    found = {"snippets": snippets, "commands": commands}[what](*places)
    for line in found:
        print(line)
    print("docs_test: %s: %d problems" % (what, len(found)))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
