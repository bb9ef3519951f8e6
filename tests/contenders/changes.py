"""What may change in a user's code: each row is a text with one constant in it, X, and says what is made of it.

`make` is a contender's. Texts are run as cells of a notebook are: in a module without a file.
"""

from __future__ import annotations

HEAD = """
import collections, dataclasses, enum, functools, math, operator, os, random, threading, time
from pathlib import Path
import numpy as np
import torch

class Plain(torch.optim.SGD):
    pass
"""
MAKE = "\ndef make(model, run, lr):\n    return Plain(model.parameters(), lr=rate(lr))\n"

QUIETLY = "import warnings\nwith warnings.catch_warnings(action='ignore'):\n"

# each defines `rate`, a function of the learning rate
RATES = {
    "a global": "BETA = X\ndef rate(lr): return lr * BETA",
    "a global that another function names": "BETA = X\ndef inner(lr): return lr * BETA\ndef rate(lr): return inner(lr)",
    "a global of a nested function": "BETA = X\ndef rate(lr):\n    def inner(): return lr * BETA\n    return inner()",
    "a global of a comprehension": "BETA = X\ndef rate(lr): return sum(lr * BETA for _ in range(1))",
    "a number in the code": "def rate(lr): return lr * X",
    "a number in a nested function": "def rate(lr):\n    def inner(): return lr * X\n    return inner()",
    "a number in a lambda": "rate = lambda lr: lr * X",
    "a number in a class made inside": "def rate(lr):\n    class Scale:\n        beta = X\n    return lr * Scale.beta",
    "a closure": "def outer(beta):\n    def rate(lr): return lr * beta\n    return rate\nrate = outer(X)",
    "a closure over a list": "def outer(betas):\n    return lambda lr: lr * betas[0]\nrate = outer([X])",
    "a default": "def rate(lr, beta=X): return lr * beta",
    "a default by name only": "def rate(lr, *, beta=X): return lr * beta",
    "a function's attribute": "def rate(lr): return lr * rate.beta\nrate.beta = X",
    "a partial's argument": "rate = functools.partial(operator.mul, X)",
    "a partial's keyword": "def scaled(lr, beta): return lr * beta\nrate = functools.partial(scaled, beta=X)",
    "a dictionary": "BETAS = {'first': X, 2: None}\ndef rate(lr): return lr * BETAS['first']",
    "a dictionary's order": "BETAS = {X: 1, 2.5: 1}\ndef rate(lr): return lr * next(iter(BETAS))",
    "an ordered dictionary": "B = collections.OrderedDict(first=X)\ndef rate(lr): return lr * B['first']",
    "a dictionary that answers to any name": (
        "class Attrs(dict):\n    __getattr__ = dict.get\nB = Attrs(beta=X)\ndef rate(lr): return lr * B.beta"
    ),
    "a data class made while it runs": (
        "B = dataclasses.make_dataclass('B', [('beta', float, X)])\ndef rate(lr): return lr * B().beta"
    ),
    "a deque": "B = collections.deque([X], maxlen=3)\ndef rate(lr): return lr * B[0]",
    "a set": "B = {X, 7.0, 'seven'}\ndef rate(lr): return lr * min(b for b in B if b != 'seven')",
    "a set in the code": "def rate(lr): return lr if lr in {X, 7.0} else 0",
    "a named tuple": "Pair = collections.namedtuple('Pair', 'a b')\nP = Pair(X, 1)\ndef rate(lr): return lr * P.a",
    "a class's attribute": "class Config:\n    beta = X\ndef rate(lr): return lr * Config.beta",
    "a base's attribute": "class Base:\n    beta = X\nclass Config(Base): pass\ndef rate(lr): return lr * Config.beta",
    "a metaclass": "class Meta(type):\n    beta = X\nclass Config(metaclass=Meta): pass\ndef rate(lr): return lr * Config.beta",
    "a property": "class Config:\n    @property\n    def beta(self): return X\ndef rate(lr): return lr * Config().beta",
    "a cached property": "class C:\n    @functools.cached_property\n    def b(self): return X\ndef rate(lr): return lr * C().b",
    "a static method": "class Config:\n    @staticmethod\n    def beta(): return X\ndef rate(lr): return lr * Config.beta()",
    "a class method": "class Config:\n    @classmethod\n    def beta(cls): return X\ndef rate(lr): return lr * Config.beta()",
    "an instance": "class Config: pass\nC = Config()\nC.beta = X\ndef rate(lr): return lr * C.beta",
    "an instance with slots": "class S:\n    __slots__ = ('b',)\nC = S()\nC.b = X\ndef rate(lr): return lr * C.b",
    "an instance that is called": "class R:\n    def __init__(s, b): s.b = b\n    def __call__(s, lr): return s.b\nrate = R(X)",
    "a bound method": "class R:\n    def __init__(s, b): s.b = b\n    def of(s, lr): return lr * s.b\nrate = R(X).of",
    "a data class": "@dataclasses.dataclass\nclass C:\n    beta: float = X\ndef rate(lr): return lr * C().beta",
    "an enumeration": "class E(enum.Enum):\n    BETA = X\ndef rate(lr): return lr * E.BETA.value",
    "a cached function": "@functools.lru_cache\ndef beta(): return X\ndef rate(lr): return lr * beta()",
    "a wrapped function": (
        "def twice(f):\n    @functools.wraps(f)\n    def run(*a): return f(*a)\n    return run\n"
        "@twice\ndef rate(lr): return lr * X"
    ),
    "a wrapper": (
        "def twice(f):\n    @functools.wraps(f)\n    def run(*a): return X * f(*a)\n    return run\n"
        "@twice\ndef rate(lr): return lr"
    ),
    "what torch decorates": "@torch.no_grad()\ndef rate(lr): return lr * X",
    "an array": "B = np.array([1.0, X, 2.0])\ndef rate(lr): return lr * float(B[1])",
    "a large array's last number": "B = np.zeros(100_000)\nB[-1] = X\ndef rate(lr): return lr * float(B[-1])",
    "an array of objects": "B = np.array([None, X], dtype=object)\ndef rate(lr): return lr * B[1]",
    "a NumPy number": "B = np.float64(X)\ndef rate(lr): return lr * float(B)",
    "a tensor": "B = torch.tensor([1.0, X])\ndef rate(lr): return lr * float(B[1])",
    "a sparse tensor": "B = torch.tensor([[1.0, X]]).to_sparse()\ndef rate(lr): return lr * float(B.to_dense()[0, 1])",
    "a compressed tensor": (
        f"{QUIETLY}    B = torch.tensor([[X, 1.0]]).to_sparse_csr()\ndef rate(lr): return lr * float(B.to_dense()[0, 0])"
    ),
    "a tensor in half precision": "B = torch.tensor(X, dtype=torch.bfloat16)\ndef rate(lr): return lr * float(B)",
    "a module's weights": (
        "L = torch.nn.Linear(1, 1)\ntorch.nn.init.constant_(L.weight, X)\ntorch.nn.init.zeros_(L.bias)\n"
        "def rate(lr): return lr * float(L.weight)"
    ),
    "an optimizer's step": (
        "class Plain(torch.optim.SGD):\n    @torch.no_grad()\n    def step(self, closure=None):\n"
        "        self.param_groups[0]['lr'] *= X\n        return super().step(closure)\ndef rate(lr): return lr"
    ),
    "a method put in an installed class": (
        "class Plain(torch.optim.Adagrad): pass\ndef step(self, closure=None): return X\n"
        "torch.optim.Adagrad.reset = step\ndef rate(lr): return lr"
    ),
    "a handler": "def rate(lr):\n    try: return 1 / lr\n    except ZeroDivisionError: return X",
    "a text": "def rate(lr): return lr * float('X')",
    "code that is kept": "B = compile('lr * X', '', 'eval')\ndef rate(lr, code=B): return lr",
}

