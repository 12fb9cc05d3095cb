"""Digests of the code that makes a result (standard library only: it runs whenever the Snakefile is parsed).

Snakemake re-runs a rule when its parameters change but does not notice edits of the modules that a script imports.
Each rule therefore carries ``code=digest("<rule>")`` among its parameters: a hash of the script and of all modules of
this package that it imports, directly or not, as syntax trees without docstrings. An edit of a module re-runs the
rules that use it; an edit of a comment, a docstring or the layout re-runs nothing.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
SCRIPTS = PACKAGE.parents[1] / "scripts"
TEMPLATES = PACKAGE / "templates"

#: Modules that change no number (`log` writes versions into accounts, `fetch` brings content that is known by its
#: checksum): an edit of them re-runs nothing.
WITHOUT_EFFECT = {"log", "provenance", "fetch", "progress"}


def digest(rule):
    """Digest (16 hexadecimal digits) of the script of `rule` and of every module of the package that it reaches."""
    return _digest_file(SCRIPTS / f"{rule}.py")


def template(name):
    """Digest of a file of ``templates``: with it among its parameters, a rule follows edits of the text."""
    return hashlib.sha256((TEMPLATES / name).read_bytes()).hexdigest()[:16]


@cache
def _digest_file(path):
    files = sorted(_reach(path, {}).items())
    total = hashlib.sha256()
    for file, text in files:
        total.update(f"{file.relative_to(PACKAGE.parents[1])}\0{text}\0".encode())
    return total.hexdigest()[:16]


def _reach(path, seen):
    """Fill `seen` with the canonical text of `path` and of all files of the package that it imports."""
    if path not in seen:
        seen[path], imports = _canonical(path)
        for file in imports:
            _reach(file, seen)
    return seen


@cache
def _canonical(path):
    """Syntax tree of a file as text, without docstrings, and the files of this package that it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and body and _is_docstring(body[0]):
            del body[0]
    imports = {file for node in ast.walk(tree) for file in _imported(node, path)}
    return ast.dump(tree), sorted(imports)


def _is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imported(node, path):
    """Files of this package that an import statement of `path` reads."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE.name]
    elif isinstance(node, ast.ImportFrom) and node.level:
        base = path.parent
        for _ in range(node.level - 1):
            base = base.parent
        base = ".".join([PACKAGE.name, *base.relative_to(PACKAGE).parts, *([node.module] if node.module else [])])
        names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
    elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == PACKAGE.name:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    else:
        names = []
    for name in names:
        parts = name.split(".")[1:]
        # importing a.b runs a/__init__.py too
        for depth in range(1, len(parts) + 1):
            stem = PACKAGE.joinpath(*parts[:depth])
            for file in (stem / "__init__.py", stem.with_suffix(".py")):
                if file.is_file() and parts[0] not in WITHOUT_EFFECT:
                    yield file
