"""Whatever opens a file that others may have written passes `files.regular` first: told from the code, module by module."""

import ast
import pathlib

import pytest

pytestmark = pytest.mark.quick
PACKAGE = pathlib.Path(__file__).resolve().parents[3] / "cap_jax"
ROOMS = ("data", "train", "inference", "study", "report", "cli")  # the others open what comes with the package
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for room in ROOMS for path in (PACKAGE / room).rglob("*.py"))

GATES = {"regular", "check_file"}  # of `files` and of `folders`
MEMORY = {"BytesIO", "StringIO"}  # what is open is no file
OF_A_PATH = {"read_text", "read_bytes"}  # methods of the path itself
# functions whose first argument is the path, or an open file
READERS = {
  "open", "read_csv", "read_table", "read_json", "read_excel", "read_parquet", "read_pickle", "read_hdf", "read_feather",
  "load", "loadtxt", "genfromtxt", "fromfile", "memmap", "open_memmap", "loadmat", "whosmat", "File", "VitalFile",
  "load_vital", "ParquetFile", "ParquetDataset", "read_schema", "read_metadata", "OSFile", "memory_map", "ZipFile",
  "GzipFile", "BZ2File", "LZMAFile", "TarFile", "load_file", "safe_open", "SoundFile",
  "run",
}  # fmt: skip
# the last names of functions that are meant of these modules only
OF_MODULES = {"load": ("np.load", "numpy.load"), "run": ("subprocess.run",)}
# functions that open files which their first argument does not name as they are
BY_NAME = {"rdheader", "rdrecord", "rdsamp", "rdann"}
IN_MEMORY = {"BytesIO", "StringIO", "BinaryIO", "TextIO", "ZipFile"}  # annotations of what is open already
# module, function → why it may open a file without the gate
ALLOWED = {
  ("data/sources/nonlinear.py", "_file"): "comes with the package",
  ("data/sources/folders.py", "bounded"): "is the system's own",
  ("inference/pretrained.py", "of_site"): "comes with the package",
  ("report/page.py", "_asset"): "comes with the package",
  ("cli/launcher.py", "usage_of"): "comes with the package",
  ("cli/launcher.py", "_run"): "the null device, to write to",
  ("cli/program_cache.py", "_machine"): "is the system's own",
  ("data/store.py", "_array"): "`open_store` has looked at all files of the store",
}
READING = [
  *(
    f"data/sources/{name}.py"
    for name in ("archives", "arrays", "hdf5", "parquet", "pwdb", "tables", "vital", "wfdb_files")
  ),
  *("data/splits.py", "train/torch_files.py", "train/weight_files.py", "train/weight_import.py"),
]


def called(node):
  """The last name of what a node calls, "" if it calls nothing."""
  if not isinstance(node, ast.Call):
    return ""
  return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def calls(node, names):
  return [inner for inner in ast.walk(node) if called(inner) in names]


def writes(node):
  """Whether a call opens a file for writing alone."""
  modes = [arg for arg in node.args[1:2] if isinstance(arg, ast.Constant)]
  modes += [keyword.value for keyword in node.keywords if keyword.arg == "mode"]
  mode = next((mode.value for mode in modes if isinstance(getattr(mode, "value", None), str)), "r")
  creates = any(keyword.arg == "create" for keyword in node.keywords)
  return creates or (mode[:1] in {"w", "x", "a"} and "+" not in mode)


def reads(node):
  """The path that a call opens for reading, None if it opens none."""
  name = called(node)
  if name in OF_A_PATH:
    return node.func.value
  if name not in READERS | BY_NAME or writes(node):
    return None
  if name in OF_MODULES and ast.unparse(node.func) not in OF_MODULES[name]:
    return None  # such as a module that is loaded, or what is open already
  named = [keyword.value for keyword in node.keywords if keyword.arg in ("file", "fileobj", "path", "filename", "name")]
  return (named or node.args or [node.func])[0]


def functions(tree):
  return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def gating(tree):
  """Names of the functions of a module that pass a gate themselves, or call one that does."""
  names = set()
  while more := {one.name for one in functions(tree) if calls(one, GATES | names)} - names:
    names |= more
  return names


def bindings(function, passed):
  """Pairs of names and the expression they are bound to. Of `with f(…) as x`, also if f is of this module and passes a gate."""
  for node in ast.walk(function):
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
      for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        yield target, node.value, set()
    elif isinstance(node, ast.For | ast.comprehension):
      yield node.target, node.iter, set()
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
      yield node.optional_vars, node.context_expr, passed