# each defines `rate`, with a helper module of this text
HELPED = {
    "a helper's function": ("def scaled(lr): return lr * X", "from helper import scaled as rate"),
    "a helper's function, by its module": ("def f(lr): return lr * X", "import helper\ndef rate(lr): return helper.f(lr)"),
    "a helper's constant": ("BETA = X", "import helper\ndef rate(lr): return lr * helper.BETA"),
    "a constant that a helper's function names": ("B = X\ndef scaled(lr): return lr * B", "from helper import scaled as rate"),
    "a helper that is handed on": ("BETA = X", "import helper\ndef rate(lr): return lr * getattr(helper, 'BE' + 'TA')"),
    "a helper that is imported late": ("BETA = X", "def rate(lr):\n    import helper\n    return lr * helper.BETA"),
    "a helper in a closure": ("BETA = X", "def outer():\n    import helper\n    return lambda lr: helper.BETA\nrate = outer()"),
    "what a late helper imports": (
        "from deeper import BETA",
        "def rate(lr):\n    from helper import BETA\n    return lr * BETA",
    ),
}  # fmt: skip

# each is said to be beyond, in these words
BEYOND = {
    "an environment variable": ("def rate(lr): return lr * float(os.environ.get('X', 1))", "environment variables"),
    "one that getenv reads": ("from os import getenv\ndef rate(lr): return lr * float(getenv('X', 1))", "environment variables"),
    "the environment itself": ("E = os.environ\ndef rate(lr): return lr * float(E.get('X', 1))", "environment variables"),
    "a file that is opened": ("def rate(lr): return lr * float(open('x').read())", "files"),
    "a file that NumPy loads": ("def rate(lr): return lr * float(np.load('x.npy'))", "files"),
    "a file that torch loads": ("def rate(lr): return lr * float(torch.load('x.pt'))", "files"),
    "a file that a path reads": ("def rate(lr): return lr * float(Path('x').read_text())", "files"),
    "the clock": ("def rate(lr): return lr * (time.time() % 2)", "the clock"),
    "the day": ("import datetime\ndef rate(lr): return lr * datetime.date.today().day", "the clock"),
    "names that are looked up": ("BETA = X\ndef rate(lr): return lr * globals()['BE' + 'TA']", "names that are looked up"),
    "code in a text": ("BETA = X\ndef rate(lr): return lr * eval('BETA')", "names that are looked up"),
    "a nested tensor": (
        f"{QUIETLY}    N = torch.nested.nested_tensor([torch.tensor([0.5])])\ndef rate(lr): return lr * float(N[0][0])",
        "a tensor of layout",
    ),
    "a weak proxy": (
        "import weakref\nclass K: pass\nkept = K()\nP = weakref.proxy(kept)\ndef rate(lr): return lr * len([P])",
        "a weak proxy",
    ),
    "a weak proxy of what is gone": (
        "import weakref\nclass K: pass\nP = weakref.proxy(K())\ndef rate(lr): return lr * len([P])",
        "a weak proxy",
    ),
    "a lock": ("L = threading.Lock()\ndef rate(lr):\n    with L: return lr", "a lock"),
    "an open file": ("import sys\nF = sys.__stdin__\ndef rate(lr): return lr * len(F.read())", "an open file"),
    "a generator": ("G = (i for i in range(9))\ndef rate(lr): return lr * next(G)", "a generator"),
    "a random generator": ("G = np.random.default_rng(X)\ndef rate(lr): return lr * G.random()", "a random generator"),
    "Python's random generator": ("G = random.Random(X)\ndef rate(lr): return lr * G.random()", "a random generator"),
    "a module that isn't there": ("def rate(lr):\n    import nowhere_to_be_found\n    return lr", "nowhere_to_be_found"),
    "what is imported inside": ("def rate(lr):\n    import os\n    return float(os.environ['X'])", "environment variables"),
    "what is imported inside, as": ("def rate(lr):\n    import numpy as n\n    return float(n.load('x'))", "files"),
    "what is taken of it inside": ("def rate(lr):\n    from numpy import load as l\n    return float(l('x'))", "files"),
    "the environment, taken inside": (
        "def rate(lr):\n    from os import environ\n    return environ['X']",
        "environment variables",
    ),
    "a part that is imported inside": ("def rate(lr):\n    import os.path as p\n    return p.exists('x')", "files"),
    "what is imported around it": (
        "def rate(lr):\n    import os\n    def inner(): return os.environ['X']\n    return inner()",
        "environment variables",
    ),
    "what a class imports inside": (
        "def rate(lr):\n    class C:\n        import datetime as d\n        now = d.date.today()\n    return C.now",
        "the clock",
    ),
    "what isn't loaded before": ("def rate(lr):\n    import ftplib\n    return ftplib.FTP('x')", "files"),
    "a default that reads": ("def rate(lr, e=os.getenv): return lr * float(e('X'))", "environment variables"),
    "a default that loads": ("def rate(lr, l=np.load): return lr * float(l('x'))", "files"),
    "a class that reads, handed on": ("import io\ndef rate(lr, f=io.FileIO): return lr * float(f('x').read())", "files"),
    "a default that opens": ("def rate(lr, o=open): return lr * float(o('x').read())", "files"),
    "a partial that reads": ("P = functools.partial(os.getenv, 'X')\ndef rate(lr): return float(P())", "environment variables"),
    "a reader in a dictionary": ("R = {'l': np.load, 'f': np.fromfile}\ndef rate(lr): return R['l']('x')", "files"),
    "an attribute by its name": ("def rate(lr): return lr * float(getattr(os, 'environ')['X'])", "environment variables"),
    "the hub": ("def rate(lr): return torch.hub.load_state_dict_from_url('x')", "files"),
    "a frame that is scanned": ("import polars\ndef rate(lr): return polars.scan_csv('x')", "files"),
    "a raw file": ("import io\ndef rate(lr): return lr * float(io.FileIO('x').read())", "files"),
    "a package's data": ("import pkgutil\ndef rate(lr): return pkgutil.get_data('x', 'y')", "files"),
    "a tensor from a file": ("def rate(lr): return torch.from_file('x')", "files"),
    "a storage from a file": ("def rate(lr): return torch.UntypedStorage.from_file('x')", "files"),
    "NumPy's source of data": ("def rate(lr): return np.lib.npyio.DataSource()", "files"),
    "whether a file is there": ("def rate(lr): return lr * os.path.exists('x')", "files"),
    "how large a file is": ("def rate(lr): return lr * os.path.getsize('x')", "files"),
    "a text with variables": ("def rate(lr): return lr * len(os.path.expandvars('$X'))", "environment variables"),
    "whether a path is there": ("def rate(lr): return lr * Path('x').exists()", "files"),
    "how large a path's file is": ("def rate(lr): return lr * Path('x').stat().st_size", "files"),
    "what is in a folder": ("def rate(lr): return lr * len(list(Path('x').iterdir()))", "files"),
    "a mapped file": ("import mmap\ndef rate(lr): return mmap.mmap(0, 1)", "files"),
    "the input": ("import sys\ndef rate(lr): return float(sys.stdin.readline())", "files"),
    "a generator without a seed": ("def rate(lr): return np.random.default_rng().random()", "random numbers of the machine"),
    "one that was imported": (
        "from numpy.random import default_rng\ndef rate(lr): return default_rng().random()",
        "random numbers of the machine",
    ),
    "Python's without a seed": ("def rate(lr): return random.Random().random()", "random numbers of the machine"),
    "the system's generator": ("def rate(lr): return random.SystemRandom().random()", "random numbers of the machine"),
    "the hash of a text": ("def rate(lr): return lr * hash('x')", "hash()"),
    "what NumPy makes of a function": ("F = np.frompyfunc(lambda a: a * X, 1, 1)\ndef rate(lr): return F(lr)", "that NumPy made"),
    "the modules": ("import sys\nBETA = X\ndef rate(lr): return sys.modules[__name__].BETA", "names that are looked up"),
    "a frame's names": ("import sys\nBETA = X\ndef rate(lr): return sys._getframe().f_globals['BETA']", "names that are"),
    "a function's globals": ("BETA = X\ndef f(): pass\ndef rate(lr): return f.__globals__['BETA']", "names that are looked up"),
    "an object that can't be taken apart": ("M = memoryview\nK = {}.keys()\ndef rate(lr): return len(K)", "dict_keys"),
}  # fmt: skip

