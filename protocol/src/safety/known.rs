//! Which imports weights are made of, and which run code. What is in neither list is unknown.
//!
//! The harmless ones are those that torch itself takes with `weights_only=True`, their numpy kin, and plain containers.

use super::Safety;

/// Judges an import. A name with dots leads from one thing to another: it is never harmless, and judged by its parts.
pub(super) fn safety(module: &str, name: &str) -> Safety {
    if module == super::machine::COMPUTED || name == super::machine::COMPUTED {
        return Safety::Dangerous; // nobody hides a name for a good reason
    }
    let root = module.split('.').next().unwrap_or_default();
    let is_dangerous = is_in(DANGEROUS_MODULES, root)
        || DANGEROUS_PATHS.split_whitespace().any(|path| is_below(module, path))
        || name.split('.').any(|part| is_in(DANGEROUS_NAMES, part))
        || (name.contains('.') && name.split('.').any(|part| is_in(DANGEROUS_MODULES, part)))
        || DANGEROUS.iter().any(|(of, names)| *of == module && is_in(names, name));
    if is_dangerous {
        Safety::Dangerous
    } else if is_harmless(module, name) {
        Safety::Innocuous
    } else {
        Safety::Suspicious
    }
}

fn is_in(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|other| other == word)
}

fn is_below(module: &str, path: &str) -> bool {
    module.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn is_harmless(module: &str, name: &str) -> bool {
    match module {
        "builtins" | "__builtin__" => is_in(BUILTINS, name),
        "collections" => ["OrderedDict", "defaultdict", "Counter", "deque"].contains(&name),
        "copyreg" | "copy_reg" => name == "_reconstructor",
        "_codecs" => name == "encode",
        "datetime" => ["date", "datetime", "time", "timedelta", "timezone"].contains(&name),
        "torch" => is_in(TORCH, name) || name.strip_suffix("Storage").is_some_and(is_word),
        "torch._utils" => is_in(TORCH_UTILS, name),
        "torch.storage" => ["TypedStorage", "UntypedStorage", "_TypedStorage", "_UntypedStorage"].contains(&name),
        "torch.nn.parameter" => ["Parameter", "Buffer", "UninitializedParameter"].contains(&name),
        "torch._tensor" => name == "_rebuild_from_type_v2",
        "torch.serialization" => name == "_get_layout",
        "torch.cuda" | "torch.sparse" => name.strip_suffix("Storage").is_some_and(is_word),
        "numpy" => ["dtype", "ndarray"].contains(&name) || is_in(NUMPY_TYPES, name),
        "numpy.core.multiarray" | "numpy._core.multiarray" => ["_reconstruct", "scalar"].contains(&name),
        "numpy.core.numeric" | "numpy._core.numeric" => name == "_frombuffer",
        "numpy.dtypes" => name.strip_suffix("DType").is_some_and(is_word),
        "joblib.numpy_pickle" => ["NumpyArrayWrapper", "NDArrayWrapper", "ZNDArrayWrapper"].contains(&name),
        _ => false,
    }
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

const BUILTINS: &str = "\
    bool bytearray bytes complex dict float frozenset int list long object range set slice str tuple unicode xrange";

const TORCH: &str = "\
    Size Tensor bfloat16 bits16 bool complex128 complex32 complex64 device double dtype float float16 float32 \
    float64 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz half int int16 int32 int64 int8 long \
    per_channel_affine per_tensor_affine qint32 qint8 quint8 short strided uint16 uint32 uint64 uint8";

const TORCH_UTILS: &str = "\
    _rebuild_device_tensor_from_numpy _rebuild_meta_tensor_no_storage _rebuild_nested_tensor _rebuild_parameter \
    _rebuild_parameter_with_state _rebuild_qtensor _rebuild_sparse_csr_tensor _rebuild_sparse_tensor _rebuild_tensor \
    _rebuild_tensor_v2 _rebuild_tensor_v3";

const NUMPY_TYPES: &str = "\
    bool_ bytes_ complex128 complex64 float16 float32 float64 int16 int32 int64 int8 str_ uint16 uint32 uint64 uint8 \
    void";

/// Modules of which everything is dangerous, and all below them.
const DANGEROUS_MODULES: &str = "\
    BaseHTTPServer CGIHTTPServer Queue SimpleHTTPServer SocketServer _aix_support _io _osx_support _pickle \
    _posixshmem _posixsubprocess _pyrepl _socket _sqlite3 _testcapi _testinternalcapi _thread _winapi _winreg \
    _xxsubinterpreters aiohttp anydbm asyncio atexit bdb builtin cPickle cProfile cffi cgi cgitb cloudpickle code \
    codeop commands compileall concurrent ctypes dbm dill distutils doctest ensurepip fabric fcntl fileinput ftplib \
    gc glob http httplib httpx idlelib imaplib imp importlib inspect invoke io lib2to3 linecache marshal mmap \
    modulefinder msvcrt multiprocessing netrc nntplib nt ntpath operator _operator os paramiko pdb pexpect pickle \
    pickletools pip pkg_resources pkgutil platform poplib popen2 posix posixpath profile pty pydoc py_compile \
    readline requests resource rlcompleter runpy sched select selectors setuptools shelve shutil signal site smtpd \
    smtplib socket socketserver sqlite3 ssl subprocess sys sysconfig tarfile telnetlib tempfile test thread \
    threading timeit trace tracemalloc types unittest urllib urllib2 urllib3 venv webbrowser winreg wsgiref xmlrpc \
    xmlrpclib zipapp zipfile zipimport";

/// Modules within others of which everything is dangerous.
const DANGEROUS_PATHS: &str = "\
    distributed.protocol joblib.externals joblib.parallel logging.config numpy.distutils numpy.f2py numpy.testing \
    numpy.compat pandas.io torch._C torch._dynamo torch._inductor torch.distributed torch.fx torch.hub torch.jit \
    torch.multiprocessing torch.onnx torch.package torch.testing torch.utils torch.ops";

/// Names that are dangerous wherever they come from.
const DANGEROUS_NAMES: &str = "\
    __bases__ __builtins__ __class__ __closure__ __code__ __dict__ __getattribute__ __globals__ __import__ \
    __loader__ __mro__ __reduce__ __reduce_ex__ __setattr__ __spec__ __subclasses__ breakpoint eval exec \
    exec_command execfile execv execve import_module popen run_module run_path spawn system";

/// Single ones in modules that have harmless ones, too.
const DANGEROUS: &[(&str, &str)] = &[
    (
        "__builtin__",
        "apply compile delattr dir file filter getattr globals input locals map open reduce reload setattr type vars",
    ),
    (
        "builtins",
        "classmethod compile delattr dir filter getattr globals input locals map open property setattr super type vars",
    ),
    ("codecs", "open"),
    ("functools", "partial partialmethod reduce"),
    ("joblib", "load"),
    ("joblib.numpy_pickle", "load"),
    ("numpy", "load fromfile memmap"),
    ("pathlib", "Path.write_text"),
    ("torch", "load compile"),
    ("torch.serialization", "load"),
    ("torch.storage", "_load_from_bytes"),
    ("uuid", "_get_command_stdout"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_judged_by_what_they_lead_to() {
        use Safety::{Dangerous, Innocuous, Suspicious};
        for (module, name, expected) in [
            ("torch._utils", "_rebuild_tensor_v2", Innocuous),
            ("torch", "HalfStorage", Innocuous),
            ("torch.cuda", "FloatStorage", Innocuous),
            ("collections", "OrderedDict", Innocuous),
            ("numpy._core.multiarray", "_reconstruct", Innocuous),
            ("numpy.dtypes", "Float64DType", Innocuous),
            ("builtins", "set", Innocuous),
            ("builtins", "eval", Dangerous),
            ("builtins", "getattr", Dangerous),
            ("__builtin__", "execfile", Dangerous),
            ("posix", "system", Dangerous),
            ("os.path", "join", Dangerous),
            ("torch.hub", "load", Dangerous),
            ("torch.utils._config_module", "x", Dangerous),
            ("torch.storage", "_load_from_bytes", Dangerous),
            ("torch", "serialization.os.system", Dangerous),
            ("collections", "OrderedDict.__class__", Dangerous),
            ("innocent", "module.eval", Dangerous),
            ("?", "x", Dangerous),
            ("sklearn.tree", "DecisionTreeClassifier", Suspicious),
            ("torch", "x.yStorage", Suspicious),
            ("torchvision", "FloatStorage", Suspicious),
            ("collections ", "OrderedDict", Suspicious),
            ("builtins", "whatever", Suspicious),
        ] {
            assert_eq!(safety(module, name), expected, "{module}.{name}");
        }
    }
}