def findings(tree, module):
  """`function: code` of each call that opens a file without the gate."""
  passed, found = gating(tree), []
  for function in functions(tree):
    if (module, function.name) in ALLOWED:
      continue
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    clean = {
      one.arg for one in arguments if one.annotation is not None
      and ast.unparse(one.annotation).rpartition(".")[2] in IN_MEMORY
    }  # fmt: skip

    def is_clean(node, functions_too=frozenset(), clean=clean):
      return any(
        called(inner) in GATES | MEMORY | functions_too or (isinstance(inner, ast.Name) and inner.id in clean)
        for inner in ast.walk(node)
      )

    for _ in range(4):
      for target, value, too in bindings(function, passed):
        if is_clean(value, too):
          clean |= {inner.id for inner in ast.walk(target) if isinstance(inner, ast.Name)}
    for node in ast.walk(function):
      path = reads(node)
      if path is None or is_clean(path) or (called(node) in BY_NAME and calls(function, passed)):
        continue
      found.append(f"{function.name}: {ast.unparse(node)}")
  return found


class WithoutGate(ast.NodeTransformer):
  """Removes the gate at a place: `files.regular(x)` → `x`."""

  def __init__(self, place):
    self.place = place

  def visit_Call(self, node):
    self.generic_visit(node)
    return node.args[0] if called(node) in GATES and place_of(node) == self.place else node


def place_of(node):
  return node.lineno, node.col_offset


def parsed(module):
  return ast.parse((PACKAGE / module).read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES)
def test_no_file_is_opened_without_the_gate(module):
  assert findings(parsed(module), module) == []


def test_what_is_allowed_is_there():
  for module, function in ALLOWED:
    assert function in {one.name for one in functions(parsed(module))}


@pytest.mark.parametrize("module", READING)
def test_the_removal_of_any_gate_of_a_reader_is_noticed(module):
  before = findings(parsed(module), module)
  # some guard a look at the size of a file, not its opening
  looks = {place_of(gate) for look in calls(parsed(module), {"getsize"}) for gate in calls(look, GATES)}
  for gate in calls(parsed(module), GATES):
    without = WithoutGate(place_of(gate)).visit(parsed(module))
    if place_of(gate) not in looks:
      assert len(findings(without, module)) > len(before), f"{ast.unparse(gate)} on line {gate.lineno}"


@pytest.mark.parametrize("name", sorted(BY_NAME & {"rdheader", "rdrecord"}))
def test_one_function_alone_calls_a_library_that_opens_files_by_their_names(name):
  callers = {f"{module}: {one.name}" for module in MODULES for one in functions(parsed(module)) if calls(one, {name})}
  assert len(callers) == 1, callers


@pytest.mark.parametrize(
  "code",
  [
    "def f(path):\n  return open(path).read()",
    "def f(path):\n  return open(path, 'rb')",
    "def f(path):\n  return open(path, mode='r+')",
    "def f(path):\n  return pathlib.Path(path).read_text()",
    "def f(path):\n  return pandas.read_csv(path, sep=',')",
    "def f(path):\n  return np.load(path)",
    "def f(path):\n  with zipfile.ZipFile(path) as file:\n    return file.namelist()",
    "def f(path):\n  files.regular(path)\n  return h5py.File(path)",
    "def f(name):\n  return wfdb.rdheader(name)",
    "def f(path):\n  return vitaldb.VitalFile(str(path))",
    "def f(path):\n  return pyarrow.parquet.read_table(path)",
    "def f(path):\n  return subprocess.run(['python', '-c', READER, path])",
    "def f(path):\n  return scipy.io.loadmat(path)",
    "def f(path):\n  return gzip.GzipFile(fileobj=open(path, 'rb'))",
    "def f(path):\n  return extras.load('safetensors.numpy').load_file(path)",
  ],
)
def test_an_opening_without_the_gate_is_noticed(code):
  assert findings(ast.parse(code), "x.py")


@pytest.mark.parametrize(
  "code",
  [
    "def f(path):\n  return open(files.regular(path)).read()",
    "def f(path):\n  place = folders.check_file(path)\n  return pathlib.Path(place).read_bytes()",
    "def f(path):\n  with open(path, 'w') as file:\n    file.write('')",
    "def f(path):\n  return json.load(path)",
    "def f(stream: io.BytesIO):\n  return zipfile.ZipFile(stream)",
  ],
)
def test_an_opening_with_the_gate_is_fine(code):
  assert not findings(ast.parse(code), "x.py")