# each of these changes nothing: what it was, what it is
NOTHING = {
    "a comment": ("def rate(lr): return lr * 2", "def rate(lr):\n    # twice\n\n    return lr * 2  # as said"),
    "a docstring": ("def rate(lr):\n    'one'\n    return lr", "def rate(lr):\n    'two, three'\n    return lr"),
    "a docstring that is new": ("def rate(lr): return lr * 2", "def rate(lr):\n    'new'\n    return lr * 2"),
    "a class's docstring and place": (
        "def rate(lr):\n    class C:\n        'one'\n        b = 2\n    return C.b",
        "\n\ndef rate(lr):\n    class C:\n        'two'\n        b = 2\n    return C.b",
    ),
    "annotations": ("def rate(lr): return lr", "def rate(lr: float) -> float: return lr"),
    "a function that nobody reaches": ("def rate(lr): return lr", "def other(): return 3\ndef rate(lr): return lr"),
    "a comment in another function": (
        "def other(): return 3\ndef rate(lr): return lr * other()",
        "def other():\n    # three\n    return 3\ndef rate(lr): return lr * other()",
    ),
    "the order of definitions": (
        "A = 1\nB = 2\ndef f(): return A\ndef rate(lr): return lr * f() * B",
        "def rate(lr): return lr * f() * B\ndef f(): return A\nB = 2\nA = 1",
    ),
    "the order of a class's methods": (
        "class C:\n    a = 1\n    def f(self): return 2\ndef rate(lr): return C().f()",
        "class C:\n    def f(self): return 2\n    a = 1\ndef rate(lr): return C().f()",
    ),
    "the order of a set": ("B = {'a', 'b', 'c'}\ndef rate(lr): return B", "B = {'c', 'b', 'a'}\ndef rate(lr): return B"),
    "how the file ends its lines": ("def rate(lr): return lr", "\r\ndef rate(lr):\r\n    return lr\r\n"),
    "a global that nobody names": ("def rate(lr): return lr", "SEVEN = 7\ndef rate(lr): return lr"),
    "which equal copy of a tuple": ("T = (1, 2)\ndef rate(lr): return T, T", "T = tuple([1, 2])\ndef rate(lr): return T, T"),
}  # fmt: skip

# each defines `rate`, and nothing of it is beyond
HARMLESS = {
    "what is common": (
        "import math, warnings, logging, itertools\nlog = logging.getLogger('x')\ndef rate(lr):\n"
        "    warnings.warn('x')\n    log.info('x')\n    return math.sqrt(np.sqrt(lr * np.pi)) + next(itertools.count(1))"
    ),
    "the same, imported inside": (
        "def rate(lr):\n    import math, functools, numpy as np, torch.nn.functional as F\n    from torch import nn\n"
        "    from collections import defaultdict\n    d = defaultdict(list)\n"
        "    return F.relu(torch.tensor(lr)) + math.sin(np.sqrt(lr)) + functools.reduce(max, [1]) + nn.Linear(1, 1).bias"
    ),
    "generators with a seed": (
        "def rate(lr):\n    np.random.default_rng(1), random.Random(2), torch.Generator().manual_seed(3)\n    return lr"
    ),
    "a hash of one's own": "class C:\n    def __hash__(self): return hash((1, 2))\nc = C()\ndef rate(lr): return {c: lr}[c]",
    "what is handed on": (
        "P = functools.partial(torch.optim.SGD, lr=1)\nK = {'adam': torch.optim.AdamW, 'max': max, 'sqrt': np.sqrt}\n"
        "def rate(lr, f=torch.nn.functional.relu, g=operator.mul): return lr if P and K else f"
    ),
    "functions of NumPy's and SciPy's": (
        "from scipy import special\nF = [np.sqrt, np.maximum.reduce, np.linalg.norm, special.erf, np.vectorize(math.sqrt)]\n"
        "def rate(lr): return F"
    ),
    "a state that is loaded": (
        "class Mine(torch.optim.Adam):\n    def load_state_dict(self, state): super().load_state_dict(state)\n"
        "def rate(lr): return lr if Mine else torch.nn.Module.load_state_dict"
    ),
    "text of a path": "def rate(lr): return lr * len(os.path.join('x', os.fspath(Path('y') / 'z')) + os.sep)",
    "what was read before": (
        "import configparser, uuid\nC = configparser.ConfigParser()\nC.read_string('[a]\\nb = 1')\nU = uuid.UUID(int=3)\n"
        "def rate(lr): return lr * float(C['a']['b']) * U.int"
    ),
    "text that was read": "import json, pickle\ndef rate(lr): return lr * json.loads('1') * pickle.loads(pickle.dumps(1))",
    "a network": "M = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.BatchNorm2d(1))\ndef rate(lr): return M(lr)",
    "data that is drawn": "def rate(lr): return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(1)))",
    "an attribute of a module": "def rate(lr): return getattr(torch.optim, 'SGD'), getattr(torch, 'float' + '32')",
}
